"""Alertmanager's clients read alertd: its own amtool prints of both the same, whoever it asks."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from alertd.clock import SystemClock
from alertd.engine.alerts import Alert, fingerprint
from alertd.engine.groups import Group, Integration
from alertd.engine.inhibition import InhibitRule
from alertd.engine.intervals import Interval, TimeInterval
from alertd.engine.outcome import Outcome, Policy
from alertd.engine.routes import Matcher, Route, Tree
from alertd.web.alertmanager import AlertmanagerApi, as_alertmanager_yaml, standing

REAL = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
AMTOOL = shutil.which("amtool")
needs_the_real_one = pytest.mark.skipif(not (REAL and AMTOOL), reason="Alertmanager and amtool are not installed")

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
    app.router.add_routes(api.routes())
    async with TestServer(app) as server:
        yield str(server.make_url("/")).rstrip("/")


@pytest.fixture
def real(policy, tmp_path) -> Iterator[str]:
    """The address of a real Alertmanager with the same routes, in which the same alerts fire."""
    config = yaml.safe_load(as_alertmanager_yaml(policy))
    (tmp_path / "am.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(REAL), f"--config.file={tmp_path}/am.yml", f"--storage.path={tmp_path}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", "--log.level=error"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(lambda: _get(f"{address}/-/ready") is not None)
        alerts = [
            {"labels": labels, "annotations": alert(labels, 0).annotations, "startsAt": "2026-11-01T00:00:00Z"}
            for labels in LABELS
        ]
        body = json.dumps(alerts).encode()
        request = urllib.request.Request(f"{address}/api/v2/alerts", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=10).read()
        _wait(lambda: "unprocessed" not in (_get(f"{address}/api/v2/alerts") or "unprocessed"))
        yield address
    finally:
        process.kill()
        process.wait()


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


async def amtool(address: str, *words: str) -> str:
    """What amtool prints, without times."""
    process = await asyncio.create_subprocess_exec(
        str(AMTOOL), f"--alertmanager.url={address}", *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await process.communicate()
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)?", "TIME", said.decode())
    text = re.sub(r'"generatorURL": ?"[^"]*",?|http://\S*fingerprint=\S+', "", text)
    return re.sub(r"Warning: amtool version[^\n]*\n", "", text)


ASKED = [
    ("alert", "query"),
    ("alert", "query", "-o", "json"),
    ("alert", "query", "alertname=Slow"),
    ("alert", "query", 'account=~"stag.*"', "severity!=page"),
    ("alert", "query", "--inhibited"),
    ("alert", "query", "--receiver=pager"),
    ("alert", "query", "region="),
    ("alert", "query", "alertname=~("),
    ("config", "routes", "show"),
    ("config", "routes", "test", "severity=ticket", "region=ie1"),
    ("config", "routes", "test", "severity=page"),
    ("cluster", "show"),
]


@needs_the_real_one
@pytest.mark.parametrize("words", ASKED, ids=" ".join)
async def test_amtool_prints_the_same_of_both(served, real, words):
    of_ours, of_theirs = await amtool(served, *words), await amtool(real, *words)
    assert of_ours == of_theirs
    assert of_ours.strip()


@needs_the_real_one
@pytest.mark.parametrize(
    "query",
    [
        "alerts",
        "alerts?inhibited=false",
        "alerts?active=false",
        'alerts?filter=severity="page"&filter=region=~"i.*"',
        "alerts?receiver=mail.*",
        "alerts/groups",
        "alerts/groups?inhibited=false",
        "alerts/groups?receiver=pager",
        'alerts/groups?filter=account!="staging"',
        "receivers",
    ],
)
async def test_both_answer_alike(served, real, query):
    ours, theirs = [
        json.loads(str(await asyncio.to_thread(_get, f"{address}/api/v2/{query.replace(chr(34), '%22')}")))
        for address in (served, real)
    ]
    assert plain(ours) == plain(theirs)
    assert ours


async def test_it_says_what_it_acts_like_and_nothing_secret(served):
    status = json.loads(str(await asyncio.to_thread(_get, f"{served}/api/v2/status")))
    assert status["versionInfo"]["version"] == "0.34.0"
    assert status["cluster"] == {"status": "disabled", "peers": []}
    assert set(yaml.safe_load(status["config"]["original"])) == {
        *("route", "receivers", "inhibit_rules", "time_intervals")
    }


async def test_only_what_fires_is_listed_with_a_link_to_the_page(served):
    alerts = json.loads(str(await asyncio.to_thread(_get, f"{served}/api/v2/alerts")))
    assert [one["fingerprint"] for one in alerts] == sorted(fingerprint(labels) for labels in LABELS)
    (down,) = [one for one in alerts if one["labels"]["alertname"] == "RegionDown"]
    assert down["generatorURL"] == f"http://alertd.example.com/alerts?fingerprint={down['fingerprint']}"
    assert down["startsAt"] < down["endsAt"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", down["updatedAt"])


async def test_a_group_that_is_muted_can_be_left_out(store, policy):
    always = TimeInterval("never", (Interval(),))
    muted = replace(policy, intervals={"never": always})
    found = standing(muted, await store.snapshot(0), 0)
    assert found == []
    now = int(time.time())
    await store.commit(Outcome(alerts=(alert(LABELS[0], now),)), expected=None, until=now)
    (one,) = standing(muted, await store.snapshot(now), now)
    assert one.as_json("")["status"] == {
        "state": "unprocessed",
        "silencedBy": [],
        "inhibitedBy": [],
        "mutedBy": ["never"],
    }


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("filter=%3D", "bad matcher format"),
        ("filter=a%3D~(", "bad matcher format"),
        ("receiver=(", "failed to parse receiver param"),
        ("&".join(["filter=a%3Db"] * 101), "at most 100 filters"),
        ("filter=a%3D" + "b" * 3000, "at most 100 filters of 2000 characters"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_a_text(store, policy, query, says):
    api = AlertmanagerApi(store, lambda: policy, lambda: "", SystemClock(), began=0)
    app = web.Application()
    app.router.add_routes(api.routes())
    async with TestClient(TestServer(app)) as client:
        answer = await client.get(f"/api/v2/alerts?{query}")
        assert (answer.status, answer.content_type) == (400, "application/json")
        assert says in await answer.json()


def plain(value: Any) -> Any:
    """What was answered without what differs in time or by release (0.25 has neither route labels nor muted)."""
    if isinstance(value, dict):
        aside = ("startsAt", "endsAt", "updatedAt", "generatorURL", "routeLabels", "mutedBy")
        return {name: plain(one) for name, one in value.items() if name not in aside}
    if isinstance(value, list):
        alike = [plain(one) for one in value]
        return sorted(alike, key=lambda one: json.dumps(one, sort_keys=True)) if _is_set(alike) else alike
    return value


def _is_set(values: list[Any]) -> bool:
    """Groups, alerts inside of them and receivers have no order that matters."""
    return bool(values) and isinstance(values[0], dict)
