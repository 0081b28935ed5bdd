"""alertd and a real Alertmanager with the same alerts and routes, and what amtool prints of either."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from alertd.clock import SystemClock
from alertd.engine.alerts import Alert, fingerprint
from alertd.engine.groups import Group, Integration
from alertd.engine.inhibition import InhibitRule
from alertd.engine.intervals import Interval, TimeInterval
from alertd.engine.outcome import Outcome, Policy
from alertd.engine.routes import Matcher, Route, Tree
from alertd.web.alertmanager import AlertmanagerApi, as_alertmanager_yaml
from alertd.web.posting import PostingApi
from alertd.web.silences import SilencesApi

REAL = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
AMTOOL = shutil.which("amtool")

ROUTE = Route(
    receiver="oncall",
    group_by=("alertname", "account"),
    group_wait=1,
    routes=(
        Route(
            receiver="mailbox",
            group_by=("alertname",),
            group_wait=1,
            matchers=(Matcher.parse("severity=ticket"),),
            continue_=True,
        ),
        Route(
            receiver="pager",
            group_by_all=True,
            group_wait=1,
            matchers=(Matcher.parse('region=~"ie.*"'),),
            mute_time_intervals=("never",),
        ),
    ),
)
LABELS = (
    {"alertname": "RegionDown", "account": "production", "severity": "page", "region": "ie1"},
    {"alertname": "Slow", "account": "production", "severity": "ticket", "region": "ie1"},
    {"alertname": "Slow", "account": "production", "severity": "ticket", "region": "us1"},
    {"alertname": "Slow", "account": "staging", "severity": "ticket"},
    {"alertname": 'Odd "one"', "account": "staging", "severity": "page", "room": "a\nb <b>ü</b>"},
)


@pytest.fixture
def policy() -> Policy:
    """Three receivers, a route that goes on, one that is muted in 1999, and pages that inhibit tickets of a region."""
    explains = InhibitRule(
        source=(Matcher.parse("severity=page"),),
        target=(Matcher.parse("severity=ticket"),),
        equal=("account", "region"),
    )
    never = TimeInterval("never", (Interval(years=((1999, 1999),), weekdays=((1, 5),), times=((0, 1440),)),))
    told = {name: (Integration(f"{name}/webhook[0]"),) for name in ("oncall", "mailbox", "pager")}
    return Policy(rules=(), tree=Tree(ROUTE), integrations=told, inhibit_rules=(explains,), intervals={"never": never})


def alert(labels: dict[str, str], now: int, **parts: Any) -> Alert:
    texts = {"summary": f"{labels['alertname']} in {labels['account']}", "description": "Look."}
    known = {"state": "firing", "starts_at": now - 600, "changed_at": now - 600, "annotations": texts, "rule": "R"}
    return Alert(**({"fingerprint": fingerprint(labels), "labels": labels} | known | parts))


@pytest.fixture
async def served(store, policy) -> Any:
    """The address of alertd's API over a store in which the alerts fire; one more is over, one is pending."""
    now = int(time.time())
    firing = [alert(labels, now) for labels in LABELS]
    others = [
        alert({"alertname": "Over", "account": "production"}, now, state="resolved", ends_at=now - 60),
        alert({"alertname": "Soon", "account": "production"}, now, state="pending", active_at=now - 60),
    ]
    members = tuple(sorted(one.fingerprint for one in firing))
    group = Group(key="g", receiver="oncall", route="{}", labels={}, members=members)
    assert await store.commit(Outcome(alerts=(*firing, *others), groups=(group,)), expected=None, until=now)
    api = AlertmanagerApi(store, lambda: policy, lambda: "http://alertd.example.com", SystemClock(), began=now - 3600)
    app = web.Application()
    parts = (api, SilencesApi(store, SystemClock()), PostingApi(store, SystemClock()))
    app.router.add_routes([route for part in parts for route in part.routes()])
    async with TestServer(app) as server:
        yield str(server.make_url("/")).rstrip("/")


@contextmanager
def _started(config: dict[str, Any], folder: Path) -> Iterator[str]:
    """The address of a real Alertmanager that runs by this configuration."""
    if not (REAL and AMTOOL):
        pytest.skip("Alertmanager and amtool are not installed")
    (folder / "am.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(REAL), f"--config.file={folder}/am.yml", f"--storage.path={folder}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", "--log.level=error"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(lambda: _get(f"{address}/-/ready") is not None)
        yield address
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def run_real(tmp_path) -> Callable[[dict[str, Any]], AbstractContextManager[str]]:
    """Runs a real Alertmanager by a configuration; gives its address."""
    return lambda config: _started(config, tmp_path)


@pytest.fixture
def real(policy, run_real) -> Iterator[str]:
    """The address of a real Alertmanager with the same routes, in which the same alerts fire."""
    with run_real(yaml.safe_load(as_alertmanager_yaml(policy))) as address:
        alerts = [
            {"labels": labels, "annotations": alert(labels, 0).annotations, "startsAt": "2026-11-01T00:00:00Z"}
            for labels in LABELS
        ]
        body = json.dumps(alerts).encode()
        request = urllib.request.Request(f"{address}/api/v2/alerts", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=10).read()
        _wait(lambda: "unprocessed" not in (_get(f"{address}/api/v2/alerts") or "unprocessed"))
        yield address


def _get(url: str) -> str | None:
    try:
        return str(urllib.request.urlopen(url, timeout=5).read().decode())
    except OSError:
        return None


def _wait(done: Callable[[], bool]) -> None:
    for _ in range(200):
        if done():
            return
        time.sleep(0.1)
    raise TimeoutError("the real Alertmanager did not come to it")


async def _amtool(address: str, *words: str) -> str:
    """What amtool prints, without times and links."""
    process = await asyncio.create_subprocess_exec(
        str(AMTOOL), f"--alertmanager.url={address}", *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await process.communicate()
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)?", "TIME", said.decode())
    text = re.sub(r'"generatorURL": ?"[^"]*",?|http://\S*fingerprint=\S+', "", text)
    return re.sub(r"Warning: amtool version[^\n]*\n", "", text)


@pytest.fixture
def amtool() -> Callable[..., Any]:
    """What amtool prints, without times: (address, its words…)."""
    return _amtool


@pytest.fixture
def get() -> Callable[[str], str | None]:
    """What stands at a URL; None if nothing answers."""
    return _get


@pytest.fixture
def make_alert() -> Callable[..., Alert]:
    """An alert that fires: (labels, now), and what is to be different."""
    return alert


@pytest.fixture
def label_sets() -> Sequence[dict[str, str]]:
    """The labels of the alerts that fire."""
    return LABELS


async def _send(address: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and JSON of the answer to a request with JSON, or with these very bytes."""

    def call() -> tuple[int, Any]:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"{address}/api/v2/{path}", data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status, said = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, said = error.code, error.read()
        return status, json.loads(said) if said.strip() else None

    return await asyncio.to_thread(call)


@pytest.fixture
def send() -> Callable[..., Any]:
    """Sends a request to the API: (address, method, path, body); gives status and JSON of the answer."""
    return _send
