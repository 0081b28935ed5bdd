"""What is usual, against an obvious count from the list of all rooms; and that neither order nor mistakes matter."""

from __future__ import annotations

import random
from math import isclose, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alertd.engine.baselines import Hours, Pool, hours_of, pooled, wandering, whole_hours
from alertd.engine.books import Entry

SLOTS = ((15, 0), (15, 10), (15, 30), (30, 0), (60, 0))
HOURS = range(100, 112)
FIRST, LAST = HOURS.start * 60, HOURS.stop * 60 - 1


@st.composite
def rooms(draw) -> Entry:
    ended = draw(st.integers(FIRST - 90, LAST + 90))
    matched = draw(st.sampled_from([0, 0, 0, 1, 3]))
    failed = ended - draw(st.integers(0, 100)) if matched and draw(st.booleans()) else None
    return Entry(ended, ended + draw(st.one_of(st.integers(0, 75), st.just(3000))), failed, 4, matched)


groups_of_rooms = st.lists(st.lists(rooms(), max_size=25), min_size=1, max_size=4)
outs = st.frozensets(st.sampled_from(HOURS), max_size=4)


def book_of(entries: list[Entry]) -> Hours:
    book = Hours(SLOTS)
    for entry in entries:
        book.fold(entry, 1)
    return book


def pool_of(*groups: list[Entry], left_out: tuple[frozenset[int], ...] = ()) -> tuple[Pool, list[Hours]]:
    books = [book_of(entries) for entries in groups]
    out = [*left_out, *[frozenset()] * len(books)]
    return Pool(HOURS, dict(zip(books, out, strict=False))), books


def seen_for(delay: int, length: int, position: int) -> float:
    """In how many of a slot's minutes a room is seen, by looking at each minute in turn."""
    ticks = range(1000, 1000 + length + position + 1)
    return sum(1 for tick in ticks if tick - position - length < 1000 <= tick - position and tick >= 1000 + delay)


@given(st.integers(0, 100), st.sampled_from(SLOTS))
def test_a_room_weighs_the_minutes_in_which_it_would_have_been_seen(delay, slot) -> None:
    book = book_of([Entry(FIRST, FIRST + delay, None, 2, 0)])
    assert book.rooms(HOURS)[1 + book.slots.index(slot)] == seen_for(delay, *slot)


