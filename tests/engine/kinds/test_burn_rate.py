"""`burn_rate` holds when a budget is spent too fast over long and lately too, as a plain count of the rooms says."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from alertd.engine.kinds import BurnRate
from alertd.engine.rules import Rule
from alertd.engine.samples import Scene, judge_past, sample_of
from alertd.engine.windows import Series

LAW = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
KIND = BurnRate(objective=0.9, pairs=((3600, 1200, 3.0), (10_800, 2400, 1.5)), min_rooms=2)
rooms_lists = st.lists(
    st.tuples(st.integers(0, 150), st.integers(0, 4), st.integers(1, 4)).map(lambda r: (r[0], min(r[1], r[2]), r[2])),
    min_size=1,
    max_size=30,
)


def burn(rooms, after, upto):
    inside = [(k, n) for minute, k, n in rooms if after < minute <= upto]
    total = sum(n for _, n in inside)
    return Fraction(10 * sum(k for k, _ in inside), total) if total else Fraction(0)


def slow(rooms, now, floor, *, then=False):
    """Whether any pair holds, and the burn rates of the long windows of those that do."""
    found = {}
    for long, short, factor in KIND.pairs:
        after = max(now - long // 60, floor)
        affected = sum(k > 0 for minute, k, _ in rooms if after < minute <= now)
        offsets = range(0, 31, 5) if short <= 1800 and not then else [0]
        still = max(burn(rooms, max(now - j - short // 60, floor), now - j) for j in offsets)
        if affected >= KIND.min_rooms and min(burn(rooms, after, now), still) > factor:
            found[long] = burn(rooms, after, now)
    return found


@LAW
@given(rooms_lists, st.integers(40, 200), st.sampled_from([0, 0, 60, 100, 150]))
def test_it_holds_where_a_plain_count_of_the_rooms_burns_too_fast_in_both_windows_of_a_pair(
    group_of, rooms, now, floor
):
    scene = Scene(group_of(KIND, rooms), now, floor)
    for view, found in (
        (KIND.judge(scene), slow(rooms, now, floor)),
        (KIND.judge_then(scene), slow(rooms, now, floor, then=True)),
    ):
        assert view.holds == bool(found)
        if found:
            assert view.value == pytest.approx(float(found[view.window]))
            assert view.limit == {3600: 3.0, 10_800: 1.5}[view.window]


@LAW
@given(rooms_lists, st.integers(40, 200), st.integers(0, 300))
def test_rooms_that_were_taken_out_again_leave_nothing_behind(group_of, heard, rooms, now, seed):
    gone = [heard(minute, n, n) for minute, _, n in rooms[: seed % len(rooms)]]
    series, plain = group_of(KIND, rooms[::-1], gone), group_of(KIND, rooms)
    assert KIND.judge(Scene(series, now)) == KIND.judge(Scene(plain, now))
    assert KIND.elevated(Scene(series, now)) == KIND.elevated(Scene(plain, now))


@LAW
@given(rooms_lists, st.integers(40, 180), st.integers(0, 29), st.integers(0, 3))
def test_one_more_failure_never_ends_what_held_nor_what_went_on(group_of, rooms, now, which, more):
    """Someone who did not fail does now, or more rooms fail: both windows see at least the share they saw."""
    minute, matched, total = rooms[which % len(rooms)]
    assume(matched < total or more)
    worse = rooms.copy()
    worse[which % len(rooms)] = (minute, min(matched + 1, total), total)
    worse += [(minute, 1, 1)] * more
    before, after = Scene(group_of(KIND, rooms), now), Scene(group_of(KIND, worse), now)
    assert KIND.judge(after).holds >= KIND.judge(before).holds
    if KIND.elevated(before) is not None:
        assert KIND.elevated(after) is not None


@LAW
@given(rooms_lists, st.sets(st.integers(0, 300), min_size=1, max_size=5))
def test_the_past_holds_where_both_windows_held_then(group_of, rooms, fresh):
    """Looked at are the minutes whose short window has learnt something."""
    past = judge_past(KIND, Scene(group_of(KIND, rooms), 400), fresh, 0)
    seen = {ending for first in fresh for ending in range(first, min(first + 40, 370))}
    held = [ending for ending in sorted(seen) if slow(rooms, ending, 0, then=True)]
    assert (past and (past.first, past.last, past.minutes)) == ((held[0], held[-1], len(held)) if held else None)


def test_nothing_and_no_failure_never_hold():
    assert not KIND.judge(Scene(Series(), 100)).holds
    assert KIND.elevated(Scene(Series(), 100)) is None
    assert KIND.judge(Scene(Series(), 100)).value == 0


def test_just_the_budget_burns_at_one_and_the_factor_must_be_exceeded(series_of):
    kind = BurnRate(objective=0.99, pairs=((3600, 1800, 1.0),), min_rooms=1)
    exact = kind.judge(Scene(series_of((90, 1, 100)), 100))
    assert (exact.holds, exact.value) == (False, pytest.approx(1))
    assert kind.judge(Scene(series_of((90, 1, 99)), 100)).holds


def test_as_many_rooms_as_asked_for_must_match(series_of):
    few, enough = series_of((90, 9, 9), (91, 9, 9)), series_of((90, 9, 9), (91, 9, 9), (50, 1, 9))
    assert not BurnRate().judge(Scene(few, 100)).holds
    assert BurnRate().judge(Scene(enough, 100)).holds


def test_logs_that_trail_by_half_an_hour_are_no_reason_to_miss_it(series_of):
    """The latest rooms that are known ended 31 minutes ago: the short window that ends now is empty."""
    series = series_of(*((minute, 3, 4) for minute in range(30, 70)))
    assert BurnRate(pairs=((3600, 1800, 14.4),)).judge(Scene(series, 100)).holds


def test_it_goes_on_by_the_short_window_of_the_pair_that_fired(series_of):
    """At twice the budget for hours, the pair with factor 1 goes on and the one with factor 14.4 does not."""
    series, kind = series_of(*((minute, 1, 50) for minute in range(1, 400))), BurnRate()
    quick, slow_one = ((60, 1.0), (72 * 60, 1.0))
    samples = [
        sample_of(kind, Scene(series, 399), kind.judge(Scene(series, 399))._replace(window=minutes * 60))
        for minutes, _ in (quick, slow_one)
    ]
    assert [kind.elevated(Scene(series, 399, firing=sample)) for sample in samples] == [None, 399]


def test_traffic_was_judged_once_as_many_rooms_ended_as_must_match(series_of):
    series = series_of((90, 0, 1), (91, 0, 1), (95, 0, 1))
    assert [BurnRate().traffic_judged(Scene(series, 100), since) for since in (89, 90)] == [True, False]


# stories

RULE = {"alert": "Burning", "kind": BurnRate(pairs=((3600, 1800, 14.4),)), "by": ("account",)}


@pytest.fixture
def rule(lost):
    return lambda **parts: Rule(**(RULE | {"match": lost} | parts))


def traffic(call, begin, end, bad=range(0)):
    """A room of four every other minute; in the bad minutes two of them lose their media."""
    return [call(m, 2 * (m in bad), 4 - 2 * (m in bad), number=m + 5000) for m in range(begin, end, 2)]


def test_it_fires_once_the_hour_burns_and_resolves_once_half_an_hour_has_not_burnt_for_a_quarter(story, rule, call):
    """Half of the participants of each second room lose their media from minute 60 to 98."""
    told = story(rule(), rooms=traffic(call, -60, 300, range(60, 100)), minutes=300)
    fired, resolved = told.history
    # Of the hour 26 rooms are known at a time, and eight bad ones make 15.4 %: the eighth ended at 74, is known at 82.
    # Of the half hour 11 are known at a time; at 121 four of them are bad, those from 92 on, at 122 three.
    assert told.events == [(82, "firing", "Burning"), (121 + 15, "resolved", "Burning")]
    assert fired.reason.startswith("burns 15.4 times the error budget of the objective 99 % within 1h and goes on")
    assert resolved.reason == "not elevated for 15m"
    assert told.sent[0][1] == "first notification"


def test_with_for_it_must_burn_that_long_and_a_short_burst_does_not_fire(story, rule, call):
    rooms = traffic(call, -60, 300, range(60, 100))
    assert story(rule(hold_for=600), rooms=rooms, minutes=300).events[0] == (92, "firing", "Burning")
    assert story(rule(hold_for=4800), rooms=rooms, minutes=300).events == []


def test_what_is_over_does_not_fire_again_and_new_trouble_does(story, rule, call):
    bad = {*range(60, 100), *range(300, 340)}
    told = story(rule(), rooms=traffic(call, -60, 600, bad), minutes=600)
    assert [event for _, event, _ in told.events] == ["firing", "resolved"] * 2
    assert told.events[2][0] > 300


def test_no_traffic_is_no_recovery_until_patience_ends(story, rule, call):
    rooms = traffic(call, -60, 100, range(60, 100))
    told = story(rule(no_traffic=7200), rooms=rooms, minutes=600)
    assert [event for _, event, _ in told.events] == ["firing", "resolved"]
    assert told.history[1].reason.startswith("no traffic to judge for")


def test_while_the_account_cannot_be_seen_it_does_not_resolve(story, rule, call, policy_of, in_sight):
    policy = policy_of(rule(), accounts=("production",))
    sights = (in_sight(-600, 110), in_sight(400, 999))
    rooms = traffic(call, -60, 100, range(60, 100)) + traffic(call, 400, 600)
    told = story(policy=policy, sights=sights, rooms=rooms, minutes=600)
    assert [event for _, event, _ in told.events] == ["firing", "resolved"]
    assert told.events[1][0] > 400
