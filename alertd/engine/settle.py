"""Is this room final, partial, or when to look again; and which list calls cover what is still open."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, inf

import msgspec

from alertd.engine.coverage import LAST_SHOWN, LONGEST_ROOM, STALE, Coverage, Seen, Stretch, expected_rooms
from alertd.engine.records import Room, epoch, spelled

PAGE = 1000
"""Rooms on a full page of a list."""
FRESH = 45 * 60
"""Every look lists the rooms that started in so many seconds: three of four have ended and settled by then."""
TIERS = ((90 * 60, 300), (3 * 3600, 900), (6 * 3600, 1800), (12 * 3600, 3600))
"""How far other looks reach back, and how often: the longer a room has gone on, the longer it will go on yet."""
WIDEST_EVERY = 9000
"""Seconds between looks that reach back over the longest room."""
SECONDS_A_PAGE = 200
"""So many seconds apart are the wide looks of a small account at least, for each page that they take."""
RECONCILE_EVERY = 86400
"""Seconds after which all that Twilio keeps is listed again, for rooms that appeared late or changed."""
MOST_PAGES = 20
"""Pages that one list call may take: only at its end is it known that nothing was missed."""
MOST_NEW_PAGES = 5
"""The same where rooms were never listed, which have to be read as well."""
UNLISTED = 960
"""Seconds after which an open room that is due is read by itself, because no list has shown it."""


@dataclass(frozen=True, slots=True)
class Open:
    """Not final yet: look again at `look_again_at` (seconds since the epoch); `why` says what is missing.

    `ended` is the event time, None while the room goes on.
    """

    look_again_at: int
    why: str
    ended: int | None = None


@dataclass(frozen=True, slots=True)
class Final:
    """Nothing more will be added, or (`partial`) nothing more is waited for; `ended` is the event time."""

    ended: int
    partial: bool
    why: str


def settle(room: Room, now: int, settle_timeout: int, seen_ended: int | None = None) -> Open | Final:
    """Whether the room is final at `now`; `seen_ended` is when it was first seen to be over, if it was.

    Complete means processing_state `complete` of a completed room (Twilio: no further information will be added);
    `timeout` is Twilio's own giving up. Any other state is waited for until `settle_timeout` past the room's end.
    """
    state = spelled(room.processing_state or "")
    ended = event_time(room, now, seen_ended)
    if ended is None:
        return Open(now + 60, "in progress")
    if state == "complete":
        return Final(ended, partial=False, why="complete")
    if state == "timeout":
        return Final(ended, partial=True, why="Twilio gave up processing")
    if now >= ended + settle_timeout:
        return Final(ended, partial=True, why=f"still {state or 'without a state'} after the settle timeout")
    return Open(_next_look(now, ended, settle_timeout), state or "no state", ended)


def event_time(room: Room, now: int, seen_ended: int | None = None) -> int | None:
    """When the room ended, or None while it goes on.

    A completed one without end time ended at start plus duration, and when it was seen to be over (`seen_ended`, or
    else now) at the latest.
    """
    ended = epoch(room.end_time)
    if ended is not None:
        return ended
    status = spelled(room.room_status or "")
    created = epoch(room.create_time)
    if status == "completed" or (status != "in_progress" and spelled(room.processing_state or "") == "timeout"):
        latest = now if seen_ended is None else min(now, seen_ended)
        return min(latest, created + (room.duration_sec or 0)) if created is not None else latest
    if created is not None and now > created + LONGEST_ROOM + 3600:
        return created + LONGEST_ROOM  # no room lasts longer: Twilio lost its end
    return None


def _next_look(now: int, ended: int, settle_timeout: int) -> int:
    """Soon at first, rarer later, and once at the very time-out; most rooms settle within ten minutes."""
    age = now - ended
    pause = 60 if age < 900 else 120
    return min(now + pause, ended + settle_timeout)


class OpenRoom(msgspec.Struct, frozen=True, kw_only=True):
    """A room that was listed but is not final: `listed_at` is when it was first seen, `ended` None while it goes on.

    `started` is None where its summary does not say.
    """

    account: str
    room_sid: str
    listed_at: int
    ended: int | None
    look_again_at: int
    why: str
    started: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a look asks for: the list call that every look makes, then single rooms that no list would show in time,
    then all starts down to `reached` and what else `further_lists` names."""

    first: Stretch
    singles: tuple[OpenRoom, ...]
    reached: int


def plan_look(
    now: int,
    coverage: Coverage,
    waiting: Iterable[OpenRoom],
    look_back: int,
    page_size: int = PAGE,
    resting: Collection[Stretch] = (),
) -> Plan:
    """The calls that cover what is still open at `now`, as few as that takes.

    `coverage` reaches without gaps from the first start that matters to `now`; `waiting` are the rooms to look at again
    by now; `look_back` is for how many seconds after its start a room may still be under way or unlisted. Stretches
    that are `resting`, for their list failed a moment ago, are left out.
    """
    view = _View(now, coverage, page_size)
    due = [room for room in waiting if not view.lists_often(room)]
    reach = _reach(view, due, look_back)
    first = reach if view.pages(reach) <= view.most_pages(now - reach, now - FRESH) else FRESH
    first = max(FRESH, min([first, *(now - (one.before or now) for one in resting)]))
    parts = [Stretch(now - first, None), *_further(view, now - first, now - reach)]
    unlisted = [room for room in due if not any(_holds(part, room.started) for part in parts)]
    return Plan(parts[0], tuple(sorted(unlisted, key=lambda room: room.look_again_at)), now - reach)