class Oracle:
    """The same numbers from the lists of rooms, formula by formula as the reference has them."""

    def __init__(self, groups: list[list[Entry]], left_out: list[frozenset[int]]) -> None:
        self.groups, self.left_out = groups, left_out

    def inside(self, group: int) -> list[Entry]:
        return [one for one in self.groups[group] if self.counts(group, one.ended)]

    def counts(self, group: int, minute: int) -> bool:
        return minute // 60 in HOURS and minute // 60 not in self.left_out[group]

    def share(self, group: int, slot: tuple[int, int] | None) -> float:
        def weight(one: Entry) -> float:
            return 1 if slot is None else seen_for(one.known - one.ended, *slot) / slot[0]

        sums = [
            (sum(map(weight, self.inside(n))), sum(weight(one) for one in self.inside(n) if one.matched))
            for n in range(len(self.groups))
        ]
        return drawn_together(*sums[group], *map(sum, zip(*sums, strict=True)))

    def failing(self, group: int) -> float:
        sums = []
        for n, entries in enumerate(self.groups):
            rooms = sum(seen_for(one.known - one.ended, 60, 0) / 60 for one in self.inside(n))
            failed = [(one, one.ended if one.failed is None else one.failed) for one in entries if one.matched]
            hit = sum(seen_for(one.known - at, 60, 0) / 60 for one, at in failed if self.counts(n, at))
            sums.append((rooms, hit))
        return drawn_together(*sums[group], *map(sum, zip(*sums, strict=True)))

    def wander(self, group: int) -> float:
        def by_hour(n: int) -> list[tuple[int, int]]:
            inside = [[one for one in self.inside(n) if one.ended // 60 == hour] for hour in HOURS]
            return [(len(each), sum(one.matched > 0 for one in each)) for each in inside]

        every = [by_hour(n) for n in range(len(self.groups))]
        together = [tuple(map(sum, zip(*hour, strict=True))) for hour in zip(*every, strict=True)]
        return sqrt(squared_cv(every[group], squared_cv(together, 0.04)))

    def looks(self, most: float) -> float:
        first = min((one.ended // 60 for entries in self.groups for one in entries), default=HOURS.start)
        hours = HOURS.stop - max(HOURS.start, first)
        return sum(
            min(most, len(self.inside(n)) * 168 / max(1, hours - len(self.left_out[n])) / 3)
            for n in range(len(self.groups))
        )


def drawn_together(rooms: float, hit: float, all_rooms: float, all_hit: float) -> float:
    everywhere = (all_hit + 1) / (all_rooms + 40)
    return (hit + 6) / (rooms + 6 / everywhere)


def squared_cv(hours: list[tuple[int, int]], of_all: float) -> float:
    rooms, hit = (sum(column) for column in zip(*hours, strict=True))
    q = hit / rooms if rooms else 0
    above = sum((a - r * q) ** 2 - r * q * (1 - q) for r, a in hours) + 200 * of_all
    return max(0, above / (sum((r * q) ** 2 for r, _ in hours) + 200))


@settings(max_examples=150, deadline=None)
@given(groups_of_rooms, st.lists(outs, min_size=4, max_size=4))
def test_what_is_usual_is_what_an_obvious_count_says(groups, left_out) -> None:
    pool, books = pool_of(*groups, left_out=tuple(left_out[: len(groups)]))
    oracle = Oracle(groups, left_out)
    for number, book in enumerate(books):
        usual = pool.usual(book)
        assert isclose(usual.plain, oracle.share(number, None), rel_tol=1e-9)
        for slot in SLOTS:
            assert isclose(usual.shares[slot], oracle.share(number, slot), rel_tol=1e-9)
        assert isclose(usual.failing, oracle.failing(number), rel_tol=1e-9)
        assert isclose(usual.wander, oracle.wander(number), rel_tol=1e-6, abs_tol=1e-6)
    assert isclose(pool.looks(7.0), oracle.looks(7.0), rel_tol=1e-9)
    assert isclose(pool.looks(672.0), oracle.looks(672.0), rel_tol=1e-9)
    assert pool.learning == (sum(len(oracle.inside(number)) for number in range(len(groups))) < 100)


@given(st.lists(rooms(), max_size=30), st.lists(rooms(), max_size=10), st.randoms(use_true_random=False))
def test_what_was_taken_out_again_leaves_no_trace_whatever_the_order(kept, gone, rng) -> None:
    steps = [(entry, 1) for entry in kept + gone] + [(entry, -1) for entry in gone]
    rng.shuffle(steps)
    book = Hours(SLOTS)
    for entry, sign in steps:
        book.fold(entry, sign)
    straight = book_of(kept)
    assert book.rooms(HOURS) == straight.rooms(HOURS)
    assert book.affected(HOURS) == straight.affected(HOURS)
    assert book.by_hour(HOURS) == straight.by_hour(HOURS)
    assert list(book.failing.between(0, 10_000)) == list(straight.failing.between(0, 10_000))


@given(groups_of_rooms, st.lists(rooms(), max_size=12), st.randoms(use_true_random=False))
def test_a_pool_that_stands_says_what_a_new_one_would(groups, later, rng) -> None:
    """Rooms come one by one, before, in and behind the hours; whoever asks in between never gets an old answer."""
    books = [book_of(entries) for entries in groups]
    members = dict.fromkeys(books, frozenset())
    for entry in later:
        number = rng.randrange(len(books))
        pooled(rng.choice(books), HOURS, members, 1)
        books[number].fold(entry, 1)
        groups[number].append(entry)
        pool = books[0].pool
        found = pool if pool is not None and pool.stands(HOURS, 1) else pooled(books[0], HOURS, members, 1)
        anew, others = pool_of(*groups)
        assert [found.usual(book) for book in books] == [anew.usual(book) for book in others]


def test_a_pool_is_kept_as_long_as_nothing_in_it_changes() -> None:
    pool, (first, second) = pool_of([Entry(FIRST, FIRST + 5, None, 2, 0)], [])
    members = dict(pool.members)
    assert pooled(first, HOURS, members, 7) is pool
    assert pool.stands(HOURS, 7)
    assert not pool.stands(HOURS, 8)
    second.fold(Entry(LAST + 1, LAST + 9, None, 2, 1), 1)
    assert pooled(second, HOURS, members, 8) is pool
    second.fold(Entry(LAST, LAST + 9, None, 2, 1), 1)
    assert not pool.stands(HOURS, 8)
    assert pooled(first, HOURS, members, 8) is not pool


def test_a_group_with_no_past_is_taken_for_one_of_the_others() -> None:
    known = [Entry(FIRST + n % 700, FIRST + n % 700 + 5, None, 2, int(n % 50 == 0)) for n in range(5000)]
    pool, (_, new) = pool_of(known, [])
    assert pool.usual(new).plain == pytest.approx(0.02, rel=0.01)


def test_hours_of_trouble_are_not_usual() -> None:
    quiet = [Entry(FIRST + n, FIRST + n + 5, None, 2, int(n % 100 == 0)) for n in range(600)]
    trouble = [Entry(LAST - n, LAST - n + 5, None, 2, 1) for n in range(60)]
    pool, (book,) = pool_of(quiet + trouble)
    told, (same,) = pool_of(quiet + trouble, left_out=(frozenset([HOURS[-1]]),))
    assert pool.usual(book).plain > 0.08
    assert told.usual(same).plain < 0.02


def test_rooms_that_fail_and_settle_sooner_do_not_look_like_trouble() -> None:
    """Where affected rooms settle in 2 minutes and others in 12, a quarter of an hour shows mostly the affected."""
    entries = [
        Entry(FIRST + n % 700, FIRST + n % 700 + (2 if n % 50 == 0 else 12), None, 2, int(n % 50 == 0))
        for n in range(5000)
    ]
    pool, (book,) = pool_of(entries)
    usual = pool.usual(book)
    assert usual.plain == pytest.approx(0.02, rel=0.1)
    assert usual.shares[15, 0] == pytest.approx(0.02 * 13 / (0.02 * 13 + 0.98 * 3), rel=0.15)
    assert usual.shares[15, 30] == pytest.approx(usual.plain)


def test_chance_alone_is_no_wandering_and_good_and_bad_hours_are() -> None:
    rng = random.Random(5)
    rooms = [200] * 168
    steady = [sum(rng.random() < 0.03 for _ in range(200)) for _ in rooms]
    bad_hours = [rng.choice((0.4, 1.6)) for _ in rooms]
    restless = [sum(rng.random() < 0.03 * bad for _ in range(200)) for bad in bad_hours]
    assert sqrt(wandering(rooms, steady, 0.0)) < 0.15
    assert sqrt(wandering(rooms, restless, 0.36)) == pytest.approx(0.6, abs=0.1)


def test_the_baseline_ends_on_a_whole_hour_at_least_the_lag_ago() -> None:
    assert whole_hours(60 * 1000, 168 * 60, 1440) == range(808, 976)
    assert whole_hours(60 * 1000 + 59, 168 * 60, 1440) == range(808, 976)
    assert whole_hours(60 * 1000, 30, 0) == range(999, 1000)


def test_an_hour_counts_as_fired_if_any_minute_of_it_did() -> None:
    assert hours_of([(60 * 101 + 59, 60 * 102), (60 * 300, 60 * 301)], HOURS) == {101, 102}
    assert hours_of((), HOURS) == frozenset()


def test_what_is_forgotten_is_gone_and_the_rest_is_as_it_was() -> None:
    old, new = Entry(FIRST, FIRST + 5, FIRST - 1, 2, 1), Entry(FIRST + 200, FIRST + 205, FIRST + 199, 2, 1)
    book = Hours(SLOTS, reach=60)
    for entry in (old, new):
        book.fold(entry, 1)
    book.forget(FIRST + 200)
    straight = book_of([new])
    assert len(book) == 1
    assert book.rooms(HOURS) == straight.rooms(HOURS)
    assert book.affected(HOURS) == straight.affected(HOURS)
    assert book.first == HOURS.start + 3
    book.forget(FIRST + 1000)
    assert not book
