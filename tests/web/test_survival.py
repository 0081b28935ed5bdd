"""What people asked for outlives a SIGKILL: it was written down before it was answered."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alertd.engine.alerts import Alert, fingerprint
from alertd.engine.outcome import Outcome
from alertd.store import open_store


def told(*words: str) -> str:
    """What the command prints; it must succeed."""
    run = subprocess.run([sys.executable, "-m", "alertd", *words], check=True, capture_output=True, text=True)
    return run.stdout.strip()


def post(address: str, alerts: list[dict[str, Any]]) -> None:
    request = urllib.request.Request(f"{address}/api/v2/alerts", json.dumps(alerts).encode())
    request.add_header("Content-Type", "application/json")
    urllib.request.urlopen(request, timeout=10).read()


async def had_fired(folder: Path) -> None:
    """An alert fires, as far as the database knows."""
    store = await open_store(f"sqlite:///{folder}/alertd.db")
    now = int(time.time())
    labels = {"alertname": "Down", "severity": "page"}
    alert = Alert(fingerprint=fingerprint(labels), rule="R", labels=labels, state="firing", starts_at=now - 60)
    await store.commit(Outcome(alerts=(alert,)), expected=None, until=now)
    await store.close()


def down(address: str) -> dict[str, Any]:
    """What is said of that alert."""
    (one,) = json.loads(told("alerts", "--json", "--url", address))
    return dict(one)


def listed(address: str) -> set[str]:
    """The names of the alerts that Alertmanager's clients see."""
    answer = urllib.request.urlopen(f"{address}/api/v2/alerts", timeout=10).read()
    return {one["labels"]["alertname"] for one in json.loads(answer)}


def test_silences_acknowledgements_and_posted_alerts_are_there_after_a_sigkill(
    daemon_in: Callable[[Path], Any], tmp_path: Path
) -> None:
    asyncio.run(had_fired(tmp_path))
    daemon = daemon_in(tmp_path)
    daemon.start()
    try:
        url = ("--url", daemon.address)
        post(daemon.address, [{"labels": {"alertname": "DiskFull"}, "endsAt": "2099-01-01T00:00:00Z"}])
        silence = told("silence", "add", "Down", "--for", "1h", "--comment", "deploying", *url)
        told("ack", down(daemon.address)["fingerprint"], "--comment", "on it", *url)
        daemon.kill()
        daemon.start()
        one = down(daemon.address)
        assert f"silenced by {silence}" in one["quiet"]
        assert one["acknowledged"]["comment"] == "on it"
        assert listed(daemon.address) >= {"DiskFull", "Down"}
        told("silence", "expire", silence, *url)
        daemon.kill()
        daemon.start()
        assert told("silence", "list", *url) == ""
        assert down(daemon.address)["quiet"] == ""
    finally:
        daemon.stop()
