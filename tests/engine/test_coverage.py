"""What has been listed agrees with a dictionary from each start, five minutes apart, to when it was last listed."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alertd.engine.coverage import (
    HORIZON,
    RETENTION,
    STALE,
    Coverage,
    Seen,
    Stretch,
    began,
    covered,
    expected_rooms,
    holes,
    listed_until,
    spanned,
)

MINUTE = 60
HOUR = 3600
DAY = 86400
NOW = 1_772_452_800
LOOK_BACK = 25 * HOUR
STEP = 5 * MINUTE
BEFORE = 4 * DAY // STEP
"""The oracle's dictionary begins so many steps before NOW."""


def seen(start: int, end: int, at: int | None, rooms: int = 0, step: int = MINUTE) -> Seen:
    """Seen by minutes (or steps) after NOW."""
    at = None if at is None else NOW + at * step
    return Seen(started_from=NOW + start * step, started_until=NOW + end * step, seen_at=at, rooms=rooms)


@dataclass
class Listed:
    """A history of list calls: what the coverage makes of it, and what was the case."""

    coverage: Coverage = ()
    truth: dict[int, int] = field(default_factory=dict)

    def add(self, new: Seen, since: int) -> None:
        self.coverage = covered(self.coverage, new, since)
        self.truth = {start: at for start, at in self.truth.items() if start >= since}
        for start in range(max(since, new.started_from), new.started_until, STEP):
            self.truth[start] = new.seen_at or 0

    def claimed(self) -> dict[int, int | None]:
        return claims(self.coverage)


def claims(coverage: Coverage) -> dict[int, int | None]:
    """When each start was listed by what the parts say; fails where two parts speak of one."""
    found: dict[int, int | None] = {}
    for part in coverage:
        starts = range(part.started_from, part.started_until, STEP)
        assert found.keys().isdisjoint(starts)
        found |= dict.fromkeys(starts, part.seen_at)
    return found


