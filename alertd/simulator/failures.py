"""Which participants fail: a low background that clusters in bad rooms, with a scenario's incidents on top."""

from __future__ import annotations

import random

from alertd.simulator.calls import Call, Session, come_back
from alertd.simulator.population import FAILURES, Ending, with_version
from alertd.simulator.scenario import Incident, Release, Where

BAD_ROOMS = 0.0105  # share of rooms in which something goes wrong on an ordinary day
_SOON = 120  # seconds within which an incident makes itself felt


def disturb(rng: random.Random, call: Call, sessions: list[Session], wander: float) -> None:
    """The background: few rooms go bad, and in those most participants fail, all in the same way (beta-binomial)."""
    if not sessions or rng.random() >= BAD_ROOMS * call.region.trouble * wander:
        return
    failure, severity = FAILURES.draw(rng), rng.betavariate(2, 1.5)
    hit = [session for session in sessions if rng.random() < severity] or [rng.choice(sessions)]
    for session in hit:
        latest = session.joined + 20 if failure.joining else session.left
        _fail(rng, call, sessions, session, failure, session.joined + 2, latest)


def upgrade(stream: str, release: Release, start: int, sessions: list[Session]) -> None:
    """Gives those who already have it the release; `start` is when the simulation began, seconds since the epoch.

    `stream` seeds what is drawn.
    """
    if all(session.joined < start + release.at for session in sessions):
        return
    rng = random.Random(stream)
    for session in sessions:
        progress = (session.joined - start - release.at) / release.lasts
        if session.client.sdk == release.sdk and rng.random() < release.share * min(1.0, progress):
            session.client = with_version(session.client, release.version)


def strike(stream: str, incident: Incident, start: int, call: Call, sessions: list[Session]) -> None:
    """Makes the participants fail that this incident hits in this call, if it hits the call at all.

    `start` is when the simulation began, seconds since the epoch; `stream` seeds what is drawn.
    """
    begin, end = start + incident.at, start + incident.at + incident.lasts
    if call.created >= end or not _is_room(incident.where, call):
        return
    exposed = [session for session in sessions if _exposed(incident, session, begin, end)]
    if not exposed:
        return
    rng = random.Random(stream)
    if rng.random() >= _share(incident, max(begin, exposed[0].joined) - begin):
        return
    hit = [session for session in exposed if rng.random() < incident.participants] or [rng.choice(exposed)]
    joining = incident.during == "joining"
    failure = Ending(incident.end_reason, incident.error_code, joining, incident.rejoin)
    for session in hit:
        first = max(begin, session.joined)
        latest = session.joined + 30 if joining else min(end, first + _SOON)
        _fail(rng, call, sessions, session, failure, first, latest)


def _fail(
    rng: random.Random, call: Call, sessions: list[Session], session: Session, failure: Ending, first: int, latest: int
) -> None:
    """Ends the session between two moments in this way; some people come back for the rest of the call."""
    until, latest = session.left, min(latest, session.left)
    session.left = rng.randint(min(first, latest), latest)
    session.ending = failure
    if rng.random() < failure.rejoin:
        again = come_back(rng, call, session, until, len(sessions))
        sessions.extend([again] if again else [])


def _exposed(incident: Incident, session: Session, begin: int, end: int) -> bool:
    present = session.joined < end and (session.joined if incident.during == "joining" else session.left) >= begin
    where = incident.where
    return (
        present
        and where.edge_location in (None, session.edge)
        and where.sdk in (None, session.client.sdk)
        and where.sdk_version in (None, session.client.version)
    )


def _is_room(where: Where, call: Call) -> bool:
    return (
        where.media_region in (None, call.region.name)
        and where.room_type in (None, call.room_type)
        and where.room_name in (None, call.name)
    )


def _share(incident: Incident, elapsed: int) -> float:
    by_end = incident.rooms if incident.rooms_by_end is None else incident.rooms_by_end
    return incident.rooms + (by_end - incident.rooms) * elapsed / incident.lasts
