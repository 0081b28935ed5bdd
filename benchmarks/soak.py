"""A week of the busiest account in the foulest weather, sped up: is any room missed, does memory grow, what was said?

Usage: python -m benchmarks.soak [--rooms-per-day 200000] [--days 7] [--speed 200] [--kills 10]
       [--rules FILE] [--output FILE]

The simulator runs in this process, `alertd run` in one of its own, which is killed now and then and started again. In
the end the database is compared with what the simulator knows that a client could count.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from alertd.clock import FastClock
from alertd.config import load
from alertd.evaluate import Evaluator
from alertd.policy import policy_of
from alertd.pseudonyms import shown
from alertd.simulator.fates import countable, final_people
from alertd.simulator.scenario import Scenario, load_scenario
from alertd.simulator.server import build_app, serve
from alertd.simulator.sids import account_sid
from alertd.simulator.traffic import Traffic
from alertd.store import open_store
from benchmarks.rounds import say

KEY, SECRET = "SK" + "5" * 32, "simulated"
MINUTE, HOUR, DAY = 60, 3600, 86400
RULES = Path(__file__).parent.parent / "rules"
PATIENCE = 6 * HOUR
"""Simulated seconds for which a room, or its last change, must have stood: outages last, and relisting takes turns."""
CONFIG = """
[[accounts]]
name = "simulated"
base_url = "{base}"
api_key = "{key}"
api_key_secret = "{secret}"
[collect]
every = "{every}"
max_in_flight = 32
[store]
url = "sqlite:///soak.db"
[rules]
paths = ["{rules}"]
[http]
listen = "127.0.0.1:{port}"
[log]
level = "warning"
[route]
receiver = "nobody"
[[receivers]]
name = "nobody"
"""


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--rooms-per-day", type=int, default=200_000)
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--speed", type=float, default=200.0)
    parser.add_argument("--every", default="5m", help="collect.every: at such a speed a minute is no time")
    parser.add_argument("--kills", type=int, default=10, help="SIGKILLs, spread evenly")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenario", default="foul-weather")
    parser.add_argument("--rules", type=Path, default=RULES, help="few rules leave a sped-up machine time to collect")
    parser.add_argument("--port", type=int, default=9299)
    parser.add_argument("--output", type=Path, help="the findings as JSON")
    return parser.parse_args()


class Daemon:
    """`alertd run` as a process, with what its metrics say."""

    def __init__(self, folder: Path, base: str, port: int) -> None:
        self._command = [sys.executable, "-m", "alertd", "run", "--config", str(folder / "a.toml"), "--clock", base]
        self._log = (folder / "log").open("ab")
        self._metrics = f"http://127.0.0.1:{port}/metrics"
        self.process = self.started()

    def started(self) -> subprocess.Popen[bytes]:
        """A new process."""
        return subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=self._log)

    def _last_words(self) -> str:
        return Path(self._log.name).read_text(errors="replace")[-2000:]

    def kill(self) -> None:
        """End it without a word, and start it again."""
        self.process.kill()
        self.process.wait()
        self.process = self.started()

    def stop(self) -> None:
        """End it in order."""
        self.process.terminate()
        self.process.wait(60)

    def resident(self) -> float:
        """Its memory in MiB; RuntimeError with its last words if it ended by itself."""
        if self.process.poll() is not None:
            raise RuntimeError(f"alertd ended with status {self.process.returncode}: {self._last_words()}")
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]  # it is always there

    def metric(self, name: str) -> float | None:
        """One figure, None while it does not answer."""
        try:
            text = urllib.request.urlopen(self._metrics, timeout=10).read().decode()
        except OSError:
            return None
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


async def live(asked: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Let the week pass; what was seen of the process meanwhile, and what the database holds in the end."""
    scenario = load_scenario(asked.scenario).model_copy(update={"rooms_per_day": asked.rooms_per_day})
    start = int(time.time())
    clock = FastClock(start, asked.speed)
    async with serve(build_app(scenario, clock, {KEY: SECRET}, seed=asked.seed)) as base:
        rules = asked.rules.resolve()
        config = CONFIG.format(base=base, key=KEY, secret=SECRET, every=asked.every, rules=rules, port=asked.port)
        (folder / "a.toml").write_text(config)
        daemon = Daemon(folder, base, asked.port)
        series = await watch(asked, daemon, clock, start)
        end = int(clock.now())
        await asyncio.to_thread(daemon.stop)
    say("judging what was not judged yet: at such a speed collecting leaves little time for it")
    await judge_the_rest(folder / "a.toml", end)
    say("comparing with what the simulator knows")
    return {"series": series, "simulated_days": (end - start) / DAY} | compared(
        scenario, asked.seed, start, end, folder
    )


