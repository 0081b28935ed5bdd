"""`absent` with `below_usual` holds when far fewer rooms start than a week ago, as a plain list of them says."""

from __future__ import annotations

import random
from dataclasses import replace
from math import log10

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy.stats import nbinom

from alertd.engine.books import Starts
from alertd.engine.kinds import Absent
from alertd.engine.kinds.absent import RARE, SPREAD
from alertd.engine.outcome import LISTED_AFTER
from alertd.engine.rules import Rule
from alertd.engine.samples import Scene, sample_of
from alertd.engine.windows import Series

LAW = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
WEEK, KEEP = 10_080, 10_080 + 30 + 180 + 90
NOON = 1_772_452_800 // 60
KIND = Absent(below_usual=0.7)


def series_of_starts(starts, gone=(), forget=None):
    """The series of an account, as windows make it, of the minutes in which rooms started."""
    book = Starts(KEEP)
    series = Series(None, book)
    for sign, minutes in ((1, [*gone, *starts]), (-1, gone)):
        for minute in minutes:
            series.totals.fold(minute, 2, sign=sign)
            book.fold(minute, sign)
    if forget is not None:
        book.forget(forget)
    return series


def begun(starts, window, minute):
    return int(((minute - window < starts) & (starts <= minute)).sum())


def tail(r, mean):
    """SciPy's chance of so few where the mean is this, with the spread of the rule."""
    size = 1 / SPREAD**2
    return nbinom.cdf(r, size, size / (size + mean)) if mean > 0 else 1.0


def slow(kind, starts, minute):
    """The windows in which too few started, and how sure that is in the least sure of all windows."""
    found, doubt, starts = set(), 1.0, np.array(starts)
    for window in kind.windows:
        length = window // 60
        usual = sum(begun(starts, length, minute - WEEK + around) for around in range(-30, 31)) / 61
        mean, rooms = kind.below_usual * usual, begun(starts, length, minute)
        chance = tail(rooms, mean)
        doubt = min(doubt, abs(log10(max(chance, 1e-300)) - log10(RARE)))
        if rooms < mean and chance < RARE:
            found.add(window)
    return found, doubt


