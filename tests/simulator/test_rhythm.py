"""Rooms start in a daily and weekly rhythm whose average is what was asked for."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from alertd.simulator.rhythm import DAY, HOUR, intensity, starts, wander


def test_a_week_is_as_busy_as_its_average(noon: int) -> None:
    week = [intensity(noon + minute * 60) for minute in range(7 * 24 * 60)]
    assert sum(week) / len(week) == pytest.approx(1, abs=0.01)


def test_afternoons_are_busier_than_nights_and_mondays_than_sundays(noon: int) -> None:
    assert intensity(noon + 4 * HOUR) > 2 * intensity(noon - 8 * HOUR)
    assert intensity(noon) > 1.5 * intensity(noon - DAY)


def test_one_hour_blends_into_the_next(noon: int) -> None:
    steps = [intensity(noon + second) for second in range(0, 6 * HOUR, 60)]
    assert max(abs(after - before) for before, after in pairwise(steps)) < 0.01


def test_rooms_start_inside_the_stretch_in_order_and_as_many_as_the_rate_says(noon: int) -> None:
    moments = list(starts(random.Random(4), noon, HOUR, 24_000))
    assert moments == sorted(moments)
    assert noon <= moments[0] <= moments[-1] < noon + HOUR
    assert len(moments) == pytest.approx(1000 * intensity(noon + HOUR // 2), rel=0.15)


def test_no_rooms_a_day_means_none(noon: int) -> None:
    assert list(starts(random.Random(4), noon, HOUR, 0)) == []


def test_trouble_wanders_by_the_hour_around_one(noon: int) -> None:
    hours = [wander("key", noon + hour * HOUR) for hour in range(2000)]
    assert sum(hours) / len(hours) == pytest.approx(1, abs=0.02)
    assert 0.3 < min(hours) < 0.7
    assert 1.4 < max(hours) < 2.2
    assert wander("key", noon) == wander("key", noon + HOUR - 1)