def further_lists(
    now: int, coverage: Coverage, plan: Plan, page_size: int = PAGE, resting: Collection[Stretch] = ()
) -> list[Stretch]:
    """The list calls that follow the first: starts due again, starts never listed, and once a day all that Twilio
    keeps; the newest starts first, each call short enough to be worth keeping. `coverage` knows of the first."""
    view = _View(now, coverage, page_size)
    parts = [one for part in _further(view, plan.first.after, plan.reached) for one in part.without(resting)]
    return [call for part in parts for call in _sliced(view, part)]


@dataclass(frozen=True, slots=True)
class _View:
    """What is known when a look is planned."""

    now: int
    coverage: Coverage
    page_size: int

    def parts(self, start: int, end: int) -> Iterator[Seen]:
        """The parts that have to do with [start, end)."""
        return (part for part in self.coverage if part.started_from < end and part.started_until > start)

    def age(self, part: Seen) -> float:
        """How long ago it was listed; a sight in the future comes of a clock that was set back, and is no use."""
        return inf if part.seen_at is None or part.seen_at > self.now else self.now - part.seen_at

    def waited(self, start: int, end: int) -> float:
        """How long that part of [start, end) has waited that has waited longest; what never was listed is left out."""
        return max((self.age(part) for part in self.parts(start, end) if part.seen_at is not None), default=0)

    def pages(self, back: int) -> int:
        """Pages of a list that reaches so far back, at least one; somewhat more rooms may have come than last time."""
        rooms = expected_rooms(self.coverage, self.now - back, self.now)
        return ceil(max(1.0, 1.05 * rooms) / self.page_size)

    def most_pages(self, start: int, end: int) -> int:
        """How many one list call may take of this."""
        return MOST_NEW_PAGES if any(part.seen_at is None for part in self.parts(start, end)) else MOST_PAGES

    def lists_often(self, room: OpenRoom) -> bool:
        """Whether lists show this room often enough."""
        return room.started is not None and any(
            self.age(part) <= UNLISTED for part in self.parts(room.started, room.started + 1)
        )


def _holds(stretch: Stretch, start: int | None) -> bool:
    return start is not None and stretch.after <= start and (stretch.before is None or start < stretch.before)


def _reach(view: _View, due: Sequence[OpenRoom], look_back: int) -> int:
    """How many seconds back this look goes at least: over each tier that is due, over open rooms that are due where
    pages are fewer calls than they are, and over whatever the last page has room for."""
    last = look_back + WIDEST_EVERY
    tiers = [tier for tier in TIERS if tier[0] < last] + [(last, WIDEST_EVERY)]
    slowest = max(600, SECONDS_A_PAGE * view.pages(last))
    reach, newer = FRESH, view.now - FRESH
    for back, every in tiers:
        if view.waited(view.now - back, newer) >= min(every, slowest):
            reach = back
        newer = view.now - back
    for back, _ in tiers:
        rooms = sum(_holds(Stretch(view.now - back, view.now - reach), room.started) for room in due)
        if view.pages(back) - view.pages(reach) < rooms:
            reach = max(reach, back)
    return _filled(view, reach, [last, *(back for back, _ in reversed(TIERS))])


def _filled(view: _View, reach: int, farther: Iterable[int]) -> int:
    """As far back as no further page is needed: a small account is seen whole at each look."""
    for back in farther:
        known = all(part.seen_at is not None for part in view.parts(view.now - back, view.now - reach))
        if back > reach and known and view.pages(back) <= view.pages(reach):
            return back
    return reach


def _further(view: _View, first: int, reached: int) -> Iterator[Stretch]:
    """What else is to be listed of the starts before `first`, the newest first: down to `reached` what was not listed
    just now, below what never was or was left alone while its rooms went on, and the rest once it waited for a day."""
    daily = view.waited(0, reached) >= RECONCILE_EVERY
    joined: Stretch | None = None
    for part in reversed(view.coverage):
        here = part.between(_wanted_from(view, part, reached, daily=daily), first)
        if here is None:
            continue
        if joined and joined.after == here.started_until:
            joined = Stretch(here.started_from, joined.before)
            continue
        if joined:
            yield joined
        joined = Stretch(here.started_from, here.started_until)
    if joined:
        yield joined


def _wanted_from(view: _View, part: Seen, reached: int, *, daily: bool) -> int:
    """The start from which on this part is to be listed; its end if it need not be."""
    age = view.age(part)
    if part.seen_at is None or (daily and age >= RECONCILE_EVERY / 2):
        return part.started_from
    if age < _pause(view.now - part.started_until) / 2:
        return part.started_until  # a look before this one came so far
    since = max(part.started_from, part.seen_at - LAST_SHOWN) if age > STALE else reached
    return min(since, reached)


def _pause(back: int) -> int:
    return next((every for tier, every in TIERS if back < tier), WIDEST_EVERY)


def _sliced(view: _View, part: Stretch) -> Iterator[Stretch]:
    """The stretch in list calls of a few pages each, the newest starts first."""
    after, before = part.after, part.before or part.after
    rooms = expected_rooms(view.coverage, after, before)
    calls = ceil(rooms / (view.most_pages(after, before) * view.page_size)) if rooms else ceil((before - after) / 3600)
    step = max(60, ceil((before - after) / max(1, calls)))
    for end in range(before, after, -step):
        yield Stretch(max(after, end - step), end)
