"""`anomaly` finds what neither chance nor the usual ups and downs explain, as an obvious count over all rooms says."""

from __future__ import annotations

import random
from math import isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from alertd.engine.books import Entry
from alertd.engine.conditions import parse_condition
from alertd.engine.kinds.anomaly import Anomaly
from alertd.engine.records import SettledRoom
from alertd.engine.rules import Rule
from alertd.engine.samples import Peer, Scene, judge_past, sample_of
from alertd.engine.windows import Match, Series
from alertd.simulator.scenario import load_scenario
from benchmarks.detection import MEDIA, Trial

NOW = 29_500_000 - 29_500_000 % 60 + 30
HOUR, DAY = 3600, 86_400
FAILED = parse_condition({"error_code": 53405}).condition
PATIENCE = 15
SHORT = Anomaly(baseline=6 * HOUR, lag=HOUR)
"""An anomaly whose baseline is six hours, so that few rooms fill it."""


def room(ago: float, *, hit: bool = False, settles: int = 5, failed: int | None = None) -> Entry:
    """A room that ended so many minutes ago; whoever was hit left a minute before its end, or `failed` minutes ago."""
    ended = NOW - int(ago)
    return Entry(ended, ended + settles, (ended - 1 if failed is None else NOW - failed) if hit else None, 3, 2 * hit)


def steady(kind: Anomaly, *, every: float = 2.0, bad: int = 50, upto: int = 0) -> list[Entry]:
    """A room every so many minutes over all that the kind looks at, each `bad`th of them hit; the last `upto` none."""
    number = int((kind.lag + kind.baseline + 2 * HOUR) / 60 / every)
    return [room(upto + n * every, hit=n % bad == 7) for n in range(int(20 / every), number)]


def group(kind: Anomaly, entries: list[Entry]) -> Series:
    """The group as it is counted now: rooms that are known by now."""
    series = Series(None, kind.book())
    for entry in entries:
        if entry.known <= NOW:
            count(series, entry)
    return series


def count(series: Series, entry: Entry) -> None:
    series.book.fold(entry, 1)
    series.totals.fold(entry.ended, entry.total)
    if entry.matched:
        series.match(entry.ended, Match(entry.matched, entry.total))


def scene(kind: Anomaly, *groups: list[Entry], floor: int = 0, fired: tuple[tuple[int, int], ...] = ()) -> Scene:
    """The first of the groups, with all of them as peers."""
    series = [group(kind, entries) for entries in groups]
    return Scene(series[0], NOW, floor, lambda: [Peer(one, fired if one is series[0] else ()) for one in series], fired)


def outage(rooms: int, *, within: int = 12, of: int = 0) -> list[Entry]:
    """So many rooms in trouble in the last minutes, among more that are not."""
    step = within / (rooms + of)
    return [room(5 + n * step, hit=n < rooms, settles=3) for n in range(rooms + of)]


def test_an_outage_is_found_and_its_sample_says_what_is_usual() -> None:
    at = scene(SHORT, steady(SHORT) + outage(8))
    view = SHORT.judge(at)
    sample = sample_of(SHORT, at, view)
    assert view.holds
    assert sample.of == "rooms"
    assert sample.value == sample.matched / sample.total > sample.limit
    assert sample.matched == sample.rooms_affected >= 8
    assert 0.01 < (sample.baseline or 0) < sample.limit / 2 + 1e-12


def test_an_ordinary_time_is_no_trouble() -> None:
    assert not SHORT.judge(scene(SHORT, steady(SHORT))).holds


def test_fewer_rooms_than_min_rooms_are_never_trouble() -> None:
    assert not SHORT.judge(scene(SHORT, steady(SHORT) + outage(2))).holds
    stubborn = Anomaly(baseline=SHORT.baseline, lag=SHORT.lag, min_rooms=30)
    assert not stubborn.judge(scene(stubborn, steady(stubborn) + outage(20))).holds


