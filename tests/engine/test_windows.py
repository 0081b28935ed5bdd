"""A series counts what an obvious sum over all its rooms would count, in whatever order they come and go."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.engine.windows import EVER, KEPT_EVIDENCE, NOBODY, NOTHING, Evidence, Match, Series, Sums, Totals


class Room(NamedTuple):
    """What one room holds of a group: its people by number, those that match, and evidence of these."""

    minute: int
    people: frozenset[int]
    matched: frozenset[int]
    evidence: tuple[Evidence, ...] = ()


def count(series: Series, room: Room, sign: int = 1) -> None:
    series.totals.fold(room.minute, len(room.people), room.people, sign)
    match_in(series, room, sign)


def match_in(series: Series, room: Room, sign: int = 1) -> None:
    if room.matched:
        series.match(room.minute, Match(len(room.matched), len(room.people), room.matched, room.evidence), sign)


def forget(series: Series, upto: int) -> None:
    series.totals.forget(EVER, upto)
    series.forget(EVER, upto)


def evidence(minute: int, number: int) -> Evidence:
    return Evidence(ended=minute * 60 + number % 60, participant_sid=f"PA{number:032x}", room_sid="RM1")


@st.composite
def rooms(draw):
    """A room with some participants, of whom some match; they may meet again elsewhere."""
    number, minute = draw(st.integers(0, 10**6)), draw(st.integers(0, 40))
    people = draw(st.lists(st.integers(0, 9), unique=True, max_size=5))
    matched = draw(st.integers(0, len(people)))
    shown = tuple(evidence(minute, number * 10 + place) for place in range(matched))
    return Room(minute, frozenset(people), frozenset(people[:matched]), shown)


def obvious(kept: list[Room], after: int, upto: int) -> tuple[Sums, tuple[int, int], list[Evidence]]:
    inside = [room for room in kept if after < room.minute <= upto]
    pairs = [(len(room.matched), len(room.people)) for room in inside]
    sums = Sums(
        len(pairs),
        sum(k > 0 for k, _ in pairs),
        sum(n for _, n in pairs),
        sum(k for k, _ in pairs),
        sum(k**2 for k, _ in pairs),
        sum(k * n for k, n in pairs),
        sum(n**2 for _, n in pairs),
    )
    matched = {person for room in inside for person in room.matched}
    everyone = {person for room in inside for person in room.people}
    every = (item for room in inside for item in room.evidence)
    latest = sorted(every, key=lambda item: (item.ended, item.participant_sid), reverse=True)
    return sums, (len(matched), len(everyone)), latest[:5]


def seen(series: Series, after: int, upto: int) -> tuple[Sums, tuple[int, int], list[Evidence]]:
    return series.between(after, upto), series.identities(after, upto), list(series.evidence(after, upto, 5))


@given(st.data(), st.lists(rooms(), max_size=25), st.integers(-1, 41), st.integers(-1, 41))
def test_whatever_is_folded_taken_out_and_forgotten_the_sums_are_those_of_what_is_left(data, given_rooms, after, upto):
    series, kept, gone = Series(), [], -1
    for room in given_rooms:
        if room.minute > gone:
            count(series, room)
            kept.append(room)
        action = data.draw(st.sampled_from(["go on", "take out", "forget", "forget between", "look"]))
        if action == "take out" and kept:
            count(series, kept.pop(data.draw(st.integers(0, len(kept) - 1))), -1)
        elif action == "forget":
            gone = max(gone, data.draw(st.integers(0, 20)))
            forget(series, gone)
            kept = [room for room in kept if room.minute > gone]
        elif action == "forget between":
            low, high = sorted(data.draw(st.tuples(st.integers(0, 20), st.integers(0, 20))))
            series.totals.forget(low, high)
            series.forget(low, high)
            kept = [room for room in kept if not low < room.minute <= high]
        elif action == "look":
            series.between(after, upto)
    assert seen(series, max(after, gone), upto) == obvious(kept, max(after, gone), upto)
    assert series.matched == sum(len(room.matched) for room in kept)


@given(st.lists(rooms(), max_size=12), st.randoms(use_true_random=False))
def test_the_order_in_which_rooms_come_does_not_matter(given_rooms, dice):
    first, second, shuffled = Series(), Series(), given_rooms.copy()
    dice.shuffle(shuffled)
    for room in given_rooms:
        count(first, room)
    for room in shuffled:
        count(second, room)
    assert seen(first, 5, 30) == seen(second, 5, 30)


@given(st.lists(st.tuples(rooms(), st.booleans()), max_size=20), st.integers(0, 20))
def test_series_that_share_their_totals_see_the_same_rooms_and_each_its_own_matches(given_rooms, gone):
    totals = Totals()
    first, second = Series(totals), Series(totals)
    for room, of_first in given_rooms:
        totals.fold(room.minute, len(room.people), room.people)
        match_in(first if of_first else second, room)
    totals.forget(EVER, gone)
    for series in (first, second):
        series.forget(EVER, gone)
        of_this = [(series is first) is of_first for _, of_first in given_rooms]
        its_own = [
            room if mine else room._replace(matched=NOBODY, evidence=())
            for (room, _), mine in zip(given_rooms, of_this, strict=True)
        ]
        assert seen(series, gone, 40) == obvious(its_own, gone, 40)


def test_a_window_is_open_at_its_beginning_and_closed_at_its_end(series_of):
    series = series_of((10, 1, 4), (11, 2, 4), (20, 3, 4))
    assert series.between(10, 20).matched == 5
    assert series.between(9, 19).matched == 3
    assert series.between(20, 20) == series.between(30, 10) == NOTHING


def test_looking_changes_nothing(series_of):
    series = series_of((10, 1, 4), (12, 2, 4))
    assert seen(series, 0, 11) == seen(series, 0, 11)
    assert (len(series.totals), series.matched) == (2, 3)


def test_a_room_that_comes_late_counts_in_its_own_minute(series_of):
    series = series_of((10, 1, 4), (30, 1, 4))
    assert series.between(0, 30).rooms == 2
    count(series, Room(20, frozenset(range(4)), frozenset([1, 2])))
    assert [series.between(0, upto).matched for upto in (10, 20, 30)] == [1, 3, 4]


def test_one_person_in_two_rooms_is_one_identity_until_both_rooms_are_taken_out():
    series, room = Series(), Room(1, frozenset([7]), frozenset([7]))
    count(series, room)
    count(series, room)
    assert series.identities(0, 1) == (1, 1)
    count(series, room, -1)
    assert series.identities(0, 1) == (1, 1)
    count(series, room, -1)
    assert series.identities(0, 1) == (0, 0)


def test_evidence_comes_most_recent_first_from_inside_the_window_however_much_followed_it():
    series = Series()
    for minute in range(100):
        series.match(minute, Match(1, 1, evidence=(evidence(minute, minute),)))
    assert [item.ended // 60 for item in series.evidence(10, 20, 5)] == [20, 19, 18, 17, 16]
    assert [item.ended // 60 for item in series.evidence(18, 20, 5)] == [20, 19]


def test_a_minute_full_of_failures_keeps_only_the_latest_few():
    series, shown = Series(), [evidence(3, number) for number in range(60)]
    for item in shown:
        series.match(3, Match(1, 1, evidence=(item,)))
    assert list(series.evidence(0, 9, 1000)) == shown[: -KEPT_EVIDENCE - 1 : -1]
    series.match(3, Match(1, 1, evidence=(shown[-1],)), -1)
    assert list(series.evidence(0, 9, 5)) == shown[-2:-7:-1]


def test_what_is_forgotten_costs_nothing_any_more(series_of):
    series = series_of(*((minute, 1, 3) for minute in range(1000)))
    forget(series, 989)
    assert (len(series.totals), series.matched) == (10, 10)
    assert series.between(0, 2000) == series.between(989, 999)
    forget(series, 5000)
    assert (len(series.totals), series.matched, series.between(0, 9999)) == (0, 0, NOTHING)
    count(series, Room(6000, frozenset([1, 2, 3]), frozenset([1, 2])))
    assert series.between(0, 9999) == Sums(rooms=1, affected=1, total=3, matched=2, kk=4, kn=6, nn=9)


def test_a_participant_listed_twice_is_no_trouble():
    series, twice = Series(), (evidence(3, 1), evidence(3, 1))
    series.match(3, Match(2, 2, frozenset([1]), twice))
    assert series.evidence(0, 9, 5) == twice


@pytest.mark.parametrize(("matched", "affected"), [(0, 0), (1, 1), (4, 1)])
def test_a_room_is_affected_by_one_match_as_by_many(series_of, matched, affected):
    assert series_of((7, matched, 4)).between(6, 7)[:4] == (1, affected, 4, matched)


def test_the_span_is_that_of_all_matches_in_the_window_however_few_are_shown(series_of):
    series = series_of(*[(minute, 1, 2) for minute in range(10, 50)])
    assert series.span(0, 100) == (10, 49)
    assert series.span(19, 30) == (20, 30)
    assert series.span(60, 100) is None
