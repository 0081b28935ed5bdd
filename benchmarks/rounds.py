"""How a figure is made: a fresh process for each run, contenders in turn round by round, medians with their spread."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.server import ROOT

LONGEST = 7200
"""Seconds that a single run may take."""
Result = dict[str, Any]
"""What one run came to, as plain data."""


class Spread(NamedTuple):
    """The median of some rounds, and between what they lay."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """The spread of the values of all rounds."""
    return Spread(statistics.median(values), min(values), max(values))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """How ours compare with theirs, round by round: a slow moment of the machine slows both sides of a round."""
    return spread([one / other for one, other in zip(ours, theirs, strict=True)])


def run(module: str, *arguments: object) -> Result:
    """What `python -m benchmarks.MODULE ARGUMENTS` prints as its last line, which is JSON; its errors go to ours."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT, text=True, timeout=LONGEST, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[1:])} failed with status {done.returncode}")
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def say(text: str) -> None:
    """Progress, on standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