@LAW
@given(st.integers(0, 10**6), st.sampled_from([0, 0, 1, 10, 40]), st.sampled_from([1, 2, 5, 15]), st.integers(0, 60))
def test_it_holds_where_scipys_chance_of_so_few_starts_is_small_in_any_window(seed, left, every, back):
    """The hours around this minute of the week before, and what is left of them now."""
    dice, now = random.Random(seed), NOON
    before = [now - WEEK + minute for minute in range(-240, 60, every)]
    starts = before + [now - dice.randrange(240) for _ in range(left * 300 // every // 40)]
    found, doubt = slow(KIND, starts, now - back)
    assume(doubt > 1e-6)
    view = KIND.judge(Scene(series_of_starts(starts), now - back))
    assert view.holds == bool(found)
    if found:
        assert view.window in found


@LAW
@given(st.integers(0, 10**6), st.integers(0, 20))
def test_rooms_that_go_on_count_like_those_that_have_settled_up_to_the_minute_that_is_listed(seed, ago):
    dice = random.Random(seed)
    starts = [NOON - dice.choice((0, WEEK)) - dice.randrange(-40, 300) for _ in range(200)]
    going = [start for start in starts if start > NOON - 300 and dice.random() < 0.5]
    settled = starts.copy()
    for start in going:
        settled.remove(start)
    waiting = {minute: going.count(minute) for minute in going}
    seen = KIND.judge(Scene(series_of_starts(settled), NOON, listed=NOON - ago, waiting=waiting))
    then = KIND.judge(Scene(series_of_starts(starts), NOON - ago))
    assert (seen.holds, seen.window, seen.matched, seen.limit) == (then.holds, then.window, then.matched, then.limit)
    assert (seen.upto, seen.offset) == (NOON - ago, ago)


@LAW
@given(st.integers(0, 10**6))
def test_rooms_that_were_taken_out_again_or_forgotten_leave_nothing_behind_in_any_order(seed):
    dice = random.Random(seed)
    starts = [NOON - dice.choice((0, WEEK)) - dice.randrange(-40, 300) for _ in range(80)]
    other = dice.sample(starts, len(starts))
    gone = starts[:20] + [NOON - WEEK - 2000] * 9
    series, plain = series_of_starts(other, gone=gone, forget=NOON), series_of_starts(starts)
    for minute in (NOON, NOON + 40, NOON + 7):
        assert KIND.judge(Scene(series, minute)) == KIND.judge(Scene(plain, minute))


@LAW
@given(st.integers(0, 10**6), st.integers(0, 300))
def test_one_more_start_of_today_never_begins_it(seed, ago):
    dice = random.Random(seed)
    starts = [NOON - WEEK - m for m in range(-60, 240) if dice.random() < 0.6]
    starts += [NOON - m for m in range(240) if dice.random() < 0.1]
    more = [*starts, NOON - ago]
    before, after = (KIND.judge(Scene(series_of_starts(some), NOON)).holds for some in (starts, more))
    assert after <= before


def test_without_a_week_before_nothing_is_missing():
    assert not KIND.judge(Scene(Series(), NOON)).holds
    assert not KIND.judge(Scene(series_of_starts([]), NOON)).holds
    assert not KIND.judge(Scene(series_of_starts([NOON - n for n in range(9)]), NOON)).holds


def test_the_sample_says_what_was_usual():
    scene = Scene(series_of_starts([NOON - WEEK - minute for minute in range(-60, 400)]), NOON)
    sample = sample_of(KIND, scene, KIND.judge(scene))
    assert (sample.matched, sample.baseline, sample.window) == (0, 180, 10_800)
    assert sample.limit == pytest.approx(126)
    assert KIND.describe(sample) == "no room started within 3h, 180 at this time a week ago"


# a fortnight

RULE = Rule(alert="Silent", kind=KIND, keep_firing_for=900)


def fortnight(call, silence=range(0), days=range(-14, 1)):
    """Rooms of ten minutes, nine an hour by night and thirty by day, fewer at weekends; none start in the silence."""
    dice, rooms = random.Random(11), []
    for minute in range(days.start * 1440, days.stop * 1440):
        day, hour = (minute // 1440) % 7, (minute // 60 + 12) % 24
        an_hour = (30 if 7 <= hour < 20 else 9) * (0.5 if day in (5, 6) else 1)
        if dice.random() < an_hour / 60 and minute not in silence:
            rooms.append(call(minute + 10, 0, 2, number=minute + 50_000, lasted=10))
    return rooms


def starts_of(rooms):
    return [room.started // 60 for room in rooms]


def test_an_ordinary_week_after_an_ordinary_week_raises_no_alarm(call):
    series = series_of_starts(starts_of(fortnight(call)))
    held = [minute for minute in range(-WEEK, 0, 15) if KIND.judge(Scene(series, NOON + minute)).holds]
    assert held == []


@pytest.fixture(scope="module")
def quiet(call):
    """A fortnight that falls silent for two hours and a half on the second Monday at half past twelve."""
    return fortnight(call, range(30, 180))


@pytest.fixture(scope="module")
def expected(quiet):
    """The minutes of five hours in which a plain list of the starts says that it holds."""
    around = [start for start in starts_of(quiet) if start > NOON - 400 or abs(start - NOON + WEEK) < 600]
    return [minute for minute in range(1, 300) if slow(KIND, around, NOON + minute - LISTED_AFTER)[0]]


@pytest.fixture
def watching(policy_of):
    return lambda **parts: policy_of(replace(RULE, **parts), accounts=("production",))


def test_silence_after_a_fortnight_fires_at_the_first_such_minute_and_resolves_when_starts_are_known_again(
    story, quiet, expected, watching, in_sight
):
    told = story(policy=watching(), rooms=quiet, minutes=300, sights=(in_sight(-30_000, 999),))
    assert 60 < expected[0] < 100
    assert told.events == [(expected[0], "firing", "Silent"), (expected[-1] + 15, "resolved", "Silent")]
    assert "at this time a week ago" in told.history[0].reason


def test_with_for_it_must_last(story, quiet, expected, watching, in_sight):
    told = story(policy=watching(hold_for=600), rooms=quiet, minutes=180, sights=(in_sight(-30_000, 999),))
    assert told.events == [(expected[0] + 10, "firing", "Silent")]


def test_an_account_that_cannot_be_seen_is_not_silent(story, quiet, watching, in_sight):
    sights = (in_sight(-30_000, 60), in_sight(185, 999))
    assert story(policy=watching(), rooms=quiet, minutes=200, sights=sights).events == []
