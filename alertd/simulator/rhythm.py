"""When rooms start: a daily and weekly rhythm around an average number of rooms a day, and a slow wander of trouble."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache

from alertd.simulator.population import HOURS, WEEKDAYS

HOUR, DAY = 3600, 86400
_MEAN = sum(HOURS) / 24 * sum(WEEKDAYS) / 7


def intensity(moment: int) -> float:
    """How busy it is at `moment` (seconds since the epoch), 1 being the week's average; hours blend smoothly."""
    hour, second = divmod(moment % DAY, HOUR)
    blend = HOURS[hour] + (HOURS[(hour + 1) % 24] - HOURS[hour]) * second / HOUR
    weekday = (moment // DAY + 3) % 7  # the epoch was a Thursday
    return blend * WEEKDAYS[weekday] / _MEAN


def starts(rng: random.Random, begin: int, length: int, rooms_per_day: float) -> Iterator[int]:
    """The seconds at which rooms start in `length` seconds from `begin`: a Poisson stream, ascending."""
    rate = rooms_per_day * intensity(begin + length // 2) / DAY
    at = rng.expovariate(rate) if rate > 0 else length
    while at < length:
        yield begin + int(at)
        at += rng.expovariate(rate)


def wander(key: str, moment: int) -> float:
    """How bad this hour is for no particular reason: 1 on average, with a spread of 20 % (a gamma draw per hour)."""
    return _wander(key, moment // HOUR)


@lru_cache(maxsize=1024)
def _wander(key: str, hour: int) -> float:
    return random.Random(f"{key}/wander/{hour}").gammavariate(25, 1 / 25)
