"""What alertd says over HTTP: alive, ready or why not, and figures that Prometheus can read."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from alertd.web import build_web
from alertd.web.metrics import Metrics


@pytest.fixture
def client(aiohttp_client):
    async def make(missing: str = "", metrics: Metrics | None = None):
        async def readiness() -> str:
            return missing

        async def refresh() -> None:
            pass

        return await aiohttp_client(build_web(metrics or Metrics(), readiness, refresh))

    return make


async def test_it_is_alive_as_soon_as_it_listens(client):
    answer = await (await client("not yet")).get("/-/healthy")
    assert (answer.status, await answer.text()) == (200, "OK\n")


async def test_it_is_ready_only_when_nothing_is_missing(client):
    answer = await (await client("first look not made yet: production")).get("/-/ready")
    assert (answer.status, await answer.text()) == (503, "first look not made yet: production\n")
    assert (await (await client()).get("/-/ready")).status == 200


async def test_figures_are_in_prometheus_text_format(client):
    metrics = Metrics()
    metrics.deliveries.labels("oncall/slack[0]", "sent").inc()
    answer = await (await client(metrics=metrics)).get("/metrics")
    text = await answer.text()
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert 'alertd_deliveries_total{integration="oncall/slack[0]",result="sent"} 1.0' in text
    assert 'alertmanager_build_info{version="0.34.0"} 1.0' in text


def test_promtool_has_nothing_to_say_about_the_figures():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool (Debian: apt-get install prometheus)")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=Metrics().exposition(), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


async def test_nothing_else_is_there_and_nothing_can_be_posted(client):
    web = await client()
    assert (await web.get("/nothing")).status == 404
    assert (await web.post("/-/healthy")).status == 405


def test_figures_of_rules_and_integrations_that_are_gone_are_dropped():
    metrics = Metrics()
    for rule in ("kept", "gone"):
        metrics.rule_failures.labels(rule).inc()
    for integration in ("oncall/slack[0]", "gone/email[0]"):
        for result in ("sent", "again"):
            metrics.deliveries.labels(integration, result).inc()
    metrics.keep_only(["kept", "new"], ["oncall/slack[0]"])
    text = metrics.exposition().decode()
    assert 'alertd_rule_failures_total{rule="kept"} 1.0' in text
    assert 'integration="oncall/slack[0]",result="again"} 1.0' in text
    assert "gone" not in text
