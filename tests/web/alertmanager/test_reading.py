"""Alertmanager's clients read alertd: its own amtool prints of both the same, whoever it asks."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import replace
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from alertd.clock import SystemClock
from alertd.engine.alerts import fingerprint
from alertd.engine.intervals import Interval, TimeInterval
from alertd.engine.outcome import Outcome
from alertd.web.alertmanager import AlertmanagerApi, standing

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


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
async def test_amtool_prints_the_same_of_both(served, real, amtool, words):
    of_ours, of_theirs = await amtool(served, *words), await amtool(real, *words)
    assert of_ours == of_theirs
    assert of_ours.strip()


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
async def test_both_answer_alike(served, real, get, query):
    ours, theirs = [
        json.loads(str(await asyncio.to_thread(get, f"{address}/api/v2/{query.replace(chr(34), '%22')}")))
        for address in (served, real)
    ]
    assert plain(ours) == plain(theirs)
    assert ours


async def test_it_says_what_it_acts_like_and_nothing_secret(served, get):
    status = json.loads(str(await asyncio.to_thread(get, f"{served}/api/v2/status")))
    assert status["versionInfo"]["version"] == "0.34.0"
    assert status["cluster"] == {"status": "disabled", "peers": []}
    assert set(yaml.safe_load(status["config"]["original"])) == {
        *("route", "receivers", "inhibit_rules", "time_intervals")
    }


async def test_only_what_fires_is_listed_with_a_link_to_the_page(served, get, label_sets):
    alerts = json.loads(str(await asyncio.to_thread(get, f"{served}/api/v2/alerts")))
    assert [one["fingerprint"] for one in alerts] == sorted(fingerprint(labels) for labels in label_sets)
    (down,) = [one for one in alerts if one["labels"]["alertname"] == "RegionDown"]
    assert down["generatorURL"] == f"http://alertd.example.com/alerts?fingerprint={down['fingerprint']}"
    assert down["startsAt"] < down["endsAt"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", down["updatedAt"])


async def test_a_group_that_is_muted_can_be_left_out(store, policy, make_alert, label_sets):
    always = TimeInterval("never", (Interval(),))
    muted = replace(policy, intervals={"never": always})
    found = standing(muted, await store.snapshot(0), 0)
    assert found == []
    now = int(time.time())
    await store.commit(Outcome(alerts=(make_alert(label_sets[0], now),)), expected=None, until=now)
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
