"""What each kind of rule makes of a window, held against independent mathematics."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

from alertd.engine.kinds import Count, Rate
from alertd.engine.kinds.rate import design_effect, wilson
from alertd.engine.rules import Rule
from alertd.engine.samples import LATE, Scene, judge_past, positions, sample_of
from alertd.engine.windows import Match, Series

counts = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)).map(lambda pair: (min(pair), max(pair))), max_size=20)


@pytest.fixture(scope="session")
def sums_of(series_of):
    """Makes the sums of (matched, total) rooms."""
    return lambda rooms: series_of(*[(1, matched, total) for matched, total in rooms]).between(0, 1)


# mathematics


@given(st.floats(0.001, 0.999), st.floats(1, 5000), st.sampled_from([0.9, 0.95, 0.99, 0.999]))
def test_wilsons_bounds_are_the_shares_that_the_score_test_just_does_not_reject(share, total, confidence):
    z = norm.ppf(confidence)

    def score(p: float) -> float:
        return (share - p) ** 2 - z * z * p * (1 - p) / total

    lower, upper = brentq(score, 0, share, xtol=1e-13), brentq(score, share, 1, xtol=1e-13)
    assert wilson(share * total, total, confidence) == pytest.approx((lower, upper), abs=1e-7)


@given(st.floats(1, 1e6))
def test_where_none_or_all_match_one_bound_is_the_end_itself(total):
    z = norm.ppf(0.99)
    assert wilson(0, total, 0.99) == pytest.approx((0, z * z / (total + z * z)), abs=1e-9)
    assert wilson(total, total, 0.99) == pytest.approx((total / (total + z * z), 1), abs=1e-9)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_bounds_are_scipys(counted):
    matched, total = counted
    theirs = binomtest(matched, total).proportion_ci(0.98, method="wilson")  # two sides of 1 % each
    assert wilson(matched, total, 0.99) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_wilsons_bounds_as_newcombe_published_them():
    """R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 95 % intervals."""
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (matched, total), bounds in published.items():
        assert wilson(matched, total, 0.975) == pytest.approx(bounds, abs=5e-5)


def test_no_sample_bounds_nothing():
    assert wilson(0, 0, 0.99) == (0, 1)


def slow_design_effect(rooms: list[tuple[int, int]]) -> float:
    """Straight from the rule language's reference, room by room."""
    r, k, n = len(rooms), sum(k for k, _ in rooms), sum(n for _, n in rooms)
    if k in (0, n):
        return 1.0 if r != 1 else max(n, 1)
    if r == 1:
        return n
    p = k / n
    return min(max(r / (r - 1) * sum((ki - p * ni) ** 2 for ki, ni in rooms) / (n * p * (1 - p)), 1), n)


@given(counts)
def test_the_design_effect_is_that_of_the_raw_rooms(sums_of, rooms):
    assert design_effect(sums_of(rooms)) == pytest.approx(slow_design_effect(rooms), rel=1e-9)


@pytest.mark.parametrize(
    ("rooms", "effect"),
    [
        ([], 1),
        ([(0, 5)], 5),
        ([(5, 5)], 5),
        ([(2, 5)], 5),
        ([(0, 5), (0, 5)], 1),
        ([(5, 5), (5, 5)], 1),
        ([(1, 1), (0, 1)] * 50, 1 * 100 / 99),
        ([(4, 4), (0, 4)] * 50, 4 * 100 / 99),
    ],
    ids=str,
)
def test_rooms_that_fail_as_a_whole_count_as_one_observation_each(sums_of, rooms, effect):
    assert design_effect(sums_of(rooms)) == pytest.approx(effect)


@given(counts)
def test_the_design_effect_stays_between_one_and_the_sample(sums_of, rooms):
    sums = sums_of(rooms)
    assert 1 <= design_effect(sums) <= max(sums.total, 1)


# judging


def judge(kind, series, minute, floor):
    return kind.judge(Scene(series, minute, floor))


def elevated(kind, series, minute, floor):
    return kind.elevated(Scene(series, minute, floor))


def past_of(kind, series, minute, fresh, floor, hold_for):
    return judge_past(kind, Scene(series, minute, floor), fresh, hold_for)


def judged(kind, series, minute=100, floor=0):
    view = judge(kind, series, minute, floor)
    return view.holds, sample_of(kind, Scene(series, minute, floor), view)


