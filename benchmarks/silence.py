"""How soon `absent: {below_usual: 70%}` finds that no room starts any more, and how often it is wrong.

Usage: python -m benchmarks.silence [--sizes 200 5000 50000] [--seeds 3]

Starts follow the simulator's days and weeks; at every second hour of a Monday they cease. Told are the minutes until
the rule holds, looks being made each minute, and the minutes of two clean days in which it held for nothing.
"""

from __future__ import annotations

import argparse
import random
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from statistics import median

from alertd.engine.books import Starts
from alertd.engine.kinds import Absent
from alertd.engine.outcome import LISTED_AFTER
from alertd.engine.samples import Scene
from alertd.engine.windows import MINUTE, Series
from alertd.simulator.rhythm import starts

KIND = Absent(below_usual=0.7)
MONDAY = 1_772_409_600
DAY, CHUNK = 86400, 600
KEPT = 12_000
"""Minutes of starts that the rule looks back to, and some more."""
PATIENCE = 300


def drawn(rate: int, seed: int) -> list[int]:
    """The minutes in which rooms start, from nine days before the Monday to two days behind its beginning."""
    found = []
    for chunk in range((MONDAY - 9 * DAY) // CHUNK, (MONDAY + 2 * DAY) // CHUNK):
        found += [at // MINUTE for at in starts(random.Random(f"{seed}/{chunk}"), chunk * CHUNK, CHUNK, rate)]
    return sorted(found)


def counted(minutes: Iterable[int]) -> Series:
    """The starts as the windows of an account have them."""
    series = Series(None, book := Starts(KEPT))
    for minute in minutes:
        series.totals.fold(minute, 2)
        book.fold(minute, 1)
    return series


def holds(series: Series, minute: int) -> bool:
    """Whether the rule holds then, having seen what was listed by then."""
    return KIND.judge(Scene(series, minute, listed=minute - LISTED_AFTER)).holds


def found_after(minutes: Sequence[int], onset: int) -> int | None:
    """Minutes from the last start to the alert, None if it takes more than five hours."""
    series = counted(minutes[bisect_left(minutes, onset - KEPT) : bisect_left(minutes, onset)])
    return next((passed for passed in range(1, PATIENCE) if holds(series, onset + passed)), None)


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.silence", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 5_000, 50_000], help="rooms a day")
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    first = MONDAY // MINUTE
    for rate in asked.sizes:
        found, wrong = list[int | None](), 0
        for seed in range(asked.seeds):
            minutes = drawn(rate, seed)
            found += [found_after(minutes, first + 60 * hour) for hour in range(0, 24, 2)]
            clean = counted(minutes)
            wrong += sum(holds(clean, first + minute) for minute in range(2 * 24 * 60))
        soon = [minute for minute in found if minute is not None]
        told = f"found in a median of {median(soon):g} min, {max(soon)} at most" if soon else "never found"
        missed = f"not within 5 h: {len(found) - len(soon)} of {len(found)}"
        print(f"{rate:,} rooms a day: {told}; {missed}; wrong: {wrong} min")


if __name__ == "__main__":
    main()
