"""`metric` holds when a figure over the values of a window is beyond its limit, as a plain list of them says."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from alertd.engine.books import number_said
from alertd.engine.kinds import Metric
from alertd.engine.rules import Rule
from alertd.engine.samples import Scene, judge_past
from alertd.engine.windows import Series

LAW = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
PERCENTS = {"min": 0, "p50": 50, "p95": 95, "p99": 99, "max": 100}
texts = st.sampled_from(["0", "1", "-40", "7.5", "60", "200", "1e3", "nan", "inf", "1e400", "true", "long"])
rooms_lists = st.lists(
    st.tuples(st.integers(0, 200), st.lists(texts, max_size=4)).map(
        lambda room: (room[0], len(room[1]), len(room[1]) + 1, tuple(room[1]))
    ),
    max_size=25,
)


def metric(agg, side, limit, over, least):
    return Metric(field="duration_sec", agg=agg, over=over, min=least, **{side: limit})


kinds = st.builds(
    metric,
    st.sampled_from(["mean", "p50", "p95", "p99", "min", "max", "sum"]),
    st.sampled_from(["above", "below"]),
    st.sampled_from([0.0, 2.3, 60.0, 97.3]),
    st.sampled_from([600, 1800, 5400]),
    st.integers(1, 6),
)


def figure(kind, numbers):
    if kind.agg == "mean":
        return math.fsum(numbers) / len(numbers)
    if kind.agg == "sum":
        return math.fsum(numbers)
    return sorted(numbers)[max(1, -(-PERCENTS[kind.agg] * len(numbers) // 100)) - 1]


def slow(kind, rooms, after, upto, least):
    """The figure of a window and whether it is beyond the limit; None where there are too few values."""
    words = [word for room in rooms if after < room[0] <= upto for word in room[3]]
    numbers = [number for number in map(number_said, words) if number is not None]
    if len(numbers) < max(least, 1):
        return None
    found = figure(kind, numbers)
    assume(abs(found - (kind.above if kind.below is None else kind.below)) > 0.01 or kind.agg in PERCENTS)
    return (found < kind.below) if kind.above is None else (found > kind.above), found


def slow_judge(kind, rooms, now, floor, least):
    scarce = kind.agg == "sum" and kind.above is None
    offsets = (0, 5, 10, 15, 20, 25, 30) if kind.over <= 1800 else (0,)
    length, floor = kind.over // 60, 0 if scarce else floor
    found = [slow(kind, rooms, max(now - j - length, floor), now - j, least) for j in offsets]
    told = [one for one in found if one is not None]
    return bool(told) and (all if scarce else any)(beyond for beyond, _ in told)


@LAW
@given(kinds, rooms_lists, st.integers(0, 230), st.integers(0, 180))
def test_it_holds_where_a_plain_list_of_the_values_is_beyond_the_limit(group_of, kind, rooms, now, floor):
    view = kind.judge(Scene(group_of(kind, rooms), now, floor))
    assert view.holds == slow_judge(kind, rooms, now, floor, kind.min)
    if view.holds:
        told = slow(kind, rooms, view.after, view.upto, kind.min)
        assert told is not None
        assert view.value == pytest.approx(told[1], rel=1 / 256, abs=1e-5)


@LAW
@given(kinds, rooms_lists, st.integers(0, 230))
def test_it_goes_on_while_half_an_hour_is_beyond_of_however_few_values_and_a_sum_in_its_own_window(
    group_of, kind, rooms, now
):
    found = kind.elevated(Scene(group_of(kind, rooms), now))
    if kind.agg == "sum":
        assert (found is not None) == slow_judge(kind, rooms, now, 0, 1)
        return
    length = min(kind.over // 60, 30)
    told = {now - j: slow(kind, rooms, max(now - j - length, 0), now - j, 1) for j in range(0, 31, 5)}
    assert found == max((minute for minute, one in told.items() if one is not None and one[0]), default=None)


@LAW
@given(kinds, rooms_lists, st.integers(0, 230), st.integers(0, 25))
def test_rooms_that_were_taken_out_again_leave_nothing_behind_in_any_order(group_of, heard, kind, rooms, now, number):
    series, plain = group_of(kind, rooms[::-1], [heard(*room) for room in rooms[:number]]), group_of(kind, rooms)
    for minute in (now, now + 1, now + 40, now - 3):  # windows that move on, leap and go back
        assert kind.judge(Scene(series, minute)) == kind.judge(Scene(plain, minute))
        assert kind.elevated(Scene(series, minute)) == kind.elevated(Scene(plain, minute))


@LAW
@given(kinds, rooms_lists, st.sets(st.integers(0, 200), min_size=1, max_size=4))
def test_the_past_is_what_an_obvious_loop_over_all_minutes_finds(group_of, kind, rooms, fresh):
    past = judge_past(kind, Scene(group_of(kind, rooms), 400), fresh, 0)
    length = kind.over // 60
    seen = sorted({ending for first in fresh for ending in range(first, min(first + length, 370))})
    told = {ending: slow(kind, rooms, max(ending - length, 0), ending, kind.min) for ending in seen}
    held = [ending for ending, one in told.items() if one is not None and one[0]]
    if kind.agg == "sum" and kind.above is None:
        held = []
    assert (past and (past.first, past.last, past.minutes)) == ((held[0], held[-1], len(held)) if held else None)


@pytest.mark.parametrize("poison", ["nan", "inf", "-inf", "1e400", "true", "12 s", "9" * 300])
@pytest.mark.parametrize("agg", ["mean", "p50", "p99", "max", "min", "sum"])
def test_what_is_no_number_neither_fires_nor_silences(group_of, poison, agg):
    above, below = (metric(agg, side, 100.0, 3600, 3) for side in ("above", "below"))
    fine, bad = [(90, 3, 3, ("40", "41", "42"))], [(91, 9, 9, (poison,) * 9)]
    for kind in (above, below):
        judged = [kind.judge(Scene(group_of(kind, rooms), 100)) for rooms in (fine, fine + bad)]
        assert [(view.holds, view.value, view.matched) for view in judged] == [
            (judged[0].holds, judged[0].value, 3) for _ in judged
        ]
    assert not above.judge(Scene(group_of(above, bad), 100)).holds
    assert not below.judge(Scene(group_of(below, bad), 100)).holds


@pytest.mark.parametrize("limit", [60.0, 3600.0, 14_400.0, 4000.0])
def test_values_that_are_just_the_limit_are_not_beyond_it(group_of, limit):
    """A cap that many calls reach, four hours say, lies somewhere in its step of the scale, and not above it."""
    for agg in ("min", "p50", "max"):
        for side in ("above", "below"):
            kind = metric(agg, side, limit, 3600, 1)
            assert not kind.judge(Scene(group_of(kind, [(90, 1, 1, (f"{limit:g}",))]), 100)).holds


def test_ten_thousand_values_and_huge_ones_are_no_trouble(group_of):
    kind = metric("p99", "above", 1e14, 3600, 50)
    rooms = [(50 + n % 50, 100, 100, tuple(str(n * 100 + m) for m in range(100))) for n in range(100)]
    view = kind.judge(Scene(group_of(kind, rooms), 100))
    assert (view.matched, view.holds) == (10_000, False)
    assert view.value == pytest.approx(9899, rel=1 / 256)
    huge = [*rooms, *[(99, 10, 10, ("999999999999999",) * 10)] * 11]
    assert kind.judge(Scene(group_of(kind, huge), 100)).holds


def test_too_few_values_and_none_are_silent(group_of):
    kind = metric("p50", "below", 60.0, 3600, 50)
    assert not kind.judge(Scene(group_of(kind, [(90, 49, 49, ("5",) * 49)]), 100)).holds
    assert kind.judge(Scene(group_of(kind, [(90, 50, 50, ("5",) * 50)]), 100)).holds
    assert not kind.judge(Scene(Series(), 100)).holds
    assert not kind.traffic_judged(Scene(Series(), 100), 0)


def test_a_sum_that_is_too_low_is_judged_where_most_is_known_and_not_behind_a_floor(group_of):
    kind = metric("sum", "below", 100.0, 1800, 2)
    rooms = [(minute, 1, 1, ("10",)) for minute in range(40, 93, 2)]  # 150 in each half hour; the last logs trail
    series = group_of(kind, rooms)
    assert not kind.judge(Scene(series, 100)).holds
    assert not kind.judge(Scene(series, 100, floor=85)).holds
    assert kind.elevated(Scene(series, 100)) is None
    assert kind.judge(Scene(series, 145)).holds


# stories

RULE = {"alert": "Short", "kind": Metric(field="duration_sec", agg="p50", below=60.0, min=20), "keep_firing_for": 900}


@pytest.fixture
def rule():
    return lambda **parts: Rule(**(RULE | parts))


def calls(call, begin, end, lasted, **values):
    return [call(minute, 0, 2, number=minute + 7000, duration_sec=lasted, **values) for minute in range(begin, end, 2)]


def test_it_fires_when_half_of_the_hour_is_short_and_resolves_when_half_an_hour_is_not(story, rule, call):
    rooms = calls(call, -90, 60, 600) + calls(call, 60, 120, 5) + calls(call, 120, 400, 600)
    told = story(rule(), rooms=rooms, minutes=300)
    fired, resolved = told.history
    # 26 rooms of the hour are known at a time: 13 short ones are half of them, the last of which ended at 84.
    # Of the half hour 11 are known at a time; six are short until 137, in full sight eight of 15 until 133.
    assert told.events == [(92, "firing", "Short"), (137 + 15, "resolved", "Short")]
    assert fired.reason == "p50 of duration_sec is 5 over 52 values within 1h, limit: below 60"
    assert resolved.reason == "not elevated for 15m"


def test_with_for_it_must_stay_beyond(story, rule, call):
    rooms = calls(call, -90, 60, 600) + calls(call, 60, 120, 5) + calls(call, 120, 400, 600)
    assert story(rule(hold_for=600), rooms=rooms, minutes=300).events[0] == (102, "firing", "Short")
    assert story(rule(hold_for=9000), rooms=rooms, minutes=300).events == []


def test_what_is_over_does_not_fire_again(story, rule, call):
    rooms = calls(call, -90, 60, 600) + calls(call, 60, 120, 5) + calls(call, 120, 900, 600)
    assert [event for _, event, _ in story(rule(), rooms=rooms, minutes=600).events] == ["firing", "resolved"]


def test_a_sum_that_stays_too_high_stays_one_alert(story, rule, call):
    kind = Metric(field="duration_sec", agg="sum", above=10_000.0, min=5)
    told = story(rule(kind=kind), rooms=calls(call, -90, 600, 300), minutes=500)
    assert [event for _, event, _ in told.events] == ["firing"]


def test_a_sum_that_was_too_low_and_is_enough_again_resolves(story, rule, call):
    kind = Metric(field="duration_sec", agg="sum", below=10_000.0, min=5)
    rooms = calls(call, -90, 60, 300) + calls(call, 60, 200, 30) + calls(call, 200, 700, 300)
    told = story(rule(kind=kind), rooms=rooms, minutes=600)
    assert [event for _, event, _ in told.events] == ["firing", "resolved"]


def test_no_values_are_no_better_ones(story, rule, call):
    rooms = calls(call, -90, 60, 600) + calls(call, 60, 120, 5)
    told = story(rule(no_traffic=7200), rooms=rooms, minutes=500)
    assert [event for _, event, _ in told.events] == ["firing", "resolved"]
    assert told.history[1].reason.startswith("no traffic to judge for 2h")


def test_while_the_account_cannot_be_seen_it_does_not_resolve(story, rule, call, policy_of, in_sight):
    rooms = calls(call, -90, 60, 600) + calls(call, 60, 120, 5) + calls(call, 400, 600, 600)
    sights = (in_sight(-600, 130), in_sight(400, 999))
    told = story(policy=policy_of(rule(), accounts=("production",)), sights=sights, rooms=rooms, minutes=600)
    assert [event for _, event, _ in told.events] == ["firing", "resolved"]
    assert told.events[1][0] > 400


def test_values_of_properties_may_be_anything_and_stop_no_other_rule(story, rule, call):
    """An SDK that sends `nan`, a flag, a list or 1e400 where others send numbers."""
    kind = Metric(field="properties.rtt", agg="p95", above=100.0, min=10)
    odd = [float("nan"), float("inf"), "nan", "1e400", True, [1, 2], {"a": 1}, 10**30, "", None]
    rooms = [call(n, 0, 1, number=n + 1, properties={"rtt": value}, duration_sec=5) for n, value in enumerate(odd)]
    rooms += [call(10 + n, 0, 1, number=n + 90, properties={"rtt": 500 + n}, duration_sec=5) for n in range(20)]
    told = story(rule(kind=kind, alert="Slow"), rule(), rooms=rooms, minutes=60)
    assert told.errors == {}
    assert [(event, name) for _, event, name in told.events] == [("firing", "Slow"), ("firing", "Short")]
    assert told.history[0].sample.matched == 10


def test_late_rooms_are_judged_among_all_values_of_their_window_or_not_at_all(story, rule, call):
    """Three hours late come short calls alone: the long ones of that hour have been forgotten by then."""
    rooms = calls(call, -300, 700, 600)
    short = [call(100 + n, 0, 2, number=n + 1, duration_sec=5, settled=delay) for n in range(15) for delay in [300 - n]]
    assert story(rule(), rooms=rooms + short, minutes=600).events == []
    alone = [call(100 + n, 0, 2, number=n + 1, duration_sec=5, settled=delay) for n in range(15) for delay in [80 - n]]
    told = story(rule(), rooms=alone, minutes=400)
    assert [event for _, event, _ in told.events] == ["late"]