@pytest.mark.parametrize(("of", "counted"), [("participants", 5), ("rooms", 2), ("identities", 3)])
def test_a_count_holds_from_its_limit_on_in_the_unit_it_counts(series_of, of, counted):
    series = series_of((95, 3, 4), (96, 2, 2), (97, 0, 9))
    assert judged(Count(at_least=counted, of=of), series)[0]
    assert not judged(Count(at_least=counted + 1, of=of), series)[0]
    sample = judged(Count(at_least=counted, of=of), series)[1]
    assert (sample.value, sample.limit, sample.of, sample.lower) == (counted, counted, of, None)
    assert (sample.rooms, sample.rooms_affected, sample.identities) == (3, 2, 3)


def test_a_rate_needs_a_lower_bound_above_its_limit_not_just_the_share(series_of):
    few = series_of(*((minute, minute % 10 == 0, 1) for minute in range(41, 101)))  # 6 of 60
    many = series_of(*((minute, minute % 10 == 0, 1) for minute in range(41, 101) for _ in range(20)))  # 120 of 1200
    assert [judged(Rate(above=0.05), series)[0] for series in (few, many)] == [False, True]
    assert judged(Rate(above=0.05, confidence=None), few)[0]
    sample = judged(Rate(above=0.05), many)[1]
    assert (sample.rate, sample.value, sample.matched, sample.total) == (0.1, 0.1, 120, 1200)
    theirs = binomtest(120, 1200).proportion_ci(0.98, method="wilson")
    assert (sample.lower, sample.upper) == pytest.approx((theirs.low, theirs.high), abs=1e-3)  # d is 1.0008 here


def test_failures_that_sit_in_few_rooms_prove_less(series_of):
    spread = series_of(*((minute, int(minute % 3 == 0), 4) for minute in range(61, 101)))
    clumped = series_of(*((minute, 4 * int(minute % 12 == 0), 4) for minute in range(61, 101)))
    kind = Rate(above=0.03, min_rooms=1)
    assert judged(kind, spread)[1].rate == pytest.approx(judged(kind, clumped)[1].rate, abs=0.011)
    assert judged(kind, spread)[0]
    assert not judged(kind, clumped)[0]


def test_a_rate_of_rooms_has_no_design_effect_and_counts_rooms(series_of):
    series = series_of(*((minute, 8 * int(minute % 2), 8) for minute in range(41, 101)))
    holds, sample = judged(Rate(above=0.3, of="rooms"), series)
    assert (holds, sample.matched, sample.total) == (True, 30, 60)
    assert (sample.lower, sample.upper) == wilson(30, 60, 0.99)


def test_a_rate_of_identities_counts_people_once():
    series = Series()
    for minute in range(41, 101):
        people = frozenset([minute % 7, minute])
        series.totals.fold(minute, 2, people)
        series.match(minute, Match(1, 2, frozenset([minute % 7])))
    sample = judged(Rate(above=0.05, of="identities"), series)[1]
    assert (sample.matched, sample.total, sample.identities) == (7, 67, 7)


@pytest.mark.parametrize(
    ("least", "least_rooms", "holds"), [(60, 3, True), (61, 3, False), (60, 30, True), (60, 31, False)]
)
def test_a_rate_stays_silent_below_its_minimum_of_sample_and_of_rooms(series_of, least, least_rooms, holds):
    series = series_of(*((minute, minute % 2, 1) for minute in range(41, 101)))
    assert judged(Rate(above=0.1, min=least, min_rooms=least_rooms), series)[0] is holds


def test_nothing_at_all_never_holds(series_of):
    for kind in (Count(at_least=1), Rate(above=0, min=1, min_rooms=1), Rate(above=0, confidence=None, min=1)):
        assert judged(kind, Series())[0] is False
        assert judged(kind, series_of((99, 0, 50)))[0] is False


def test_all_of_one_room_matching_is_one_observation(series_of):
    series = series_of((100, 60, 60))
    assert not judged(Rate(above=0.3, min_rooms=1), series)[0]
    assert judged(Rate(above=0.1, min_rooms=1), series)[0]


# windows and positions


def test_windows_up_to_half_an_hour_are_judged_at_seven_positions_and_longer_ones_at_one():
    assert list(positions(1800)) == list(positions(60)) == [0, 5, 10, 15, 20, 25, 30]
    assert list(positions(1860)) == [0]


