"""Clocks: the machine's, and one that runs faster."""

from __future__ import annotations

import time

from alertd.clock import FastClock, SystemClock


async def test_a_fast_clock_runs_so_many_times_as_fast_and_waits_accordingly():
    clock, real = FastClock(1000.0, 600.0), time.monotonic()
    await clock.sleep(60)
    passed = time.monotonic() - real
    assert clock.now() >= 1060
    assert clock.now() - 1000 >= passed * 600 * 0.99


def test_a_fast_clock_goes_on_from_its_reading_when_its_speed_changes():
    clock = FastClock(1000.0, 1.0)
    before = clock.now()
    clock.run_at(3600.0)
    assert before <= clock.now() < before + 3600
    assert clock.speed == 3600.0


async def test_the_systems_clock_is_the_systems():
    clock = SystemClock()
    assert abs(clock.now() - time.time()) < 5
    await clock.sleep(-1)