@st.composite
def listings(draw: st.DrawFn) -> Listed:
    """List calls one after the other, as looks make them: of starts that are past when they are listed."""
    history = Listed()
    at = -draw(st.integers(0, 2 * DAY // STEP))
    for _ in range(draw(st.integers(0, 12))):
        length = draw(st.integers(1, 360))
        end = at - draw(st.integers(0, BEFORE + at - length))
        since = NOW - (BEFORE - draw(st.sampled_from([0, 0, 0, 100]))) * STEP
        history.add(seen(end - length, end, at, draw(st.integers(0, 5000)), STEP), since)
        at = min(0, at + draw(st.sampled_from([0, 1, 2, 12, 120])))
    return history


@given(listings())
def test_what_was_listed_is_known_start_by_start_and_nothing_else_is(history):
    assert history.claimed().keys() == history.truth.keys()
    starts = [part.started_from for part in history.coverage]
    assert starts == sorted(starts)
    assert all(part.started_from < part.started_until for part in history.coverage)


@given(listings())
def test_no_start_is_said_to_have_been_seen_later_than_it_was(history):
    claimed = history.claimed()
    assert all(claimed[start] <= at for start, at in history.truth.items())


@given(listings())
@settings(max_examples=200)
def test_nor_much_earlier_by_the_age_that_it_had_then(history):
    claimed = history.claimed()
    early = {start: at - claimed[start] for start, at in history.truth.items()}
    assert {start: by for start, by in early.items() if by > max(0, history.truth[start] - start) / 16} == {}


def test_neighbours_are_one_when_a_moment_between_their_sights_matters_little():
    old = seen(-200, -100, 0)
    assert covered((old,), seen(-100, -47, 1), 0) == (seen(-200, -47, 0),)
    assert covered((old,), seen(-100, -46, 1), 0) == (old, seen(-100, -46, 1))


def test_parts_that_do_not_touch_stay_two():
    parts = (seen(-500, -400, 0), seen(-300, -200, 0))
    assert covered(parts[:1], parts[1], 0) == parts


@given(listings(), st.integers(-BEFORE, 0), st.integers(1, BEFORE))
def test_without_gaps_it_reaches_from_the_first_start_that_matters_to_the_present(history, start, steps):
    since, now = NOW + start * STEP, NOW + (start + steps) * STEP
    whole = spanned(history.coverage, since, now)
    assert [part.started_from for part in whole[1:]] == [part.started_until for part in whole[:-1]]
    claimed = claims(whole)
    assert set(claimed) == set(range(since, now, STEP))
    assert {one for one, at in claimed.items() if at is None} == set(claimed) - history.truth.keys()
    assert all(at <= history.truth[one] for one, at in claimed.items() if at is not None)


@given(listings(), st.integers(0, 3 * DAY // STEP))
def test_every_start_of_which_rooms_may_have_been_missed_is_in_a_hole(history, later):
    now = NOW + later * STEP
    found = holes(spanned(history.coverage, NOW - BEFORE * STEP, now), now, LOOK_BACK)
    inside = {one for hole in found for one in range(-(-hole.after // STEP) * STEP, hole.before, STEP)}
    missing = {
        one
        for one in range(NOW - BEFORE * STEP, now, STEP)
        if one not in history.truth or (now - history.truth[one] > STALE and one >= history.truth[one] - LOOK_BACK)
    }
    assert missing <= inside


@given(listings(), st.integers(0, 3 * DAY // STEP))
def test_no_start_is_in_a_hole_that_was_listed_of_late_or_when_its_rooms_were_over(history, later):
    now = NOW + later * STEP
    whole = spanned(history.coverage, NOW - BEFORE * STEP, now)
    claimed = claims(whole)
    for hole in holes(whole, now, LOOK_BACK):
        for one in range(-(-hole.after // STEP) * STEP, hole.before, STEP):
            at = claimed[one]
            assert at is None or (now - at > STALE and one >= at - LOOK_BACK)


@given(listings(), st.integers(0, 3 * DAY // STEP))
def test_holes_are_told_oldest_first_and_each_as_one(history, later):
    now = NOW + later * STEP
    found = holes(spanned(history.coverage, NOW - BEFORE * STEP, now), now, LOOK_BACK)
    assert all(one.before < other.after for one, other in pairwise(found))


def test_an_account_that_is_looked_at_has_no_holes_and_one_left_alone_for_hours_has_two_kinds():
    whole = (seen(-10000, 0, 0),)
    assert holes(spanned(whole, NOW - DAY, NOW + STALE), NOW + STALE, LOOK_BACK) == [Stretch(NOW, NOW + STALE)]
    later = NOW + STALE + 1
    assert holes(spanned(whole, NOW - 2 * DAY, later), later, LOOK_BACK) == [Stretch(NOW - LOOK_BACK, later)]


def test_a_sight_in_the_future_is_no_hole_since_the_clock_was_set_back():
    assert holes((seen(-100, 0, 600),), NOW, LOOK_BACK) == []


@given(listings(), st.data())
def test_rooms_stay_the_same_in_sum_but_for_the_fractions_that_cuts_leave(history, data):
    before = sum(part.rooms for part in history.coverage)
    start, steps = data.draw(st.integers(-BEFORE, -1)), data.draw(st.integers(1, 120))
    new = seen(start, min(0, start + steps), 0, 100, STEP)
    hidden = [part.between(new.started_from, new.started_until) for part in history.coverage]
    after = sum(part.rooms for part in covered(history.coverage, new, 0))
    expected = before - sum(part.rooms for part in hidden if part) + 100
    assert expected - 2 * len(history.coverage) <= after <= expected + 2 * len(history.coverage)


def test_how_many_rooms_a_list_will_hold_goes_by_the_last_one_there_and_elsewhere_by_the_mean():
    known = (seen(-180, -120, 0, rooms=60), seen(-120, -60, None), seen(-60, 0, 0, rooms=600))
    assert expected_rooms(known, NOW - 180 * MINUTE, NOW - 150 * MINUTE) == pytest.approx(30)
    assert expected_rooms(known, NOW - 30 * MINUTE, NOW + HOUR) == pytest.approx(300)
    assert expected_rooms(known, NOW - 120 * MINUTE, NOW - 60 * MINUTE) == pytest.approx(330)
    assert expected_rooms(known, NOW - 180 * MINUTE, NOW) == pytest.approx(990)
    assert expected_rooms((seen(-60, 0, None),), NOW - HOUR, NOW) == 0
    assert expected_rooms((), NOW - HOUR, NOW) == 0


def test_the_first_look_wants_what_is_to_be_filled_and_later_ones_all_that_was_ever_wanted():
    assert began((), NOW, 2 * DAY) == NOW - 2 * DAY
    assert began((seen(-600, 0, 0),), NOW, 2 * DAY) == NOW - 2 * DAY
    assert began((seen(-4000, 0, 0),), NOW, 2 * DAY) == NOW - 4000 * MINUTE
    assert began((seen(-4000, -3000, None), seen(-3000, 0, 0)), NOW, DAY) == NOW - 4000 * MINUTE


def test_nothing_is_wanted_that_twilio_keeps_no_more():
    assert began((seen(-50000, 0, 0),), NOW, DAY) == NOW - HORIZON
    assert HORIZON > RETENTION


@pytest.mark.parametrize(
    ("parts", "until"),
    [
        ([], 100),
        ([(0, 300, 1)], 300),
        ([(0, 90, 1)], 100),
        ([(0, 150, 1), (150, 300, 2)], 300),
        ([(0, 150, 1), (160, 300, 2)], 150),
        ([(0, 150, 1), (150, 160, None), (160, 300, 2)], 150),
        ([(110, 300, 1)], 100),
    ],
)
def test_starts_have_been_listed_up_to_the_first_gap(parts, until):
    coverage = [Seen(started_from=start, started_until=end, seen_at=at) for start, end, at in parts]
    assert listed_until(coverage, 100) == until
