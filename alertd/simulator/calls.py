"""How a call goes: who comes, how long it lasts, how it ends, and when Twilio has finished summarising it.

A call is what happens; a room summary is what the API says of it at some moment (`summaries.py`). All times are whole
seconds since the epoch. Shares and distributions are invented where `population.toml` does not hold them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import NamedTuple

from alertd.simulator.population import CLIENTS, ENDINGS, REGIONS, ROOM_TYPES, SIZES, Client, Ending, Region
from alertd.simulator.sids import digest

EMPTY_TIMEOUT = 300  # Twilio's default for UnusedRoomTimeout and EmptyRoomTimeout, seconds
LONGEST_SESSION = 14_400  # Twilio's default for MaxParticipantDuration
LONGEST_ROOM = 86_400
KEPT = 7 * 86_400  # seconds for which Twilio keeps a summary after the room's end
GIVES_UP = 1_800  # summaries come within thirty minutes or not at all
NEVER = 1 << 40

_SESSION_TOO_LONG = Ending(None, 53216)
_ROOM_COMPLETED = Ending("room_completed_error", 53118)
_KINDS_OF_ROOM = ("appointment", "consult", "intake", "follow-up", "group-session", "interview")
_KINDS_OF_PERSON = ("patient", "guest", "clinician", "interpreter", "user")
_PEOPLE = ("ada.park@example.org", "Dr. Müller", "j.o'neil@example.com", "<b>Sam</b>", "李雷", "María José")
_ODD_NAMES = (
    "Visite Dr. Müller",
    "sala de espera 3",
    "<!channel> standup",
    "intake & triage <urgent>",
    "診察室 2",
    "a/b?c#d",
)


@dataclass(slots=True)
class Session:
    """One participant's stay in a room; its summary appears at `shown_at` and tells the end from `detailed_at` on."""

    sid: str
    identity: str
    joined: int
    left: int
    client: Client
    edge: str
    ending: Ending
    zero_code: bool = False
    shown_at: int = 0
    detailed_at: int = 0


class Totals(NamedTuple):
    """What a summary counts of the sessions: all, different identities, most at once, and their seconds together."""

    people: int
    identities: int
    concurrent: int
    talked: int


@dataclass(slots=True)
class Call:
    """A room from its start to its settled summary; `talk_end` is when the people meant to end it.

    The API knows the room from `shown_from` to before `gone_from`. Until `changed_at` it tells the totals `early`, if
    there are any, and another end; `drifted` summaries have keys and words of their own.
    """

    sid: str
    account_sid: str
    number: int
    created: int
    region: Region
    name: str
    room_type: str
    created_method: str
    seats: int
    talk_end: int
    closed_by_app: bool
    long_sessions: bool
    recorded: bool
    callback: bool
    connected_words: bool
    size: int
    ended: int = 0
    end_reason: str | None = None
    codecs: tuple[str, ...] = ()
    people: int = 0
    identities: int = 0
    concurrent: int = 0
    talked: int = 0
    started_processing: int = 0
    settled: int = 0
    gave_up: bool = False
    hyphen: float = 1.0
    shown_from: int = 0
    gone_from: int = NEVER
    changed_at: int = 0
    early: Totals | None = None
    drifted: bool = False
    final_row: tuple[str, bytes] | None = field(default=None, compare=False, repr=False)


def draw_call(rng: random.Random, *, sid: str, account_sid: str, number: int, created: int) -> Call:
    """An ordinary call that starts at `created`, still to be joined and closed."""
    size = SIZES.draw(rng)
    marathon = rng.random() < 0.003
    return Call(
        sid=sid,
        account_sid=account_sid,
        number=number,
        created=created,
        region=REGIONS.draw(rng),
        name=_room_name(rng),
        room_type=ROOM_TYPES.draw(rng),
        created_method="api" if size == 0 else rng.choice(("api", "api", "api", "ad_hoc", "sdk")),
        seats=max(size, rng.choice((2, 4, 10, 50, 50, 50))),
        talk_end=created + (rng.randint(14_400, LONGEST_ROOM - 900) if marathon else _talk(rng)),
        closed_by_app=rng.random() < 0.55,
        long_sessions=marathon,
        recorded=rng.random() < 0.06,
        callback=rng.random() < 0.2,
        connected_words=rng.random() < 0.1,
        size=size,
    )


def draw_sessions(rng: random.Random, call: Call) -> list[Session]:
    """Everybody who comes to the call, in order of joining, each leaving in an ordinary way."""
    joined = call.created + rng.randint(0, 40)
    sessions = []
    for n in range(call.size):
        if joined >= call.talk_end - 5:
            break
        sessions.append(_session(rng, call, n, joined))
        joined += int(rng.expovariate(1 / 75 if call.size < 8 else 1 / 20))
    return sessions


