"""Which starts of rooms have been listed completely, and when; what of them is missing, and until when it can be had.

Twilio's filters work on the start of a room, so what has been seen is kept by starts: a step function from the instant
at which rooms started to the instant at which all of those were last listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

LONGEST_ROOM = 24 * 3600
"""No room lasts longer (Twilio's limits: maximum room and participant duration)."""
RETENTION = 7 * 86400
"""How long Twilio keeps summaries, counted from a room's end."""
HORIZON = RETENTION + LONGEST_ROOM
"""How long ago a room may have started that Twilio still keeps."""
LAST_SHOWN = LONGEST_ROOM + 3600
"""Seconds after its start by which a room has ended and is listed, as a rule."""
STALE = 6 * 3600
"""Seconds without a look after which starts that may still have had rooms under way count as missing."""
SHORTEST = 60
"""Seconds of starts that are not divided further when their list fails."""
NEARLY_LOST = RETENTION - 86400
"""The age in seconds at which what is missing had better be read: a day before Twilio forgets the first of it."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Rooms that started in [started_from, started_until) were all listed at `seen_at`, `rooms` of them.

    `seen_at` is None where they never were; all instants are whole seconds since the epoch, by Twilio's clock.
    """

    started_from: int
    started_until: int
    seen_at: int | None
    rooms: int = 0

    def between(self, start: int, end: int) -> Seen | None:
        """The part in [start, end), with its share of the rooms; None if there is none."""
        start, end = max(start, self.started_from), min(end, self.started_until)
        if start >= end:
            return None
        share = round(self.rooms * (end - start) / (self.started_until - self.started_from))
        return Seen(started_from=start, started_until=end, seen_at=self.seen_at, rooms=share)


class Stretch(NamedTuple):
    """Rooms that started from `after` to before `before` (None: no end), seconds since the epoch: one list call."""

    after: int
    before: int | None

    def without(self, others: Iterable[Stretch]) -> list[Stretch]:
        """What is left of a stretch that has an end, without the others, the newest starts first."""
        left, at = [], self.after
        for other in sorted(others):
            if other.before is not None and other.before > at and other.after < (self.before or at):
                left.append(Stretch(at, other.after))
                at = other.before
        left.append(Stretch(at, self.before))
        return [part for part in reversed(left) if part.after < (part.before or 0)]

    def meets(self, other: Stretch, now: int) -> bool:
        """Whether a start may lie in both; those without an end go on to `now`."""
        return self.after < (other.before or now) and other.after < (self.before or now)

    def halves(self) -> tuple[Stretch, ...]:
        """The stretch in two, or itself if it is too short for that to help."""
        middle = (self.after + (self.before or self.after)) // 2
        if middle - self.after < SHORTEST:
            return (self,)
        return (Stretch(self.after, middle), Stretch(middle, self.before))


Coverage = tuple[Seen, ...]
"""Parts that do not overlap, oldest starts first."""


def covered(coverage: Iterable[Seen], new: Seen, since: int) -> Coverage:
    """The coverage once `new` has been seen, which takes the place of what was known there; without starts before
    `since`."""
    parts = [new.between(since, new.started_until)]
    for old in coverage:
        parts += [old.between(since, new.started_from), old.between(max(since, new.started_until), old.started_until)]
    return _merged(sorted(filter(None, parts), key=lambda part: part.started_from))


def _merged(parts: Iterable[Seen]) -> Coverage:
    """Neighbours that were seen at about the same moment are one, seen at the earlier."""
    merged: list[Seen] = []
    for part in parts:
        last = merged[-1] if merged else None
        if last and last.started_until == part.started_from and _is_same_sight(last, part):
            seen_at = part.seen_at and min(part.seen_at, last.seen_at or part.seen_at)
            rooms = last.rooms + part.rooms
            merged[-1] = Seen(
                started_from=last.started_from, started_until=part.started_until, seen_at=seen_at, rooms=rooms
            )
        else:
            merged.append(part)
    return tuple(merged)


def _is_same_sight(one: Seen, other: Seen) -> bool:
    """The older the starts were when they were seen, the less a moment matters; it keeps the parts few."""
    if one.seen_at is None or other.seen_at is None:
        return one.seen_at == other.seen_at
    return abs(one.seen_at - other.seen_at) <= max(0, other.seen_at - other.started_until) // 48


def spanned(coverage: Iterable[Seen], since: int, now: int) -> Coverage:
    """The coverage of [since, now) without gaps: what no look has reached is a part never seen."""
    parts: list[Seen] = []
    at = since
    for part in coverage:
        known = part.between(since, now)
        if known is None:
            continue
        if known.started_from > at:
            parts.append(Seen(started_from=at, started_until=known.started_from, seen_at=None))
        parts.append(known)
        at = known.started_until
    if at < now:
        parts.append(Seen(started_from=at, started_until=now, seen_at=None))
    return _merged(parts)


def listed_until(coverage: Iterable[Seen], since: int) -> int:
    """Up to when all rooms that started from `since` on have been listed at least once; `since` itself if none have."""
    at = since
    for part in coverage:
        if part.seen_at is not None and part.started_from <= at:
            at = max(at, part.started_until)
    return at


def began(coverage: Sequence[Seen], now: int, backfill: int) -> int:
    """The start from which on no room may be missed: as far back as was ever wanted, and as Twilio keeps."""
    wanted = now - backfill
    return max(min(wanted, coverage[0].started_from) if coverage else wanted, now - HORIZON)


def expected_rooms(coverage: Sequence[Seen], start: int, end: int) -> float:
    """How many rooms a list of [start, end) will hold, by what was listed there; where nothing was, by the mean."""
    seen = [part for part in coverage if part.seen_at is not None and part.rooms]
    span = sum(part.started_until - part.started_from for part in seen)
    mean = sum(part.rooms for part in seen) / span if span else 0.0
    total = 0.0
    for part in coverage:
        here = min(end, part.started_until) - max(start, part.started_from)
        if here > 0:
            whole = part.started_until - part.started_from
            total += here * (mean if part.seen_at is None else part.rooms / whole)
    return total


def holes(coverage: Iterable[Seen], now: int, look_back: int = LAST_SHOWN) -> list[Stretch]:
    """The starts of which rooms may have been missed so far, oldest first.

    These are starts never listed, and those last listed when their rooms could still be under way (which they can for
    `look_back` seconds at most) and not again for long.
    """
    found: list[Stretch] = []
    for part in _doubtful(coverage, now, min(look_back, LAST_SHOWN)):
        joins = bool(found) and found[-1].before == part.started_from
        found.append(Stretch(found.pop().after if joins else part.started_from, part.started_until))
    return found


def first_missed(coverage: Iterable[Seen], now: int) -> int | None:
    """When the first of the rooms may have ended that were missed so far: until then, and 7 days more, nothing is lost.

    What started before it was listed for the last time and was missed ended after that.
    """
    doubtful = _doubtful(coverage, now, LAST_SHOWN)
    return min((part.started_from if part.seen_at is None else part.seen_at for part in doubtful), default=None)


def _doubtful(coverage: Iterable[Seen], now: int, look_back: int) -> Iterator[Seen]:
    for part in coverage:
        if part.seen_at is None:
            yield part
        elif now - part.seen_at > STALE and (late := part.between(part.seen_at - look_back, part.started_until)):
            yield late
