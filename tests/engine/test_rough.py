"""What hours tell of windows: never more at least, nor less at most, than any of them holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alertd.engine.rough import HOUR, UNKNOWN, Bounds, Hourly, Rough

ROOMS = st.lists(st.tuples(st.integers(0, 30 * HOUR), st.integers(1, 5), st.integers(0, 3)), max_size=30)


@given(ROOMS, st.integers(0, 30), st.integers(1, 20 * HOUR))
def test_every_window_that_ends_in_the_hour_lies_within_its_bounds(rooms, hour, window):
    hourly = Hourly(since=-(10**6))
    for ended, fine, matched in rooms:
        hourly.note(ended, fine + matched, 1)
        if matched:
            hourly.match("lost", ended, matched, 1)
    known = hourly.bounds("lost", hour, window)
    for last in range(hour * HOUR, hour * HOUR + HOUR):
        inside = [room for room in rooms if last - window < room[0] <= last]
        assert known.rooms <= len(inside)
        assert known.total <= sum(fine + matched for _, fine, matched in inside)
        assert known.affected >= sum(matched > 0 for _, _, matched in inside)
        assert known.matched >= sum(matched for _, _, matched in inside)


def test_of_windows_that_reach_back_before_anything_was_noted_nothing_is_known():
    hourly = Hourly(since=10 * HOUR)
    assert hourly.bounds("lost", 12, 2 * HOUR) != UNKNOWN
    assert hourly.bounds("lost", 12, 2 * HOUR + 1) == UNKNOWN


def test_what_is_taken_out_and_what_is_forgotten_counts_no_more():
    hourly = Hourly(since=0)
    for sign in (1, -1):
        hourly.note(500, 4, sign)
        hourly.match("lost", 500, 2, sign)
    hourly.note(900, 7, 1)
    assert hourly.bounds("lost", 20, 15 * HOUR) == Bounds(1, 7, 0, 0)
    hourly.forget(10 * HOUR)
    assert hourly.bounds("lost", 20, 15 * HOUR) == UNKNOWN
    assert hourly.bounds("lost", 20, 10 * HOUR) == Bounds(1, 7, 0, 0)


def test_rooms_that_came_too_late_count_beside_the_hours():
    more = Bounds(-1, -3, 1, 2)
    assert Rough(Hourly(since=0), "lost", hour=9, ended=8, more=more).bounds(3600) == more
    assert Rough(None, "lost", hour=9, ended=8).bounds(3600) == UNKNOWN
