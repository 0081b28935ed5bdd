"""Killed at a dozen random moments, alertd tells what it would have told, and repeats at most what was in flight."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from alertd.store import open_store

DAEMON = Path(__file__).parent / "crashing_daemon.py"
BEGIN = 1_772_452_800
KILLS = 12


class Hook:
    """A webhook that takes its time and remembers the ids it got, in order."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        ids = self.ids

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                ids.append(self.headers["webhook-id"])
                time.sleep(0.01)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def history(tmp_path: Path) -> Path:
    dice, rows = random.Random(4), []
    for number in range(360):
        minute = number * 270 // 360
        bad = 40 <= minute < 65 or 165 <= minute < 180
        region = "ie1" if number % 2 else "us1"
        ended = BEGIN + minute * 60 + dice.randrange(60)
        failed = dice.randrange(3, 7) if bad and region == "ie1" else int(dice.random() < 0.02)
        settles = ended + dice.choice([180, 300, 420, 600, 1500])
        sid = f"RM{number + 1:032x}"
        rows.append(
            {
                "number": number,
                "sid": sid,
                "ended": ended,
                "settles": settles,
                "failed": failed,
                "of": 8,
                "region": region,
            }
        )
    path = tmp_path / "history.json"
    path.write_text(json.dumps(rows))
    return path


def start(database: Path, history: Path, hook: Hook) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(DAEMON.parent.parent)}
    command = [sys.executable, str(DAEMON), str(database), str(history), hook.url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    assert process.stdout is not None
    while (line := process.stdout.readline()) and line != "ready\n":
        pass
    return process


def finish(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=90)
    assert output.endswith("done\n")


async def told(database: Path) -> tuple[list[tuple[Any, ...]], list[str]]:
    """The events and, by group and integration, the notifications that a database holds."""
    store = await open_store(f"sqlite:///{database}")
    try:
        events = [(one.at, one.event, one.fingerprint, one.reason) for one in await store.events()]
        entries = [entry for entry in await store.deliveries(limit=1000) if entry.state == "sent"]
        return events, sorted(entry.id for entry in entries)
    finally:
        await store.close()


@pytest.mark.timeout(300)  # a dozen starts of a process, on a machine that may be busy
async def test_a_dozen_kills_lose_nothing_and_repeat_at_most_what_was_in_flight(tmp_path, history, hook):
    finish(start(tmp_path / "calm.db", history, hook))
    expected_events, expected = await told(tmp_path / "calm.db")
    assert [event for _, event, _, _ in expected_events].count("firing") >= 3
    assert sorted(hook.ids) == expected
    calm_order = list(hook.ids)
    hook.ids.clear()

    dice = random.Random()
    print(f"seed state: {dice.getstate()[1][0]}")
    kills = 0
    while kills < KILLS:
        process = start(tmp_path / "killed.db", history, hook)
        await asyncio.sleep(dice.uniform(0.0, 0.6))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        kills += 1
        process.communicate()
    finish(start(tmp_path / "killed.db", history, hook))

    events, sent = await told(tmp_path / "killed.db")
    assert events == expected_events
    assert sent == expected
    times = Counter(hook.ids)
    assert set(times) == set(expected), "nothing lost, nothing invented"
    assert sum(times.values()) - len(times) <= KILLS * 2, (
        "each kill repeats at most what was in flight to each receiver"
    )
    firsts = list(dict.fromkeys(hook.ids))
    assert Counter(firsts) == Counter(calm_order)
