"""Which calls a look makes: none too few, so that no room is missed, and hardly one too many."""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertd.engine.coverage import HORIZON, Coverage, Seen, Stretch, began, covered, holes, spanned
from alertd.engine.settle import (
    FRESH,
    MOST_NEW_PAGES,
    MOST_PAGES,
    PAGE,
    RECONCILE_EVERY,
    TIERS,
    UNLISTED,
    WIDEST_EVERY,
    OpenRoom,
    Plan,
    further_lists,
    plan_look,
)

MINUTE = 60
HOUR = 3600
DAY = 86400
NOW = 1_772_452_800
LOOK_BACK = 25 * HOUR
TICK = 600
"""The oracle remembers of one start in so many seconds when it was last listed."""
TIERS_AND_LAST = (*TIERS, (LOOK_BACK, WIDEST_EVERY))


@dataclass
class Account:
    """An account with so many rooms a day at a steady pace: what looks make of its coverage, and what was the case."""

    per_day: int
    backfill: int = LOOK_BACK
    coverage: Coverage = ()
    listed: dict[int, int] = field(default_factory=dict)
    calls: list[tuple[Stretch, int]] = field(default_factory=list)
    most_parts: int = 0

    def look(self, now: int, waiting: Iterable[OpenRoom] = ()) -> Plan:
        """One look that has all the time it needs; `calls` are its list calls and their pages."""
        self.calls = []
        self.coverage = spanned(self.coverage, began(self.coverage, now, self.backfill), now)
        plan = plan_look(now, self.coverage, waiting, LOOK_BACK)
        self.list(plan.first, now)
        for stretch in further_lists(now, self.coverage, plan):
            self.list(stretch, now)
        self.most_parts = max(self.most_parts, len(self.coverage))
        return plan

    def list(self, stretch: Stretch, now: int) -> None:
        end = now if stretch.before is None else stretch.before
        rooms = self.rooms(stretch.after, end)
        self.calls.append((stretch, max(1, ceil(rooms / PAGE))))
        new = Seen(started_from=stretch.after, started_until=end, seen_at=now, rooms=rooms)
        self.coverage = covered(self.coverage, new, now - HORIZON)
        for start in ticks(stretch.after, end):
            self.listed[start] = now

    def rooms(self, start: int, end: int) -> int:
        return end * self.per_day // DAY - start * self.per_day // DAY

    def pages(self) -> int:
        return sum(pages for _, pages in self.calls)


