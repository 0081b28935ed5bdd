"""How soon each incident of the simulator is found by kinds of rules, and how often a clean week is disturbed.

Usage: python -m benchmarks.incidents [--sizes 200 5000 …] [--seeds N] [--jobs N] [--quick]
                                      [--results FILE] [--page FILE]

For each size (rooms a day) and seed a history is written in which incidents follow clean days, and `alertd backtest`
goes over it with the rules of incidents.yaml. What was found is kept in incidents.json, a history at a time, so that a
run can be ended at any moment; docs/detection.md is written from all that is there. `--seeds 0` only writes the page.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks import incidentpage
from benchmarks.rounds import say
from benchmarks.staging import ACCOUNT, GRACE, ORDINARY, QUICK, SETTINGS, Play, Setting, Staged, staged, write_history

HERE = Path(__file__).parent
ROOT = HERE.parent
RULES = HERE / "incidents.yaml"
CONFIG = f"""
[[accounts]]
name = "{ACCOUNT}"
api_key = "SK{"5" * 32}"
api_key_secret = "simulated"
[rules]
paths = ["rules.yaml"]
[route]
receiver = "nobody"
[[receivers]]
name = "nobody"
"""
History = dict[str, Any]
"""What came of one history, as it is kept."""


class Fired(NamedTuple):
    """An alert that began to fire at an instant (seconds since the epoch)."""

    rule: str
    at: int
    labels: dict[str, str]


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.incidents", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", metavar="ROOMS", help="rooms a day (default: 200 5000 50000)")
    parser.add_argument("--seeds", type=int, help="histories of each size (default: 30, 4 and 2)")
    parser.add_argument("--from-seed", type=int, default=1, help="the first seed; others are added to what is there")
    parser.add_argument("--jobs", type=int, default=1, help="histories at once")
    parser.add_argument("--quick", action="store_true", help="a tiny history: see that it works; not kept by default")
    parser.add_argument("--results", type=Path, help="where what was found is kept (default: incidents.json here)")
    parser.add_argument("--page", type=Path, help="the page whose figures are written (default: docs/detection.md)")
    return parser.parse_args()


def main() -> None:
    """Go over what is asked for, history by history, and write the page."""
    asked = arguments()
    results = asked.results or (None if asked.quick else HERE / "incidents.json")
    page = asked.page or (None if asked.quick else ROOT / "docs" / "detection.md")
    histories = kept(results)
    for history in measured(planned(asked), asked.jobs):
        others = kept(results) if results else histories  # another run may have added to them
        histories = sorted([*(one for one in others if _place(one) != _place(history)), history], key=_place)
        if results:
            _write(results, incidentpage.as_json(histories))
    if page:
        _write(page, incidentpage.with_figures(page.read_text(encoding="utf-8"), histories))
    print(incidentpage.figures(histories))


def kept(results: Path | None) -> list[History]:
    """What earlier runs found."""
    return json.loads(results.read_text(encoding="utf-8")) if results and results.exists() else []


def planned(asked: argparse.Namespace) -> list[tuple[Setting, int, int]]:
    """Setting, size and seed of each history, the first seeds of all sizes before the second."""
    sizes = asked.sizes or ([400] if asked.quick else list(SETTINGS))
    plan = []
    for size in sizes:
        setting = QUICK if asked.quick else SETTINGS.get(size, ORDINARY)
        number = setting.seeds if asked.seeds is None else asked.seeds
        plan += [(setting, size, seed) for seed in range(asked.from_seed, asked.from_seed + number)]
    return sorted(plan, key=lambda history: history[2])


def measured(plan: list[tuple[Setting, int, int]], jobs: int) -> Iterator[History]:
    """What came of each, as they are done."""
    with ProcessPoolExecutor(jobs) as pool:
        for done in as_completed([pool.submit(measure, *history) for history in plan]):
            history = done.result()
            say(f"{history['size']} rooms a day, seed {history['seed']}: {history['took']} s")
            yield history


def measure(setting: Setting, size: int, seed: int) -> History:
    """Write a history, go over it, and tell what was found and what was not."""
    began = time.monotonic()
    play = staged(setting, size, random.Random(f"{size}/{seed}"))
    with tempfile.TemporaryDirectory(prefix="alertd-incidents-") as name:
        folder = Path(name)
        rooms = write_history(folder / "history.ndjson", play, seed)
        rules = rules_for(setting)
        (folder / "rules.yaml").write_text(yaml.safe_dump({"rules": rules}), encoding="utf-8")
        (folder / "alertd.toml").write_text(CONFIG, encoding="utf-8")
        fired = backtest(folder)
    told = collated(setting, play, [rule["alert"] for rule in rules], fired)
    return {"size": size, "seed": seed, "rooms": rooms, "took": round(time.monotonic() - began)} | told


def rules_for(setting: Setting) -> list[dict[str, Any]]:
    """The rules of incidents.yaml; where a history is short, anomalies learn from less, and none from far back."""
    rules: list[dict[str, Any]] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["rules"]
    if setting.baseline == ORDINARY.baseline:
        return rules
    past = {"baseline": f"{setting.baseline}s", "lag": f"{setting.lag}s"}
    kept = [rule for rule in rules if "lag" not in rule.get("anomaly", {})]
    return [rule | ({"anomaly": rule["anomaly"] | past} if "anomaly" in rule else {}) for rule in kept]


def backtest(folder: Path) -> list[Fired]:
    """What `alertd backtest` says that fired; RuntimeError with its own words if it fails."""
    command = [sys.executable, "-m", "alertd", "backtest", "--config", str(folder / "alertd.toml")]
    command += ["--data", str(folder / "history.ndjson"), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"alertd backtest ended with status {done.returncode}: {done.stderr[-2000:]}")
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return [Fired(one["alert"], _epoch(one["at"]), one["labels"]) for one in said if one["event"] == "firing"]


def collated(setting: Setting, play: Play, rules: Iterable[str], fired: list[Fired]) -> History:
    """By rule: minutes to each incident (null: not found), false alarms of the clean days, and what fits nothing."""
    first = play.incidents[0].begin
    false = [alert for alert in fired if setting.watched_from <= alert.at < first]
    stray = [alert for alert in fired if alert.at >= first and not any(_tells(alert, one) for one in play.incidents)]
    return {
        "clean_hours": round((first - setting.watched_from) / 3600, 2),
        "false": _by_rule(false, rules),
        "stray": _by_rule(stray, rules),
        "found": {rule: {one.name: _minutes(rule, one, fired) for one in play.incidents} for rule in rules},
    }


def _tells(alert: Fired, incident: Staged) -> bool:
    return incident.begin <= alert.at <= incident.end + GRACE and incident.fits(alert.labels)


def _minutes(rule: str, incident: Staged, fired: list[Fired]) -> float | None:
    about = [alert.at for alert in fired if alert.rule == rule and _tells(alert, incident)]
    return round((min(about) - incident.begin) / 60, 1) if about else None


def _by_rule(alerts: list[Fired], rules: Iterable[str]) -> dict[str, int]:
    number = Counter(alert.rule for alert in alerts)
    return {rule: number[rule] for rule in rules}


def _epoch(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def _place(history: History) -> tuple[int, int]:
    return history["size"], history["seed"]


def _write(path: Path, text: str) -> None:
    """Write it whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


if __name__ == "__main__":
    main()
