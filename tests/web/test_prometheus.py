"""Prometheus' clients read alertd: rules and alerts in the shapes that a real Prometheus gives them."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from alertd.config import load_rules
from alertd.engine.outcome import Policy
from alertd.web.prometheus import PrometheusApi, as_go_writes

REAL = shutil.which("prometheus")
NOON = 1_772_452_800  # 2026-03-02 12:00 UTC
MEDIA = """
rules:
  - alert: MediaLost
    match: {error_code: 53405}
    among: {publisher_info.name: twilio-video.js}
    rate: {above: 5%}
    by: [account, media_region]
    for: 10m
    keep_firing_for: 20m
    labels: {severity: page}
    annotations: {summary: "{{ sample.rate|percent }} in {{ labels.media_region }}"}
  - alert: Everybody
    match: {error: true}
    any: true
"""
ROOMS = """
rules:
  - alert: Quiet
    absent: {fewer_than: 3, over: 2h}
"""
AS_PROMETHEUS = """
groups:
  - name: media
    rules:
      - {alert: MediaLost, expr: vector(0.1017), labels: {severity: page}, annotations: {summary: "{{ $value }}"}}
      - {alert: Everybody, expr: vector(1), for: 1h, keep_firing_for: 5m}
      - {alert: Quiet, expr: vector(1) > 2}