async def judge_the_rest(config: Path, end: int) -> None:
    """Decide all that is left up to `end`, as the daemon would have."""
    loaded = load(config)
    store = await open_store(loaded.config.store.url.get_secret_value())
    try:
        show = shown(loaded.config, await store.pseudonym_key())
        evaluator = Evaluator(store, policy_of(loaded), FastClock(end, 0.0), show, keeper=store)
        while (await store.evaluated_until() or 0) < end - MINUTE:
            await evaluator.turn()
    finally:
        await store.close()


async def watch(asked: argparse.Namespace, daemon: Daemon, clock: FastClock, start: int) -> list[dict[str, float]]:
    """Memory and progress every twenty real seconds, and the kills."""
    lasts = asked.days * DAY + PATIENCE + HOUR
    kills = [start + lasts * (n + 1) / (asked.kills + 1) for n in range(asked.kills)]
    series: list[dict[str, float]] = []
    while (now := clock.now()) < start + lasts:
        await asyncio.sleep(20)
        missing = await asyncio.to_thread(daemon.metric, "alertd_coverage_missing_seconds{")
        judged = await asyncio.to_thread(daemon.metric, "alertd_evaluated_until_timestamp_seconds")
        row = {"day": round((now - start) / DAY, 2), "mib": round(daemon.resident(), 1), "missing": missing or 0.0}
        row["unjudged"] = round(clock.now() - judged) if judged else 0.0
        series.append(row)
        say(", ".join(f"{name} {value:.2f}" for name, value in row.items()))
        if kills and now > kills[0]:
            kills.pop(0)
            await asyncio.to_thread(daemon.kill)
    return series


def compared(scenario: Scenario, seed: int, start: int, end: int, folder: Path) -> dict[str, object]:
    """What is missed, too much or wrong in the database, and what alertd said about itself."""
    traffic = Traffic(scenario, account_sid=account_sid(KEY), seed=seed, start=start)
    with sqlite3.connect(folder / "soak.db") as database:
        rows = database.execute("SELECT sid, participants FROM rooms WHERE replaced_at IS NULL").fetchall()
        corrected = database.execute("SELECT count(*) FROM rooms WHERE replaced_at IS NOT NULL").fetchone()[0]
        told = [json.loads(body) for (body,) in database.execute("SELECT body FROM events ORDER BY at, id")]
    stored = {f"RM{sid.hex()}": participants for sid, participants in rows}
    missed, wrong, must, known = [], [], 0, 0
    for call in traffic.oldest_first(start - DAY, end):
        found = stored.pop(call.sid, None)
        known += found is not None
        if countable(call, end, PATIENCE):
            must += 1
            if found is None:
                missed.append(call.sid)
            elif (call.changed_at or 0) < min(end, call.gone_from or end) - PATIENCE:
                people = len(final_people(call, traffic.sessions(call), end))
                if people != found:
                    wrong.append((call.sid, people, found))
    older = sum(
        1 for call in traffic.oldest_first(start - 9 * DAY, start - DAY) if stored.pop(call.sid, None) is not None
    )
    return {
        "rooms_stored": len(rows),
        "counted_twice": len(rows) - known - older - len(stored),
        "that_had_to_be": must,
        "missed": missed,
        "never_there": sorted(stored)[:100],
        "wrong_participants": wrong[:100],
        "corrected": corrected,
        "said": dict(Counter(f"{one['event']} {one['labels']['alertname']}" for one in told)),
        "told": [
            f"{_moment(one['at'], start)} {one['event']} {one['labels']['alertname']}: {one['reason']}" for one in told
        ],
    }


def _moment(at: int, start: int) -> str:
    return f"day {(at - start) / DAY:.2f} ({datetime.fromtimestamp(at, UTC):%F %T})"


def lines(found: dict[str, object]) -> Iterator[str]:
    """The findings for people."""
    for name, value in found.items():
        if isinstance(value, list) and name not in ("told", "series"):
            yield f"{name}: {len(value)} {value[:5] if value else ''}"
        elif isinstance(value, list):
            yield f"{name}:"
            yield from (f"  {one}" for one in value)
        else:
            yield f"{name}: {value}"


def main() -> None:
    """Soak; status 1 if a room was missed, counted twice or wrong."""
    asked = arguments()
    with tempfile.TemporaryDirectory(prefix="alertd-soak-") as folder:
        found = asyncio.run(live(asked, Path(folder)))
    print("\n".join(lines(found)))
    if asked.output:
        asked.output.write_text(json.dumps(found, indent=1))
    sys.exit(bool(found["missed"] or found["never_there"] or found["wrong_participants"] or found["counted_twice"]))


if __name__ == "__main__":
    main()