def come_back(rng: random.Random, call: Call, session: Session, until: int, number: int) -> Session | None:
    """The same person in the same room again, as a new participant; None if the call is nearly over by then."""
    joined = session.left + rng.randint(1, 40)
    if joined >= min(until, call.talk_end) - 10:
        return None
    sid = "PA" + digest(call.sid, number)
    return Session(sid, session.identity, joined, until, session.client, session.edge, ENDINGS.draw(rng))


def close_call(rng: random.Random, call: Call, sessions: list[Session]) -> None:
    """Fills in what follows from how the sessions went: the room's end, its totals, and when the summary settles."""
    _end(rng, call, sessions)
    call.people, call.identities, call.concurrent, call.talked = total(sessions)
    call.codecs = tuple(sorted({codec for session in sessions for codec in session.client.codecs}))
    _settle(rng, call, sessions)
    call.shown_from, call.gone_from = call.created, call.ended + KEPT + 1


def total(sessions: list[Session]) -> Totals:
    """The totals over these sessions."""
    return Totals(
        people=len(sessions),
        identities=len({session.identity for session in sessions}),
        concurrent=_most_at_once(sessions),
        talked=sum(session.left - session.joined for session in sessions),
    )


def _session(rng: random.Random, call: Call, number: int, joined: int) -> Session:
    client = CLIENTS.draw(rng)
    stays = max(5, call.talk_end - joined)
    left = joined + (rng.randint(5, stays) if call.size > 3 and rng.random() < 0.35 else stays + rng.randint(-4, 20))
    ending = ENDINGS.draw(rng)
    if not call.long_sessions and left - joined > LONGEST_SESSION:
        left, ending = joined + LONGEST_SESSION, _SESSION_TOO_LONG
    edge = "roaming" if rng.random() < 0.25 else call.region.edge
    sid = "PA" + digest(call.sid, number)
    return Session(sid, _identity(rng), joined, left, client, edge, ending, rng.random() < 0.5)


def _end(rng: random.Random, call: Call, sessions: list[Session]) -> None:
    """An empty room times out; one that its application closes takes those who are still inside with it."""
    emptied = max((session.left for session in sessions), default=call.created)
    times_out = min(emptied + EMPTY_TIMEOUT, call.created + LONGEST_ROOM)
    if not call.closed_by_app or not sessions or call.talk_end > times_out:
        call.ended, call.end_reason = times_out, "timeout"
        return
    call.ended, call.end_reason = call.talk_end, "room_ended_via_api" if rng.random() < 0.97 else None
    for session in sessions:
        if session.left >= call.ended:
            session.left = max(session.joined, call.ended)
            if session.ending.code is None and rng.random() < 0.15:
                session.ending = _ROOM_COMPLETED


def _settle(rng: random.Random, call: Call, sessions: list[Session]) -> None:
    """Most summaries are complete 3 to 10 minutes after the end, some take up to 30, a few are given up."""
    delay = min(GIVES_UP, max(90, int(rng.lognormvariate(5.75, 0.42))))
    call.gave_up = rng.random() < 0.003
    call.settled = call.ended + (GIVES_UP if call.gave_up else delay)
    call.started_processing = call.ended + (delay // 3 if rng.random() < 0.03 else 0)
    call.hyphen = rng.random()
    for session in sessions:
        session.shown_at = min(session.joined + rng.randint(20, 400), call.settled)
        session.detailed_at = max(session.left + rng.randint(30, 600), session.shown_at)
        lost = call.gave_up and rng.random() < 0.4
        session.detailed_at = NEVER if lost else min(session.detailed_at, call.settled)


def _most_at_once(sessions: list[Session]) -> int:
    """How many sessions overlapped at most; somebody who leaves as another joins does not count twice."""
    steps = sorted([(s.joined, 1) for s in sessions] + [(s.left, -1) for s in sessions])
    inside = most = 0
    for _, step in steps:
        inside += step
        most = max(most, inside)
    return most


def _talk(rng: random.Random) -> int:
    return min(LONGEST_ROOM - 900, max(60, int(rng.lognormvariate(7.15, 0.85))))


def _room_name(rng: random.Random) -> str:
    if rng.random() < 0.01:
        return rng.choice(_ODD_NAMES)
    return f"{rng.choice(_KINDS_OF_ROOM)}-{rng.getrandbits(32):08x}"


def _identity(rng: random.Random) -> str:
    if rng.random() < 0.02:
        return rng.choice(_PEOPLE)
    return f"{rng.choice(_KINDS_OF_PERSON)}-{rng.getrandbits(40):010x}"
