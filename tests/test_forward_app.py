"""The daemon forwards what it decides, to fakes and to a real Alertmanager, and alerts on those that fail."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from alertd.app import App, built
from alertd.clock import FastClock
from alertd.config import load
from alertd.engine.alerts import Alert, fingerprint
from alertd.engine.outcome import Outcome
from alertd.forward import Forwarder
from alertd.policy import members_of, policy_of

REAL = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
NAME = "central/alertmanager[0]"
CONFIG = """
[[accounts]]
name = "simulated"
base_url = "http://127.0.0.1:9"
api_key = "SK55555555555555555555555555555555"
api_key_secret = "simulated"
[rules]
paths = ["rules.yaml"]
[http]
listen = "127.0.0.1:0"
[route]
receiver = "central"
[[route.routes]]
matchers = ['alertname="Watchdog"']
receiver = "central"
[[receivers]]
name = "central"
[[receivers.alertmanager]]
url = {urls}
"""
RULES = "rules:\n  - alert: Rare\n    match: {error_code: 53999}\n    any: true\n"


@pytest.fixture
def configured(tmp_path) -> Callable[..., Path]:
    """A configuration that forwards everything, the heartbeat too, to these addresses."""

    def write(*urls: str) -> Path:
        (tmp_path / "rules.yaml").write_text(RULES)
        (tmp_path / "alertd.toml").write_text(CONFIG.format(urls=json.dumps(urls)))
        return tmp_path / "alertd.toml"

    return write


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - it happens on the other side
            await asyncio.sleep(0.02)


async def test_the_daemon_forwards_what_it_decides_and_by_what_was_reloaded(
    configured, member, other, clock, unused_tcp_port
):
    nobody = f"http://127.0.0.1:{unused_tcp_port}"
    async with built(load(configured(member.url, nobody)), FastClock(time.time(), 60.0)) as app:
        running = asyncio.create_task(app.run())
        await until(lambda: ["Watchdog"] in member.names())
        configured(member.url, other.url)
        assert await app.reloader.reload("test") == ()
        await until(lambda: any("Watchdog" in names for names in other.names()))
        figures = app.metrics.exposition().decode()
        assert f'alertd_deliveries_total{{integration="{NAME}",result="sent"}}' in figures
        assert await app.store.deliveries() == []
        app.stopping.set()
        await asyncio.wait_for(running, 60)


async def failing(app: App) -> str | None:
    """How the alert about the deliveries to the cluster stands."""
    alerts = (await app.store.snapshot(int(app.clock.now()))).alerts.values()
    found = [one.state for one in alerts if one.labels.get("integration") == NAME]
    return found[0] if found else None


async def test_alertd_alerts_on_a_member_that_fails_and_no_longer_once_it_works(configured, member, other, clock):
    member.status = 500
    async with built(load(configured(member.url, other.url)), clock) as app:
        states = []
        for minute in range(25):
            member.status = 500 if minute < 10 else 200
            clock.reading += 60
            await app.evaluator.turn()
            await app.forwarder.settle()
            states.append(await failing(app))
        assert list(dict.fromkeys(states)) == [None, "pending", "firing", "resolved"]
    (told,) = {json.dumps(one["labels"]) for got in other.got for one in got if "integration" in one["labels"]}
    assert json.loads(told) == {"alertname": "AlertdDeliveryFailing", "integration": NAME, "severity": "page"}


@pytest.fixture
def real(tmp_path) -> Iterator[str]:
    """The address of a real Alertmanager that tells nobody."""
    (tmp_path / "am.yml").write_text("route:\n  receiver: nobody\nreceivers:\n- name: nobody\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(REAL), f"--config.file={tmp_path}/am.yml", f"--storage.path={tmp_path}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", "--log.level=error"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


async def there(address: str) -> list[dict[str, Any]] | None:
    """The alerts that fire there; None as long as nobody answers."""

    def ask() -> list[dict[str, Any]] | None:
        try:
            with urllib.request.urlopen(f"{address}/api/v2/alerts", timeout=5) as answer:
                return json.load(answer)
        except OSError:
            return None

    return await asyncio.to_thread(ask)


async def until_ready(address: str) -> None:
    async with asyncio.timeout(60):
        while await there(address) is None:  # noqa: ASYNC110 - it begins in another process
            await asyncio.sleep(0.1)


def a_firing_alert(since: int) -> Alert:
    labels = {"alertname": "A", "region": "", "room": 'a "b" ü'}
    words = {"annotations": {"summary": "Look."}, "rule": "R", "state": "firing"}
    return Alert(fingerprint=fingerprint(labels), labels=labels, starts_at=since, changed_at=since, **words)


async def troubles(store, clock) -> list[str]:
    return [one.subject for one in (await store.snapshot(int(clock.now()))).troubles if one.until is None]


@pytest.mark.skipif(REAL is None, reason="Alertmanager is not installed")
async def test_a_real_alertmanager_has_an_alert_while_it_fires_and_no_longer(real, configured, store, clock):
    """Even in a rehearsal, whose clock is a day ahead of the other side's."""
    clock.reading, clock.speed = time.time() + 86400, 60.0
    now, loaded = int(clock.reading), load(configured(real))
    firing = a_firing_alert(now - 3600)
    over = msgspec.structs.replace(firing, state="resolved", ends_at=now - 300, changed_at=now - 300)
    async with aiohttp.ClientSession() as session:
        sender = Forwarder(store, policy_of(loaded), members_of(loaded.config, session), clock)
        await until_ready(real)
        await store.trouble("delivery", NAME, "it did not answer", now - 3600)
        await sender.settle()
        assert await troubles(store, clock) == []

        assert await store.commit(Outcome(alerts=(firing,)), expected=None, until=now)
        await sender.settle()
        (found,) = await there(real) or []
        assert (found["fingerprint"], found["annotations"]) == (firing.fingerprint, firing.annotations)
        assert found["labels"] == {"alertname": "A", "room": 'a "b" ü'}
        assert found["generatorURL"].endswith(f"/alerts?fingerprint={firing.fingerprint}")

        assert await store.commit(Outcome(alerts=(over,)), expected=now, until=now + 1)
        await sender.settle()
        assert await there(real) == []
