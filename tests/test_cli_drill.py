"""`alertd drill` fires a rule in a running daemon, and says who is told: all of it marked TEST."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from asyncio import create_subprocess_exec
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from alertd.app import built, served
from alertd.clock import FastClock
from alertd.config import load

CONFIG = """
[[accounts]]
name = "production"
base_url = "http://127.0.0.1:9"
api_key = "SK55555555555555555555555555555555"
api_key_secret = "hush hush"
[rules]
paths = ["rules.yaml"]
[http]
listen = "127.0.0.1:{port}"
[route]
receiver = "nobody"
[[route.routes]]
matchers = ['alertname="MediaLost"']
receiver = "oncall"
group_wait = "30s"
[[route.routes]]
matchers = ['alertname="Passed"']
receiver = "central"
[[receivers]]
name = "nobody"
[[receivers]]
name = "central"
[[receivers.alertmanager]]
url = ["{members[0]}", "{members[1]}"]
[[receivers]]
name = "oncall"
[[receivers.webhook]]
url = "{hook}"
[[receivers.webhook]]
url = "{hook}/broken"
"""
RULES = """
rules:
  - alert: MediaLost
    match: {error_code: 53405}
    any: true
    annotations: {summary: media was lost}
  - alert: Untold
    match: {error_code: 53000}
    any: true
  - alert: Passed
    match: {error_code: 53001}
    any: true
"""
SPEED = 60.0


class Running(NamedTuple):
    """A daemon whose minutes are seconds, and what its first webhook was told."""

    url: str
    config: Path
    heard: list[dict[str, Any]]

    async def alertd(self, *words: str) -> tuple[int, str]:
        process = await create_subprocess_exec(
            *(sys.executable, "-m", "alertd", *words, "--url", self.url),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ,
        )
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()


@pytest.fixture
async def running(tmp_path, unused_tcp_port, member, other) -> AsyncIterator[Running]:
    heard: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        heard.append(json.loads(await request.read()))
        return web.Response(text="thanks")

    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=400, text="no")

    app = web.Application()
    app.router.add_post("/", take)
    app.router.add_post("/broken", refuse)
    async with TestServer(app) as server:
        (tmp_path / "rules.yaml").write_text(RULES)
        path = tmp_path / "alertd.toml"
        path.write_text(
            CONFIG.format(
                port=unused_tcp_port, hook=str(server.make_url("/")).rstrip("/"), members=(member.url, other.url)
            )
        )
        async with built(load(path), FastClock(time.time(), SPEED)) as daemon, served(daemon):
            loops = asyncio.create_task(daemon.run())
            yield Running(f"http://127.0.0.1:{unused_tcp_port}", path, heard)
            daemon.stopping.set()
            await asyncio.wait_for(loops, 60)


async def test_it_goes_the_whole_way_and_each_answer_is_told(running):
    status, said = await running.alertd("drill", "MediaLost", "--config", str(running.config))
    assert "the routes lead it to oncall" in said
    assert "oncall/webhook[0]: sent at " in said
    assert "oncall/webhook[1]: failed at " in said
    assert status == 1, "one did not take it"
    told = next(one for one in running.heard if one["commonLabels"].get("alertname") == "MediaLost")
    (alert,) = told["alerts"]
    assert alert["labels"]["alertd_test"] == "true"
    assert alert["annotations"]["summary"] == "TEST: media was lost"
    assert told["notification_reason"] == "first notification"


async def test_it_says_why_nobody_is_told(running):
    status, _ = await running.alertd("silence", "add", "alertname=MediaLost", "--for", "2h", "--comment", "at work")
    assert status == 0
    status, said = await running.alertd("drill", "MediaLost", "--config", str(running.config))
    assert "oncall/webhook[0]: not told: silenced by " in said
    assert status == 1
    assert not [one for one in running.heard if one["commonLabels"].get("alertname") == "MediaLost"]


async def test_what_is_forwarded_is_followed_to_every_member(running, member, other):
    status, said = await running.alertd("drill", "Passed", "--config", str(running.config))
    assert "central/alertmanager[0], member 1 of 2: forwarded at " in said
    assert "central/alertmanager[0], member 2 of 2: forwarded at " in said
    assert status == 0
    for one in (member, other):
        assert ["Passed"] in one.names()
        assert one.got[-1][0]["labels"]["alertd_test"] == "true"
    _, said = await running.alertd("alerts")
    assert "central/alertmanager[0], member 2 of 2: forwarded at " in said


async def test_a_member_that_does_not_take_it_is_told_with_its_answer(running, member, other):
    other.status, other.text = 500, "disk full"
    status, said = await running.alertd("drill", "Passed", "--config", str(running.config))
    assert "member 1 of 2: forwarded at " in said
    assert "member 2 of 2: not forwarded: " in said
    assert "500" in said
    assert status == 1


async def test_it_says_that_a_route_leads_to_nobody(running):
    status, said = await running.alertd("drill", "Untold", "--config", str(running.config))
    assert "nobody: its route leads to a receiver without integrations" in said
    assert status == 1


async def test_a_rule_that_is_not_there_is_not_fired(running):
    status, said = await running.alertd("drill", "MediaLots", "--config", str(running.config))
    assert status == 2
    assert 'there is no enabled rule "MediaLots"; did you mean "MediaLost"?' in said
