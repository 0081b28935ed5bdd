"""What becomes of a room beyond its call: it is listed late, vanishes, changes, drifts; and what of it can be counted.

`countable` and `final_people` are what a rehearsal compares alertd with: they say, without asking the server, what a
client that misses nothing has counted by some time. Times are the API's own, that is with its skew.
"""

from __future__ import annotations

from typing import Any

from alertd.simulator.calls import Call, Session, total
from alertd.simulator.faultkinds import Changing, Delayed, Drift, Late, RoomFault, Vanishing
from alertd.simulator.sids import portion
from alertd.simulator.summaries import participant_summary


def befall(key: str, fault: RoomFault, start: int, call: Call, sessions: list[Session]) -> None:
    """Lets the fault strike the closed call, if it ended while the fault lasted and is drawn by `key` and its SID.

    `start` is when the simulation began, seconds since the epoch.
    """
    if not fault.covers(call.ended - start) or portion(key, call.sid) >= fault.share:
        return
    match fault:
        case Late():
            call.shown_from = max(call.shown_from, call.created + _delay(key, fault, call))
        case Vanishing():
            call.gone_from = min(call.gone_from, call.ended + _delay(key, fault, call))
        case Changing():
            _change(call, sessions, max(1, _delay(key, fault, call)))
        case Drift():
            call.drifted = True


def countable(call: Call, now: float, steady: int = 0) -> bool:
    """Whether the API has shown the room as final by `now`, for at least `steady` seconds on end.

    Without `steady` that is what a client could count that looks all the time. A real one needs some time, in which
    requests may fail: rooms that vanish within it are nobody's fault.
    """
    counted = max(call.shown_from, call.settled) + steady
    return counted <= now and counted < call.gone_from


def final_people(call: Call, sessions: list[Session], now: float) -> list[dict[str, Any]]:
    """The participants of a countable call as the API last showed them by `now`, with `url` relative to its address.

    `sessions` are those of the call (`Traffic.sessions`). Of a room that has vanished it is what stood there before.
    """
    last = min(now, call.gone_from - 1)
    return [participant_summary(call, session, last, "") for session in sessions if session.shown_at <= last]


def _delay(key: str, fault: Delayed, call: Call) -> int:
    span = (fault.up_to or fault.after) - fault.after
    return fault.after + int(portion(key, call.sid, "delay") * (span + 1))


def _change(call: Call, sessions: list[Session], after: int) -> None:
    """Makes the summary complete without the last participant and without anybody's error, and right only later."""
    if call.gave_up or call.early is not None:
        return
    call.changed_at = call.settled + after
    call.early = total(sessions[:-1])
    for session in sessions:
        if session.ending.code is not None:
            session.detailed_at = call.changed_at
    for session in sessions[-1:]:
        session.shown_at = session.detailed_at = call.changed_at