def test_as_many_rooms_are_trouble_in_a_quiet_region_and_none_in_a_busy_one() -> None:
    busy = [room(n / 40, hit=n % 50 == 7) for n in range(400, 40 * 540)]
    assert SHORT.judge(scene(SHORT, steady(SHORT, every=3) + outage(5))).holds
    assert not SHORT.judge(scene(SHORT, busy + outage(5))).holds


def test_a_region_that_is_always_worse_is_held_against_itself() -> None:
    bad = steady(SHORT, every=1, bad=8)
    trouble = outage(12, of=24)
    assert not SHORT.judge(scene(SHORT, bad + trouble, steady(SHORT))).holds
    assert SHORT.judge(scene(SHORT, steady(SHORT, every=1) + trouble, bad)).holds


def test_as_long_as_little_is_known_it_says_that_it_learns_and_does_not_fire() -> None:
    few = [room(100 + 4 * n) for n in range(90)]
    at = scene(SHORT, few + outage(12))
    view = SHORT.judge(at)
    assert view.learning
    assert not view.holds
    assert "still learning" in SHORT.describe(sample_of(SHORT, at, view))


def test_the_past_of_the_other_groups_is_enough_to_judge_a_new_one() -> None:
    assert SHORT.judge(scene(SHORT, outage(8), steady(SHORT))).holds


def test_trouble_that_is_over_by_the_failures_own_time_does_not_fire() -> None:
    """Eight rooms end now in which somebody failed two hours ago: that is no news of trouble now."""
    old = [room(5 + n, hit=True, failed=125, settles=3) for n in range(8)]
    new = [room(5 + n, hit=True, failed=12, settles=3) for n in range(8)]
    assert SHORT.judge(scene(SHORT, steady(SHORT) + new)).holds
    assert not SHORT.judge(scene(SHORT, steady(SHORT) + old)).holds


def test_windows_do_not_reach_back_before_recovery() -> None:
    entries = steady(SHORT) + [room(40 + n, hit=True, settles=3) for n in range(8)]
    assert SHORT.judge(scene(SHORT, entries)).holds
    assert not SHORT.judge(scene(SHORT, entries, floor=NOW - 35)).holds


def test_it_goes_on_while_failures_do_and_stops_when_they_lie_an_hour_back() -> None:
    assert SHORT.elevated(scene(SHORT, steady(SHORT) + outage(8))) == NOW
    over = [room(5 + n, hit=True, failed=62, settles=3) for n in range(8)]
    assert SHORT.elevated(scene(SHORT, steady(SHORT, bad=1000) + over)) is None


def test_two_failures_an_hour_are_trouble_where_rooms_are_few_and_one_never_is() -> None:
    quiet = steady(SHORT, every=15, bad=1000)
    others = steady(SHORT, bad=100)
    assert SHORT.elevated(scene(SHORT, quiet + outage(2), others)) == NOW
    assert SHORT.elevated(scene(SHORT, quiet + outage(1), others)) is None


def test_quiet_is_recovery_only_once_rooms_have_ended_since() -> None:
    at = scene(SHORT, [room(10), room(11), room(30)])
    assert not SHORT.traffic_judged(at, NOW - 20)
    assert SHORT.traffic_judged(at, NOW - 31)


def test_hours_in_which_the_group_fired_are_not_taken_for_usual() -> None:
    hours = [room(120 + n, hit=True) for n in range(180)]
    entries = steady(SHORT, every=1, bad=100) + hours + outage(4, of=4)
    assert not SHORT.judge(scene(SHORT, entries)).holds
    fired = ((NOW - 310, NOW - 110),)
    assert SHORT.judge(scene(SHORT, entries, fired=fired)).holds


