"""`python -m benchmarks`: measure, side by side, what the design promises about collecting, and write it down."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import calls, conditions, fetching, ingest, judging, memory, report
from benchmarks.figures import PARTS, figures
from benchmarks.rounds import Result, say

MEASURES: dict[str, Callable[..., Result]] = {
    "fetching": fetching.measure,
    "calls": calls.measure,
    "judging": judging.measure,
    "conditions": conditions.measure,
    "ingest": ingest.measure,
    "memory": memory.measure,
}
HERE = Path(__file__).parent


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, help="of interleaved runs (default: 5; 1 with --quick)")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"any of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: see that it works; kept only with --output")
    parser.add_argument(
        "--output", type=Path, help="folder for README.md, figures.svg and results.json (default: here)"
    )
    return parser.parse_args()


def main() -> None:
    """Measure part by part; what other runs found out about other parts stays in the report."""
    asked = arguments()
    rounds = asked.rounds or (1 if asked.quick else 5)
    folder = asked.output or (None if asked.quick else HERE)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)  # before minutes of measuring that would be lost
    results = report.read(folder) if folder else {}
    for name in PARTS:
        if name in (asked.only or PARTS):
            results[name] = measured(name, rounds, quick=asked.quick)
            if folder:  # part by part: what follows may take long, or fail
                report.write({part: results[part] for part in PARTS if part in results}, folder)
    for figure in figures(results):
        goal = {None: "", True: f"{figure.reach}: reached", False: f"{figure.reach}: NOT reached"}[figure.reached]
        print("; ".join(filter(None, [f"{figure.what}: {figure.figure}", figure.against, figure.ratio, goal])))


def measured(name: str, rounds: int, *, quick: bool) -> Result:
    """What one part found, with when and where."""
    say(f"measuring {name}")
    began = time.monotonic()
    found = MEASURES[name](rounds, quick=quick)
    return {"found": found, "about": report.about(time.monotonic() - began, rounds)}


if __name__ == "__main__":
    main()
