"""A series counts what an obvious sum over all its rooms would count, in whatever order they come and go."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.engine.windows import KEPT_EVIDENCE, NOTHING, Evidence, RoomCount, Series, Sums, of_room


def evidence(minute: int, number: int) -> Evidence:
    return Evidence(ended=minute * 60 + number % 60, participant_sid=f"PA{number:032x}", room_sid="RM1")


@st.composite
def rooms(draw):
    """(minute, count) of one room: some participants, of whom some match; identities may meet again elsewhere."""
    number, minute = draw(st.integers(0, 10**6)), draw(st.integers(0, 40))
    people = draw(st.lists(st.integers(0, 9), unique=True, max_size=5))
    matched = draw(st.integers(0, len(people)))
    shown = tuple(evidence(minute, number * 10 + place) for place in range(matched))
    return minute, RoomCount(matched, len(people), frozenset(people[:matched]), frozenset(people), shown)


def obvious(kept: list[tuple[int, RoomCount]], after: int, upto: int) -> tuple[Sums, tuple[int, int], list[Evidence]]:
    inside = [count for minute, count in kept if after < minute <= upto]
    sums = Sums(
        len(inside),
        sum(count.matched > 0 for count in inside),
        sum(count.total for count in inside),
        sum(count.matched for count in inside),
        sum(count.matched**2 for count in inside),
        sum(count.matched * count.total for count in inside),
        sum(count.total**2 for count in inside),
    )
    matched = {person for count in inside for person in count.matched_identities}
    everyone = {person for count in inside for person in count.identities}
    every = (item for count in inside for item in count.evidence)
    latest = sorted(every, key=lambda item: (item.ended, item.participant_sid), reverse=True)
    return sums, (len(matched), len(everyone)), latest[:5]


def seen(series: Series, after: int, upto: int) -> tuple[Sums, tuple[int, int], list[Evidence]]:
    return series.between(after, upto), series.identities(after, upto), list(series.evidence(after, upto, 5))


@given(st.data(), st.lists(rooms(), max_size=25), st.integers(-1, 41), st.integers(-1, 41))
def test_whatever_is_folded_taken_out_and_forgotten_the_sums_are_those_of_what_is_left(data, given_rooms, after, upto):
    series, kept, gone = Series(), [], -1
    for minute, count in given_rooms:
        if minute > gone:
            series.fold(minute, count)
            kept.append((minute, count))
        action = data.draw(st.sampled_from(["go on", "take out", "forget", "look"]))
        if action == "take out" and kept:
            old = kept.pop(data.draw(st.integers(0, len(kept) - 1)))
            series.fold(*old, -1)
        elif action == "forget":
            gone = max(gone, data.draw(st.integers(0, 20)))
            series.forget(gone)
            kept = [room for room in kept if room[0] > gone]
        elif action == "look":
            series.between(after, upto)
    assert seen(series, max(after, gone), upto) == obvious(kept, max(after, gone), upto)
    assert series.matched == sum(count.matched for _, count in kept)


@given(st.lists(rooms(), max_size=12), st.randoms(use_true_random=False))
def test_the_order_in_which_rooms_come_does_not_matter(given_rooms, dice):
    first, second, shuffled = Series(), Series(), given_rooms.copy()
    dice.shuffle(shuffled)
    for room in given_rooms:
        first.fold(*room)
    for room in shuffled:
        second.fold(*room)
    assert seen(first, 5, 30) == seen(second, 5, 30)


def test_a_window_is_open_at_its_beginning_and_closed_at_its_end(series_of):
    series = series_of((10, 1, 4), (11, 2, 4), (20, 3, 4))
    assert series.between(10, 20).matched == 5
    assert series.between(9, 19).matched == 3
    assert series.between(20, 20) == series.between(30, 10) == NOTHING


def test_looking_changes_nothing(series_of):
    series = series_of((10, 1, 4), (12, 2, 4))
    assert seen(series, 0, 11) == seen(series, 0, 11)
    assert (len(series), series.matched) == (2, 3)


def test_a_room_that_comes_late_counts_in_its_own_minute(series_of):
    series = series_of((10, 1, 4), (30, 1, 4))
    assert series.between(0, 30).rooms == 2
    series.fold(20, RoomCount(2, 4))
    assert [series.between(0, upto).matched for upto in (10, 20, 30)] == [1, 3, 4]


def test_one_person_in_two_rooms_is_one_identity_until_both_rooms_are_taken_out():
    series, room = Series(), RoomCount(1, 1, frozenset([7]), frozenset([7]))
    series.fold(1, room)
    series.fold(1, room)
    assert series.identities(0, 1) == (1, 1)
    series.fold(1, room, -1)
    assert series.identities(0, 1) == (1, 1)
    series.fold(1, room, -1)
    assert series.identities(0, 1) == (0, 0)


def test_evidence_comes_most_recent_first_from_inside_the_window_however_much_followed_it():
    series = Series()
    for minute in range(100):
        series.fold(minute, RoomCount(1, 1, frozenset(), frozenset(), (evidence(minute, minute),)))
    assert [item.ended // 60 for item in series.evidence(10, 20, 5)] == [20, 19, 18, 17, 16]
    assert [item.ended // 60 for item in series.evidence(18, 20, 5)] == [20, 19]


def test_a_minute_full_of_failures_keeps_only_the_latest_few():
    series, shown = Series(), [evidence(3, number) for number in range(60)]
    for item in shown:
        series.fold(3, RoomCount(1, 1, frozenset(), frozenset(), (item,)))
    assert list(series.evidence(0, 9, 1000)) == shown[: -KEPT_EVIDENCE - 1 : -1]
    series.fold(3, RoomCount(1, 1, frozenset(), frozenset(), (shown[-1],)), -1)
    assert list(series.evidence(0, 9, 5)) == shown[-2:-7:-1]


def test_what_is_forgotten_costs_nothing_any_more(series_of):
    series = series_of(*((minute, 1, 3) for minute in range(1000)))
    series.forget(989)
    assert (len(series), series.matched) == (10, 10)
    assert series.between(0, 2000) == series.between(989, 999)
    series.forget(5000)
    assert (len(series), series.matched, series.between(0, 9999)) == (0, 0, NOTHING)
    series.fold(6000, RoomCount(2, 3))
    assert series.between(0, 9999) == of_room(2, 3)


def test_a_participant_listed_twice_is_no_trouble():
    series, twice = Series(), (evidence(3, 1), evidence(3, 1))
    series.fold(3, RoomCount(2, 2, frozenset([1]), frozenset([1]), twice))
    assert series.evidence(0, 9, 5) == twice


@pytest.mark.parametrize(("matched", "affected"), [(0, 0), (1, 1), (4, 1)])
def test_a_room_is_affected_by_one_match_as_by_many(matched, affected):
    assert of_room(matched, 4)[:4] == (1, affected, 4, matched)


@given(st.lists(st.tuples(*[st.integers(0, 99)] * 7)), st.lists(st.tuples(*[st.integers(0, 99)] * 7)))
def test_taking_away_undoes_adding(first, second):
    here, there = (sum((Counter(dict(enumerate(row))) for row in rows), Counter()) for rows in (first, second))
    a, b = Sums(*(here[place] for place in range(7))), Sums(*(there[place] for place in range(7)))
    assert a.plus(b).minus(b) == a
    assert a.plus(b) == b.plus(a)


def test_the_span_is_that_of_all_matches_in_the_window_however_few_are_shown(series_of):
    series = series_of(*[(minute, 1, 2) for minute in range(10, 50)])
    assert series.span(0, 100) == (10, 49)
    assert series.span(19, 30) == (20, 30)
    assert series.span(60, 100) is None