def ticks(start: int, end: int) -> range:
    return range(-(-start // TICK) * TICK, end, TICK)


def longest_wait(now: int, start: int) -> int:
    """Until when a start that is as old as this one must be listed again."""
    if now - start <= FRESH:
        return 1
    return next((every for back, every in TIERS_AND_LAST if now - start <= back), RECONCILE_EVERY)


def room(number: int, started: int | None, look_again_at: int = 0) -> OpenRoom:
    return OpenRoom(
        account="a",
        room_sid=str(number),
        listed_at=0,
        ended=0,
        look_again_at=look_again_at,
        why="in progress",
        started=started,
    )


SIZES = st.sampled_from([0, 200, 1000, 5000, 50_000, 200_000])
GAPS = st.lists(st.sampled_from([1, 20, 60, 60, 61, 300, 1000, 3600, 4 * HOUR, DAY, 3 * DAY]), min_size=1, max_size=30)


@st.composite
def accounts(draw: st.DrawFn) -> Account:
    """An account of which this and that was listed some time ago, or nothing at all."""
    account = Account(draw(SIZES), backfill=draw(st.sampled_from([LOOK_BACK, 3 * DAY, 7 * DAY])))
    at = NOW - 4 * DAY
    for _ in range(draw(st.integers(0, 6))):
        end = at - draw(st.integers(0, 3 * DAY // TICK)) * TICK
        account.list(Stretch(end - draw(st.integers(1, DAY // TICK)) * TICK, end), at)
        at += draw(st.integers(0, DAY // 2))
    return account


slow = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(accounts(), GAPS)
@slow
def test_after_each_look_every_start_has_been_listed_as_lately_as_its_age_asks_for(account, gaps):
    now = NOW
    for gap in gaps:
        account.look(now)
        late = {
            now - start: now - account.listed.get(start, 0)
            for start in ticks(began(account.coverage, now, account.backfill), now)
            if now - account.listed.get(start, 0) >= longest_wait(now, start)
        }
        assert late == {}
        now += gap


@given(accounts(), GAPS)
@slow
def test_after_each_look_no_start_is_left_that_never_was_listed_nor_a_recent_one_that_is_missing(account, gaps):
    now = NOW
    for gap in gaps:
        account.look(now)
        assert [part for part in account.coverage if part.seen_at is None] == []
        assert [hole for hole in holes(account.coverage, now, LOOK_BACK) if hole.before > now - LOOK_BACK] == []
        now += gap


@pytest.mark.parametrize("gap", [7 * MINUTE, HOUR])
@pytest.mark.parametrize("per_day", [200, 5000, 200_000])
def test_every_start_is_listed_once_more_when_its_longest_room_is_over(per_day, gap):
    account, now = Account(per_day), NOW
    while now < NOW + 4 * DAY:
        account.look(now)
        now += gap
    over = [start for start in account.listed if NOW <= start < now - LOOK_BACK - RECONCILE_EVERY - gap]
    assert over
    assert min(account.listed[start] - start for start in over) >= LOOK_BACK


@pytest.mark.parametrize("per_day", [200, 5000, 200_000])
def test_the_number_of_parts_stays_small_in_a_week_of_looks_and_nothing_is_missing(per_day):
    account = Account(per_day, backfill=7 * DAY)
    looks = [*range(NOW, NOW + 8 * DAY, 10 * MINUTE), *range(NOW + 8 * DAY, NOW + 8 * DAY + 3 * HOUR, MINUTE)]
    for now in looks:
        account.look(now)
        assert holes(account.coverage, now, LOOK_BACK) == []
    assert account.most_parts < 200


@given(accounts(), st.lists(st.tuples(st.integers(0, 30 * HOUR), st.integers(-600, 600)), max_size=60))
@slow
def test_the_first_call_lists_all_that_started_of_late(account, waiting):
    rooms = [room(number, NOW - age, NOW + again) for number, (age, again) in enumerate(waiting)]
    plan = account.look(NOW, rooms)
    assert plan.first.after <= NOW - FRESH
    assert plan.first.before is None


@given(accounts(), st.lists(st.tuples(st.integers(0, 30 * HOUR), st.integers(-600, 600)), max_size=60))
@slow
def test_a_room_that_is_due_is_listed_by_this_look_or_read_by_itself_or_was_just_listed(account, waiting):
    rooms = [room(number, NOW - age, NOW + again) for number, (age, again) in enumerate(waiting)]
    before = dict(account.listed)
    plan = account.look(NOW, rooms)
    singles = set(plan.singles)
    for one in rooms:
        lists = [call for call, _ in account.calls if call.after <= one.started < (call.before or NOW + 1)]
        assert not (lists and one in singles), "a list shows it"
        assert one.look_again_at <= NOW or one not in singles, "it is not due"
        if one.look_again_at <= NOW and not lists and one not in singles:
            tick = one.started // TICK * TICK
            assert NOW - max(before.get(tick, 0), before.get(tick + TICK, 0)) <= UNLISTED


@given(accounts(), st.lists(st.integers(0, 27 * HOUR), max_size=80))
@slow
def test_single_rooms_are_read_only_where_that_is_fewer_calls_than_pages(account, ages):
    account.look(NOW - HOUR)
    rooms = [room(number, NOW - age) for number, age in enumerate(ages)]
    plan = account.look(NOW, rooms)
    for back in (*(back for back, _ in TIERS), LOOK_BACK + WIDEST_EVERY):
        singles = sum(NOW - one.started <= back for one in plan.singles)
        reached = NOW - max(plan.reached, plan.first.after)
        assert singles <= ceil(1.05 * max(0, account.rooms(NOW - back, NOW - reached)) / PAGE) + 1


def test_a_room_whose_start_nobody_told_is_read_by_itself():
    unknown = room(1, None)
    account = Account(200)
    account.look(NOW - MINUTE)
    assert account.look(NOW, [unknown]).singles == (unknown,)


@pytest.mark.parametrize("hours", [2, 8, 100])
@pytest.mark.parametrize("per_day", [0, 200, 50_000, 200_000])
def test_what_was_missed_is_listed_newest_first_in_calls_of_a_few_pages(per_day, hours):
    account = Account(per_day)
    for ago in range(3 * HOUR, 0, -10 * MINUTE):
        account.look(NOW - ago)
    account.look(NOW + hours * HOUR)
    calls = [call for call, _ in account.calls]
    assert all(newer.after == older.before for newer, older in pairwise(calls))
    assert calls[-1].after <= NOW
    assert all(pages <= MOST_NEW_PAGES + 1 for call, pages in account.calls[1:] if call.after >= NOW)
    assert all(pages <= MOST_PAGES + 1 for _, pages in account.calls)


def test_the_first_look_at_a_big_account_begins_with_the_present_and_goes_back_piece_by_piece():
    account = Account(200_000, backfill=7 * DAY)
    account.look(NOW)
    calls = [call for call, _ in account.calls]
    assert calls[0] == Stretch(NOW - FRESH, None)
    assert calls[-1].after == NOW - 7 * DAY
    assert len(calls) > 200
    assert max(pages for _, pages in account.calls[1:]) <= MOST_NEW_PAGES + 1


@given(accounts(), st.integers(1, 3 * DAY))
@slow
def test_sights_in_the_future_of_a_clock_that_was_set_back_are_made_again(account, by):
    account.look(NOW + by)
    account.look(NOW)
    assert {account.listed[start] for start in ticks(began(account.coverage, NOW, LOOK_BACK), NOW)} == {NOW}


@dataclass
class Day:
    """The rooms of an account: when each started, ended and had settled; what of it is known, and at how many calls."""

    starts: list[int]
    ends: list[int]
    settled: list[int]
    unsettled: list[int] = field(default_factory=list)
    waiting: dict[int, OpenRoom] = field(default_factory=dict)
    arrived: int = 0
    done: int = 0

    @classmethod
    def of(cls, per_day: int, since: int, until: int) -> Day:
        dice = random.Random(per_day)
        starts = sorted(dice.randrange(since, until) for _ in range(per_day * (until - since) // DAY))
        lasting = [dice.randint(4 * HOUR, 23 * HOUR) if dice.random() < 0.003 else 0 for _ in starts]
        lasting = [long or min(DAY, int(dice.lognormvariate(7.3, 0.85))) for long in lasting]
        ends = [start + long for start, long in zip(starts, lasting, strict=True)]
        return cls(starts, ends, [end + int(dice.lognormvariate(5.75, 0.42)) for end in ends])

    def list(self, stretch: Stretch, now: int) -> None:
        """What of the stretch has settled is done; what has only ended waits."""
        while self.arrived < len(self.starts) and self.starts[self.arrived] <= now:
            insort(self.unsettled, self.arrived)
            self.arrived += 1
        first = bisect_left(self.unsettled, stretch.after, key=self.starts.__getitem__)
        end = len(self.unsettled)
        if stretch.before is not None:
            end = bisect_left(self.unsettled, stretch.before, key=self.starts.__getitem__)
        self.unsettled[first:end] = [one for one in self.unsettled[first:end] if not self.see(one, now)]

    def see(self, one: int, now: int) -> bool:
        if self.settled[one] <= now:
            self.waiting.pop(one, None)
            self.done += 1
            return True
        if self.ends[one] <= now:
            self.waiting[one] = room(one, self.starts[one], now + MINUTE)
        return False


@pytest.mark.parametrize(
    ("per_day", "hours", "most"), [(200, 30, 1.0), (5000, 25, 1.0), (200_000, 5, 1.1)], ids=["200", "5000", "200000"]
)
def test_a_settled_room_takes_hardly_more_calls_than_one_for_itself_and_one_for_each_look(per_day, hours, most):
    account = Account(per_day)
    for ago in range(30 * HOUR, 0, -10 * MINUTE):
        account.look(NOW - ago)
    rooms, calls = Day.of(per_day, NOW - 30 * HOUR, NOW + hours * HOUR), 0
    rooms.list(Stretch(0, None), NOW)
    rooms.done = 0
    for now in range(NOW, NOW + hours * HOUR, MINUTE):
        plan = account.look(now, rooms.waiting.values())
        for call, _ in account.calls:
            rooms.list(call, now)
        for one in plan.singles:
            number = int(one.room_sid)
            if rooms.see(number, now):
                rooms.unsettled.remove(number)
        calls += account.pages() + len(plan.singles)
    looks = hours * HOUR / MINUTE
    floor = 1 + looks / rooms.done
    assert 1 + calls / rooms.done <= (floor + 0.1 if most == 1.0 else most)
