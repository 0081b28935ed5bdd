"""What the daemon's process takes as participants go through it: simulated hours of looks, rules, decisions.

Usage: python -m benchmarks.memory BASE_URL FIRST MOST_PARTICIPANTS
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
from pathlib import Path

from benchmarks import rooms
from benchmarks.calls import MINUTE, SetClock
from benchmarks.rounds import Result, run, say
from benchmarks.rulebook import write_config
from benchmarks.server import served, set_now

FIRST = 1_772_409_600
"""2026-03-02 00:00 UTC."""
STEP = 0.6
"""Seconds between the starts of rooms: 100 rooms, 1,000 participants a minute.

So the rules' longest windows (6 h, and an hour and a half kept beyond) are full before the second half begins, and from
then on nothing may grow.
"""
MARKS = (100_000, 250_000, 500_000, 1_000_000)
QUICK = (1_000, 2_000)
IN_FLIGHT = 32


def measure(rounds: int, *, quick: bool) -> Result:  # noqa: ARG001 - one run shows how memory goes on
    """Resident memory in MiB at the beginning and at each mark."""
    with served(first=FIRST, step=STEP) as base:
        result = run("memory", base, FIRST, *(QUICK if quick else MARKS))
    say(f"memory: {result}")
    return result


async def watch(base: str, first: int, marks: list[int]) -> Result:
    """Run minute after minute of the daemon until so many participants have settled."""
    from alertd import logs
    from alertd.app import built
    from alertd.config import load

    logs.set_up(level="error")
    clock, series, left = SetClock(first), [], list(marks)
    with tempfile.TemporaryDirectory() as folder:
        async with built(load(write_config(Path(folder), base, IN_FLIGHT)), clock) as app:
            series.append({"participants": 0, "mib": resident()})
            while left:
                clock.time += MINUTE
                set_now(base, clock.time)
                await app.once()
                stored = (await app.store.counts())["participants"]
                while left and stored >= left[0]:
                    series.append({"participants": left.pop(0), "mib": resident()})
                    say(f"{stored} participants: {series[-1]['mib']:.0f} MiB")
    hours = (clock.time - first) / 3600
    return {
        "series": series,
        "peak_mib": _peak(),
        "hours": hours,
        "rooms_a_minute": MINUTE / STEP,
        "people": rooms.PEOPLE,
    }


def resident() -> float:
    """MiB of this process in memory now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Watch one run; print JSON."""
    base, first, *marks = sys.argv[1:]
    print(json.dumps(asyncio.run(watch(base, int(first), list(map(int, marks))))))


if __name__ == "__main__":
    main()