@pytest.mark.parametrize("over", [60, 300, 900, 1800])
def test_a_short_window_sees_a_match_until_its_last_position_has_passed(series_of, over):
    series, kind = series_of((100, 1, 1)), Count(at_least=1, over=over)
    seen = [minute for minute in range(90, 200) if judge(kind, series, minute, 0).holds]
    ends = {100 + gone + offset for gone in range(over // 60) for offset in range(0, 31, 5)}
    assert set(seen) == ends


def test_a_long_window_is_open_at_its_beginning_and_closed_at_its_end(series_of):
    series, kind = series_of((100, 1, 1)), Count(at_least=1, over=3600)
    assert [judge(kind, series, minute, 0).holds for minute in (99, 100, 159, 160)] == [False, True, True, False]


@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 3), st.integers(3, 5)), max_size=30),
    st.sampled_from(
        [Count(at_least=3, over=600), Count(at_least=2, over=1800, of="rooms"), Count(at_least=4, over=3600)]
    ),
    st.integers(0, 110),
    st.integers(0, 90),
)
def test_a_rule_holds_where_a_window_over_the_raw_rooms_holds_in_any_position(series_of, rooms, kind, now, floor):
    def counted(j: int) -> int:
        after = max(now - j - kind.over // 60, floor)
        inside = [matched for minute, matched, _ in rooms if after < minute <= now - j]
        return sum(matched > 0 for matched in inside) if kind.of == "rooms" else sum(inside)

    by_position = {j: counted(j) for j in ((0, 5, 10, 15, 20, 25, 30) if kind.over <= 1800 else (0,))}
    view = judge(kind, series_of(*rooms), now, floor)
    assert view.holds == any(number >= kind.at_least for number in by_position.values())
    if view.holds:
        assert view.value == max(by_position.values())
        assert view.offset == min(j for j, number in by_position.items() if number == view.value)


def test_no_window_reaches_back_behind_the_moment_of_recovery(series_of):
    series, kind = series_of((80, 5, 5), (90, 1, 5)), Count(at_least=2)
    assert judge(kind, series, 100, 0).holds
    assert judge(kind, series, 100, 79).holds
    assert not judge(kind, series, 100, 80).holds


@given(
    st.lists(st.tuples(st.integers(60, 100), st.integers(0, 4), st.integers(4, 6)), min_size=1, max_size=25),
    st.sampled_from(
        [
            Count(at_least=5),
            Count(at_least=3, of="rooms"),
            Rate(above=0.2, min=5, confidence=None),
            Rate(above=0.1, min=3, of="rooms"),
        ]
    ),
    st.integers(0, 24),
)
def test_one_more_failure_never_ends_what_held(series_of, rooms, kind, which):
    def holds(some) -> bool:
        return judge(kind, series_of(*some), 100, 0).holds

    minute, matched, total = rooms[which % len(rooms)]
    assume(matched < total and holds(rooms))
    worse = rooms.copy()
    worse[which % len(rooms)] = (minute, matched + 1, total)
    assert holds(worse)


# recovering


def test_a_rate_is_elevated_while_two_rooms_match_and_the_share_is_above_three_quarters_of_its_limit(series_of):
    kind = Rate(above=0.2)
    assert elevated(kind, series_of((95, 1, 10), (96, 3, 16)), 100, 0) == 100  # 4 of 26
    assert elevated(kind, series_of((95, 1, 10), (96, 2, 10)), 100, 0) is None  # 3 of 20 is 15 %, not above it
    assert elevated(kind, series_of((95, 9, 10)), 100, 0) is None  # one room


def test_a_count_is_elevated_while_its_own_condition_holds_on_the_latest_half_hour(series_of):
    series = series_of((100, 3, 5))
    assert elevated(Count(at_least=3), series, 100, 0) == 100
    assert elevated(Count(at_least=3, over=86400), series, 129, 0) == 129
    assert elevated(Count(at_least=4), series, 100, 0) is None


def test_trouble_known_late_tells_until_when_it_went_on(series_of):
    series, kind = series_of((100, 1, 1)), Count(at_least=1)
    assert [elevated(kind, series, minute, 0) for minute in (129, 130, 159, 160)] == [129, 125, 129, None]


def test_only_what_ended_after_recovery_can_be_elevated(series_of):
    assert elevated(Count(at_least=1), series_of((90, 1, 1)), 100, 90) is None


@pytest.mark.parametrize(("of", "enough"), [("participants", 60), ("rooms", 15), ("identities", 4)])
def test_traffic_was_judged_once_a_rates_minimum_came_by_since(series_of, of, enough):
    series = series_of(*((minute, 0, 4) for minute in range(81, 101)))
    assert Rate(above=0.1, of=of, min=enough).traffic_judged(Scene(series, 100), 85)
    assert not Rate(above=0.1, of=of, min=enough + 1).traffic_judged(Scene(series, 100), 85)
    assert Count(at_least=9).traffic_judged(Scene(Series(), 100), 85)


# the past


def test_what_held_before_the_late_half_hour_is_found_with_its_beginning_and_end(series_of):
    series = series_of((1000, 2, 5), (1010, 1, 5))
    past = past_of(Count(at_least=3), series, 1200, {1000, 1010}, 0, 0)
    assert past is not None
    assert (past.first, past.last, past.minutes, past.worst.matched) == (1010, 1029, 20, 3)


def test_the_past_ends_where_the_ordinary_positions_begin(series_of):
    series = series_of((1000, 3, 5))
    past = past_of(Count(at_least=3, over=3600), series, 1050, {1000}, 0, 0)
    assert past is not None
    assert (past.first, past.last) == (1000, 1050 - LATE - 1)
    assert past_of(Count(at_least=3, over=3600), series, 1030, {1000}, 0, 0) is None


def test_windows_that_learn_nothing_new_are_not_judged_again(series_of):
    series = series_of((1000, 3, 5), (1100, 3, 5))
    past = past_of(Count(at_least=3), series, 1200, {1100}, 0, 0)
    assert past is not None
    assert (past.first, past.last) == (1100, 1129)
    assert past_of(Count(at_least=3), series, 1200, set(), 0, 0) is None


def test_what_a_recovery_has_covered_is_not_told_again(series_of):
    series = series_of((1000, 3, 5))
    assert past_of(Count(at_least=3), series, 1200, {1000}, 1000, 0) is None
    assert past_of(Count(at_least=3), series, 1200, {1000}, 999, 0) is not None


@pytest.mark.parametrize(("minutes", "told"), [(0, True), (29, True), (30, False)])
def test_what_never_held_as_long_as_for_is_not_told(series_of, minutes, told):
    series = series_of((1000, 3, 5))  # holds in 30 minutes on end, so for 29 minutes
    assert (past_of(Count(at_least=3), series, 1200, {1000}, 0, 60 * minutes) is not None) is told


def test_two_short_stretches_do_not_make_a_long_one(series_of):
    series = series_of((1000, 3, 5), (1100, 3, 5))
    assert past_of(Count(at_least=3), series, 1200, {1000, 1100}, 0, 1800) is None
    past = past_of(Count(at_least=3), series, 1200, {1000, 1100}, 0, 0)
    assert past is not None
    assert (past.first, past.last, past.minutes) == (1000, 1129, 60)


@given(st.lists(st.tuples(st.integers(800, 1199), st.integers(0, 2)), max_size=15), st.sampled_from([600, 1800, 7200]))
def test_the_past_is_what_an_obvious_loop_over_all_minutes_finds(series_of, rooms, over):
    series, kind = series_of(*[(minute, matched, 2) for minute, matched in rooms]), Count(at_least=3, over=over)
    held = [
        ending
        for ending in range(700, 1200 - LATE)
        if sum(matched for minute, matched in rooms if ending - over // 60 < minute <= ending) >= 3
    ]
    past = past_of(kind, series, 1200, {minute for minute, _ in rooms}, 0, 0)
    assert (past and (past.first, past.last, past.minutes)) == ((held[0], held[-1], len(held)) if held else None)


# words and names


def test_a_sample_is_described_in_the_unit_of_its_rule(series_of):
    series = series_of((95, 3, 4), (96, 2, 2))
    assert (
        Count(at_least=5).describe(judged(Count(at_least=5), series)[1]) == "5 participants match within 30m, limit 5"
    )
    assert (
        Count(at_least=2, of="rooms").describe(judged(Count(at_least=2, of="rooms"), series)[1]).startswith("2 rooms")
    )
    plain = Rate(above=0.05, confidence=None)
    assert plain.describe(judged(plain, series)[1]) == "83.3 % of 6 participants match within 1h, limit 5 %"
    assert "(at least " in Rate(above=0.05).describe(judged(Rate(above=0.05), series)[1])


def test_the_key_of_a_rule_is_its_name_and_labels_in_any_order():
    one = Rule(alert="A", kind=Count(at_least=1), labels={"team": "video", "severity": "page"})
    other = Rule(alert="A", kind=Count(at_least=9), labels={"severity": "page", "team": "video"})
    assert one.key == other.key == "A|severity=page|team=video"


def test_no_text_can_make_two_rules_look_like_one():
    labels = [{"a": "1|b=2"}, {"a": "1", "b": "2"}, {"a": "1|", "b": "2"}, {"a": "", "b": "2"}, {"a": "|b=2"}, {}]
    keys = [Rule(alert="A", kind=Count(at_least=1), labels=one).key for one in labels]
    keys.append(Rule(alert="A|a=1", kind=Count(at_least=1)).key)
    assert all(first != second for first, second in pairwise(sorted(keys)))