"""


@pytest.fixture
def policy(tmp_path, policy_of) -> Policy:
    """Three rules in two files."""
    for name, text in (("media", MEDIA), ("rooms", ROOMS)):
        (tmp_path / f"{name}.yaml").write_text(text)
    rules = load_rules([tmp_path / "media.yaml", tmp_path / "rooms.yaml"]).rules
    return policy_of(*rules, accounts=("production",))


@pytest.fixture
def lost(make_alert) -> Callable[..., Any]:
    """Makes an alert of the first rule, that fires and is elevated until now."""
    known = {"rule": "MediaLost|severity=page", "elevated_at": NOON}
    return lambda name="MediaLost", **changes: make_alert(name, **(known | changes))


@pytest.fixture
async def ask(store, policy, clock) -> Any:
    """Asks alertd: (path), and the status to expect if it is not 200."""
    app = web.Application()
    app.router.add_routes(PrometheusApi(store, lambda: policy, clock).routes())

    async def get(path: str, status: int = 200) -> Any:
        answer = await client.get(f"/api/v1/{path}")
        assert (answer.status, answer.content_type) == (status, "application/json")
        return await answer.json()

    async with TestClient(TestServer(app)) as client:
        yield get


def only(found: Any) -> dict[str, Any]:
    """The only rule that was answered."""
    (group,) = found["data"]["groups"]
    (rule,) = group["rules"]
    return dict(rule)


def names(found: Any) -> list[str]:
    assert found["status"] == "success"
    return [rule["name"] for group in found["data"]["groups"] for rule in group["rules"]]


async def test_each_file_is_a_group_and_the_files_keep_their_order(ask, tmp_path):
    groups = (await ask("rules"))["data"]["groups"]
    assert [(group["name"], group["file"]) for group in groups] == [
        ("media", str(tmp_path / "media.yaml")),
        ("rooms", str(tmp_path / "rooms.yaml")),
    ]
    assert [[rule["name"] for rule in group["rules"]] for group in groups] == [["MediaLost", "Everybody"], ["Quiet"]]
    assert {(group["interval"], group["limit"]) for group in groups} == {(60, 0)}


async def test_a_rule_says_in_words_when_it_fires_and_with_which_templates(ask):
    rule = only(await ask("rules?rule_name[]=MediaLost"))
    assert rule["query"].startswith("more than 5 % of participants within 1h")
    assert '; match: error_code == 53405; among: publisher_info.name == "twilio' in rule["query"]
    assert rule["query"].endswith("; by: account, media_region")
    assert (rule["duration"], rule["keepFiringFor"]) == (600, 1200)
    assert rule["labels"] == {"severity": "page"}
    assert rule["annotations"]["summary"] == "{{ sample.rate|percent }} in {{ labels.media_region }}"
    assert "{{ sample.matched|number }}" in rule["annotations"]["description"], "the default text where it has none"
    quiet = only(await ask("rules?rule_name[]=Quiet"))
    assert quiet["query"] == "fewer than 3 rooms started within 2h; by: account"


async def test_before_anything_was_judged_health_is_unknown(ask):
    rule = only(await ask("rules?rule_name[]=Quiet"))
    assert (rule["health"], rule["lastEvaluation"]) == ("unknown", "0001-01-01T00:00:00Z")
    assert (rule["state"], rule["alerts"]) == ("inactive", [])


async def test_a_rule_that_fails_says_why_until_it_is_judged_again(ask, stored, store):
    await stored()
    await store.trouble("rule", "Everybody", "annotation summary: line 1: division by zero", NOON)
    broken = only(await ask("rules?rule_name[]=Everybody"))
    assert (broken["health"], broken["lastError"]) == ("err", "annotation summary: line 1: division by zero")
    assert only(await ask("rules?rule_name[]=Quiet"))["health"] == "ok"
    await store.clear_trouble("rule", "Everybody", NOON)
    mended = only(await ask("rules?rule_name[]=Everybody"))
    assert (mended["health"], mended["lastEvaluation"]) == ("ok", "2026-03-02T12:00:00Z")
    assert "lastError" not in mended


async def test_an_alert_has_prometheus_fields_and_what_the_rule_saw(ask, stored, lost):
    await stored(lost())
    (told,) = only(await ask("rules?rule_name[]=MediaLost"))["alerts"]
    assert told["labels"]["media_region"] == "au1"
    assert told["annotations"]["summary"] == "10.2 % of calls in au1 lost their media connection"
    assert (told["state"], told["activeAt"]) == ("firing", "2026-03-02T11:35:00Z")
    assert float(told["value"]) == 12 / 118
    assert "keepFiringSince" not in told
    assert (told["alertd"]["matched"], told["alertd"]["total"], told["alertd"]["window"]) == (12, 118, 3600)
    assert told["alertd"]["evidence"][0]["room_name"] == "anon-1c4f31f6e0"


async def test_an_alert_that_is_quiet_and_kept_firing_says_since_when(ask, stored, lost):
    await stored(lost(elevated_at=NOON - 300))
    (told,) = (await ask("alerts"))["data"]["alerts"]
    assert told["keepFiringSince"] == "2026-03-02T11:56:00Z"


async def test_a_rule_fires_if_one_of_its_alerts_does_and_else_is_pending(ask, stored, lost):
    soon = lost("Soon", state="pending", starts_at=None, active_at=NOON - 60)
    await stored(soon, lost("Over", state="resolved", ends_at=NOON - 60), lost("Idle", state="inactive"))
    rule = only(await ask("rules?rule_name[]=MediaLost"))
    assert (rule["state"], [one["state"] for one in rule["alerts"]]) == ("pending", ["pending"])


async def test_with_one_that_fires_it_fires(ask, stored, lost):
    await stored(lost("Soon", state="pending", starts_at=None), lost("Now"))
    assert only(await ask("rules?rule_name[]=MediaLost"))["state"] == "firing"


async def test_alerts_are_those_of_all_rules_and_of_alertd_itself(ask, stored, lost, make_alert):
    watchdog = {"rule": "alertd/watchdog", "sample": None, "evidence": (), "elevated_at": NOON - 86400}
    await stored(lost(), make_alert("Watchdog", **watchdog), lost("Over", state="resolved"))
    found = {one["labels"]["alertname"]: one for one in (await ask("alerts"))["data"]["alerts"]}
    assert set(found) == {"MediaLost", "Watchdog"}
    assert found["Watchdog"]["value"] == "1e+00"
    assert found["Watchdog"]["alertd"]["matched"] is None
    assert "keepFiringSince" not in found["Watchdog"], "it is not quiet, it is told once"


@pytest.mark.parametrize(
    ("query", "answered"),
    [
        ("", ["MediaLost", "Everybody", "Quiet"]),
        ("type=alert", ["MediaLost", "Everybody", "Quiet"]),
        ("type=ALERT", ["MediaLost", "Everybody", "Quiet"]),
        ("type=record", []),
        ("rule_name[]=Quiet&rule_name[]=Everybody", ["Everybody", "Quiet"]),
        ("rule_name[]=Nothing", []),
        ("rule_group[]=rooms", ["Quiet"]),
        ("rule_group[]=rooms&rule_name[]=Everybody", []),
        ("file[]=nowhere.yaml", []),
    ],
)
async def test_one_can_ask_for_some_rules_only(ask, query, answered):
    assert names(await ask(f"rules?{query}")) == answered


async def test_so_one_can_for_those_of_a_file(ask, tmp_path):
    assert names(await ask(f"rules?file[]={tmp_path}/media.yaml")) == ["MediaLost", "Everybody"]


async def test_alerts_can_be_left_out_of_the_rules(ask, stored, lost):
    await stored(lost())
    bare = only(await ask("rules?rule_name[]=MediaLost&exclude_alerts=True"))
    assert (bare["alerts"], bare["state"]) == ([], "firing")
    assert only(await ask("rules?rule_name[]=MediaLost&exclude_alerts=0"))["alerts"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("type=quantum", 'invalid parameter "type": not supported value "quantum"'),
        ("exclude_alerts=perhaps", 'invalid parameter "exclude_alerts": "perhaps" is neither true nor false'),
        ("match[]={a=%22b%22}", 'invalid parameter "match[]": alertd has no selectors of series'),
    ],
)
async def test_what_cannot_be_answered_is_refused_as_prometheus_refuses(ask, query, says):
    refused = await ask(f"rules?{query}", status=400)
    assert (refused["status"], refused["errorType"]) == ("error", "bad_data")
    assert says in refused["error"]


async def test_a_database_that_fails_is_told_in_the_same_shape(ask, store, tmp_path):
    await store.close()
    for file in tmp_path.glob("alertd.db*"):
        file.unlink()
    refused = await ask("alerts", status=503)
    assert (refused["status"], refused["errorType"]) == ("error", "unavailable")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1, "1e+00"),
        (0, "0e+00"),
        (0.1017, "1.017e-01"),
        (14.4, "1.44e+01"),
        (123456, "1.23456e+05"),
        (1e-7, "1e-07"),
        (-2.5e100, "-2.5e+100"),
        (1 / 3, "3.333333333333333e-01"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
    ],
)
def test_numbers_are_written_as_go_writes_them(value, written):
    assert as_go_writes(value) == written


@pytest.fixture
def real(tmp_path) -> Iterator[str]:
    """The address of a real Prometheus in which one rule fires, one is pending and one is not."""
    (tmp_path / "rules.yml").write_text(AS_PROMETHEUS)
    (tmp_path / "prometheus.yml").write_text("{global: {evaluation_interval: 1s}, rule_files: [rules.yml]}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(REAL), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], **quiet)
    address = f"http://127.0.0.1:{port}/api/v1"
    try:
        _wait_for_alerts(f"{address}/alerts", Path(tmp_path))
        yield address
    finally:
        process.kill()
        process.wait()


def _wait_for_alerts(url: str, folder: Path) -> None:
    for _ in range(600):
        try:
            if len(_get(url)["data"]["alerts"]) == 2:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"the real Prometheus in {folder} did not come to it")


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


@pytest.mark.skipif(REAL is None, reason="Prometheus is not installed")
async def test_a_real_prometheus_answers_with_the_same_fields_of_the_same_types(ask, stored, lost, real):
    pending = lost("Everybody", rule="Everybody", state="pending", starts_at=None)
    await stored(lost(), pending)
    (theirs,) = (await asyncio.to_thread(_get, f"{real}/rules"))["data"]["groups"]
    ours = (await ask("rules"))["data"]["groups"]
    assert shape(ours[0], without=("rules",)) == shape(theirs, without=("rules",))
    rules = [rule for group in ours for rule in group["rules"]]
    for our, their in zip(rules, theirs["rules"], strict=True):
        assert shape(our, without=("alerts",)) == shape(their, without=("alerts",))
        assert (our["name"], our["state"], our["health"]) == (their["name"], their["state"], their["health"])
        for our_alert, their_alert in zip(our["alerts"], their["alerts"], strict=True):
            assert shape(our_alert, without=("alertd",)) == shape(their_alert)
    told = await asyncio.to_thread(_get, f"{real}/alerts")
    assert {str(shape(one)) for one in told["data"]["alerts"]} == {
        str(shape(one, without=("alertd",))) for one in (await ask("alerts"))["data"]["alerts"]
    }


@pytest.mark.skipif(REAL is None, reason="Prometheus is not installed")
async def test_a_real_prometheus_refuses_with_the_same_words(ask, real):
    def refused() -> Any:
        try:
            return _get(f"{real}/rules?type=quantum")
        except urllib.error.HTTPError as error:
            return json.load(error)

    assert await ask("rules?type=quantum", status=400) == await asyncio.to_thread(refused)


def shape(found: dict[str, Any], without: tuple[str, ...] = ()) -> dict[str, str]:
    """The fields with what kind of value each has; numbers are one kind."""
    kinds = {int: "number", float: "number"}
    return {
        name: kinds.get(type(value), type(value).__name__)
        for name, value in sorted(found.items())
        if name not in without
    }