def test_a_higher_ratio_lets_more_pass() -> None:
    def holds(ratio: float) -> bool:
        kind = Anomaly(baseline=6 * HOUR, lag=HOUR, ratio=ratio)
        return kind.judge(scene(kind, steady(kind, every=0.5) + outage(10, of=30))).holds

    assert [holds(ratio) for ratio in (1.5, 3, 20)] == [True, True, False]


def test_where_good_and_bad_hours_are_usual_more_is_needed() -> None:
    kind = Anomaly(baseline=48 * HOUR, lag=HOUR)
    number = 51 * 240
    even = [room(20 + n / 4, hit=n % 25 == 0) for n in range(number)]
    restless = [room(20 + n / 4, hit=n % 25 == 0 and n // 240 % 8 == 3) for n in range(number)]
    calm, wild = (kind.judge(scene(kind, entries)) for entries in (even, restless))
    assert calm.limit == pytest.approx(2 * (calm.baseline or 0))
    assert wild.limit == pytest.approx(4 * (wild.baseline or 0))


def test_more_false_alarms_find_more() -> None:
    def holds(false_alarms: float) -> bool:
        kind = Anomaly(baseline=6 * HOUR, lag=HOUR, false_alarms=false_alarms)
        return kind.judge(scene(kind, steady(kind) + outage(3, of=9))).holds

    assert [holds(budget) for budget in (1e-6, 0.5, 50)] == [False, False, True]


def test_slow_trouble_is_looked_at_once_a_day() -> None:
    """A rule with windows of a day has seven looks a week, so that its budget is spent on far fewer chances."""
    slow = Anomaly(windows=(DAY,), ratio=1.3, min_rooms=5, lag=3 * DAY, false_alarms=0.05)
    rng = random.Random(4)
    past = [room(20 + 4320 + 2 * n, hit=rng.random() < 0.02) for n in range(6000)]
    clean = [room(20 + 2 * n, hit=rng.random() < 0.02) for n in range(2150)]
    worse = [room(20 + 2 * n, hit=rng.random() < 0.055) for n in range(2150)]
    now = outage(4)
    assert slow.judge(scene(slow, past + worse + now)).holds
    assert not slow.judge(scene(slow, past + clean)).holds
    hasty = Anomaly(windows=(DAY, 900), ratio=1.3, lag=3 * DAY, false_alarms=0.05)
    assert slow.judge(scene(slow, past + worse)).excess >= 0
    assert hasty.book().slots != slow.book().slots


def test_what_held_unseen_is_found_when_its_rooms_come_late() -> None:
    late = [room(60 + n, hit=True, settles=3) for n in range(10)]
    at = scene(SHORT, steady(SHORT) + late)
    past = judge_past(SHORT, at, [one.ended for one in late], 0)
    assert past is not None
    assert past.first <= NOW - 60
    assert past.worst.holds
    assert judge_past(SHORT, scene(SHORT, steady(SHORT)), [NOW - 60], 0) is None


def test_a_group_that_has_been_forgotten_is_quiet() -> None:
    empty = Scene(Series(), NOW)
    assert not SHORT.judge(empty).holds
    assert SHORT.elevated(empty) is None


def test_the_reason_says_how_many_of_how_many_and_what_is_usual() -> None:
    at = scene(SHORT, steady(SHORT) + outage(8))
    words = SHORT.describe(sample_of(SHORT, at, SHORT.judge(at)))
    assert "of" in words
    assert "rooms are affected within" in words
    assert "usual is 2" in words


def test_it_keeps_a_book_that_lasts_as_long_as_it_looks_back() -> None:
    kind, book = Anomaly(), Anomaly().book()
    oldest = Entry(NOW - kind.reach // 60, NOW, None, 2, 0)
    book.fold(oldest, 1)
    book.forget(NOW)
    assert len(book) == 1
    book.forget(NOW + 3 * 1440)
    assert len(book) == 0


@st.composite
def histories(draw) -> list[list[Entry]]:
    """Groups of rooms: a steady past, and random rooms of which many are in trouble."""
    rng = random.Random(draw(st.integers(0, 10**6)))
    groups = []
    for _ in range(draw(st.integers(1, 3))):
        share, number = rng.choice((0.005, 0.02, 0.2)), rng.choice((40, 120, 240))
        past = [_any_room(rng, 70, 540, share) for _ in range(number)]
        groups.append(
            past + [_any_room(rng, 0, 90, rng.choice((share, 0.4, 0.8))) for _ in range(rng.choice((0, 12, 30)))]
        )
    return groups


def _any_room(rng: random.Random, latest: int, earliest: int, share: float) -> Entry:
    hit, ago = rng.random() < share, rng.randrange(latest, earliest)
    failed = ago + rng.choice((0, 1, 3, 50)) if rng.random() < 0.9 else None
    return room(ago, hit=hit, settles=rng.choice((1, 4, 9, 20, 31)), failed=failed)


def seen(delay: int, length: int, offset: int) -> float:
    return min(max(offset + length - max(delay, offset), 0), length) / length


def obvious(kind: Anomaly, groups: list[list[Entry]]) -> bool:
    """Whether it holds for the first group, from the lists of rooms, as the reference has it."""
    known = [[one for one in entries if one.known <= NOW] for entries in groups]
    end = (NOW - kind.lag // 60) // 60
    hours = range(end - kind.baseline // HOUR, end)
    past = [[one for one in entries if one.ended // 60 in hours] for entries in known]
    if sum(map(len, past)) < 100:
        return False
    first = max(hours.start, min(one.ended // 60 for entries in known for one in entries))
    looks = sum(min(672, len(entries) * 168 / (hours.stop - first) / 3) for entries in past)
    alpha = kind.false_alarms / looks
    ratio = kind.ratio or 2.0
    for window in kind.windows:
        length = window // 60
        for offset in range(0, 31, 5) if length < 30 else (0,):
            weigh = (lambda one, w=length, j=offset: seen(one.known - one.ended, w, j)) if length <= 60 else lambda _: 1
            limit = min(ratio * usual(past, past, weigh, weigh), 0.95)
            inside = [one for one in known[0] if NOW - offset - length < one.ended <= NOW - offset]
            hit = sum(one.matched > 0 for one in inside)
            if hit >= kind.min_rooms and stats.binom.sf(hit - 1, len(inside), limit) < alpha:
                return going_on(known, past, hours)
    return False


def usual(rooms: list[list[Entry]], hit: list[list[Entry]], of_rooms, of_hit) -> float:
    r = [sum(map(of_rooms, entries)) for entries in rooms]
    a = [sum(of_hit(one) for one in entries if one.matched) for entries in hit]
    return (a[0] + 6) / (r[0] + 6 / ((sum(a) + 1) / (sum(r) + 40)))


def going_on(known: list[list[Entry]], past: list[list[Entry]], hours: range) -> bool:
    failed = [[one for one in entries if one.matched and one.failed // 60 in hours] for entries in known]
    now = [one for one in known[0] if one.matched and NOW - 60 < one.failed <= NOW]
    share = usual(
        past, failed, lambda one: seen(one.known - one.ended, 60, 0), lambda one: seen(one.known - one.failed, 60, 0)
    )
    rooms = sum(NOW - 60 < one.ended <= NOW for one in known[0])
    return len(now) >= 2 and len(now) > 1.5 * share * rooms


@settings(max_examples=120, deadline=None)
@given(histories())
def test_it_holds_exactly_where_an_obvious_count_says_so(groups) -> None:
    kind = Anomaly(baseline=6 * HOUR, lag=HOUR, ratio=2.0)
    assert kind.judge(scene(kind, *groups)).holds == obvious(kind, groups)


@settings(max_examples=40, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_it_is_the_same_in_whatever_order_rooms_came(groups, rng) -> None:
    straight = SHORT.judge(scene(SHORT, *groups))
    for entries in groups:
        rng.shuffle(entries)
    assert SHORT.judge(scene(SHORT, *groups)) == straight


def test_chance_is_the_binomial_tail_that_scipy_has() -> None:
    view = SHORT.judge(scene(SHORT, steady(SHORT) + outage(8)))
    chance = stats.binom.sf(view.matched - 1, view.total, view.limit)
    assert isclose(10**-view.excess, chance, rel_tol=1e-9)


@pytest.mark.timeout(120)
def test_a_clean_simulated_time_stays_quiet_and_a_regional_outage_is_found_within_minutes() -> None:
    clean = load_scenario("clean").model_copy(update={"rooms_per_day": 3000})
    trial = Trial(clean, Anomaly(baseline=DAY // 2, lag=DAY // 4), seed=3, codes=MEDIA)
    trial.run(6 * 60, outages=[120])
    assert trial.pages == []
    (minutes,) = trial.found
    assert minutes is not None
    assert minutes <= 25


def troubled_day(call) -> list[SettledRoom]:
    """Twelve hours up to noon, three after it: a room a minute, one in fifty bad; from 12:30 to 13:00 half of them."""
    return [
        call(minute, failed=int(minute % 50 == 7 or (30 <= minute < 60 and minute % 2)), fine=2, number=minute + 721)
        for minute in range(-720, 180)
    ]


def test_one_outage_is_one_alert_that_ends_when_an_hour_has_been_quiet(story, call) -> None:
    rule = Rule(alert="Unusual", kind=SHORT, match=FAILED)
    told = story(rule, rooms=troubled_day(call), minutes=180)
    assert not told.errors
    assert [event for _, event, _ in told.events] == ["firing", "resolved"]
    (begin, _, _), (end, _, _) = told.events
    assert 30 < begin < 60
    assert 60 + PATIENCE < end < 60 + 60 + PATIENCE + 5


def test_an_outage_that_comes_back_within_hours_is_the_same_incident(story, call) -> None:
    rule = Rule(alert="Unusual", kind=SHORT, match=FAILED, reopen=4 * 3600)
    bad = (*range(30, 60), *range(200, 230))
    rooms = [
        call(minute, failed=int(minute % 50 == 7 or (minute in bad and minute % 2)), fine=2, number=minute + 721)
        for minute in range(-720, 330)
    ]
    told = story(rule, rooms=rooms, minutes=330)
    reasons = [reason for _, reason, _, _ in told.sent]
    assert reasons == ["first notification", "all alerts resolved", "reopened", "all alerts resolved"]
    assert told.history[2].reason.startswith("again, ")
    assert " after it was over: " in told.history[2].reason


def test_the_order_of_arrival_changes_nothing(story, call) -> None:
    rule, rooms = Rule(alert="Unusual", kind=SHORT, match=FAILED), troubled_day(call)
    told = story(rule, rooms=rooms, minutes=150)
    again = story(rule, rooms=rooms[::-1], minutes=150)
    assert again.history == told.history
    assert again.sent == told.sent


def test_what_is_counted_anew_at_a_start_is_what_was_counted_all_along() -> None:
    """At a start rooms are read back to the reach and 90 minutes beyond; whoever ran on has forgotten the rest."""
    rng = random.Random(8)
    entries = sorted((_any_room(rng, -300, 900, 0.05) for _ in range(3000)), key=lambda one: one.known)
    running, done = group(SHORT, []), 0
    for minute in range(NOW, NOW + 300, 11):
        while done < len(entries) and entries[done].known <= minute:
            count(running, entries[done])
            done += 1
        running.book.forget(minute)
        anew = Series(None, SHORT.book())
        for entry in entries[:done]:
            if entry.ended > minute - SHORT.reach // 60 - 90:
                count(anew, entry)
        assert SHORT.judge(Scene(anew, minute)) == SHORT.judge(Scene(running, minute))
