"""`alertd alerts` and `alertd ack`: what fires and why, as text and as JSON, and that somebody looks after it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from asyncio import create_subprocess_exec
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from alertd.engine.alerts import Alert, fingerprint
from alertd.engine.groups import Group, Integration, Told
from alertd.engine.outcome import Outcome
from alertd.engine.routes import Route, Tree
from alertd.logins import Logins
from alertd.web.api import AlertdApi
from alertd.web.gate import Gate

NOON = 1_772_452_800
LABELS = {"alertname": "MediaLost", "media_region": "au1\x1b[31m"}
DOWN = Alert(
    fingerprint=fingerprint(LABELS),
    rule="R",
    labels=LABELS,
    annotations={"summary": "10 % of calls lost their media"},
    state="firing",
    starts_at=NOON - 600,
    changed_at=NOON - 600,
    reason="10 % of 118 participants match",
)


@pytest.fixture
async def url(store, clock, policy_of) -> Any:
    """The address of an alertd in which one alert fires, and of whose two integrations one was told."""
    route = Tree(Route(receiver="oncall"))
    told = {"oncall/slack[0]": Told(at=NOON - 570, firing=(DOWN.fingerprint,))}
    key = route.root.key
    group = Group(
        key=key, route=key, receiver="oncall", labels={}, members=(DOWN.fingerprint,), flush_at=NOON + 60, told=told
    )
    assert await store.commit(Outcome(alerts=(DOWN,), groups=(group,)), expected=None, until=NOON)
    ways = (Integration("oncall/slack[0]"), Integration("oncall/email[0]"))
    policy = policy_of(tree=route, integrations={"oncall": ways})
    app = web.Application(middlewares=[Gate(Logins()).middleware])
    app.router.add_routes(AlertdApi(store, lambda: policy, clock).routes())
    async with TestServer(app) as server:
        yield str(server.make_url("/")).rstrip("/")


async def alertd(*words: str) -> tuple[int, str, str]:
    process = await create_subprocess_exec(
        sys.executable, "-m", "alertd", *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_what_fires_is_shown_with_why_and_who_was_told(url):
    status, out, _ = await alertd("alerts", "--url", url)
    assert status == 0
    assert out.splitlines() == [
        f"{DOWN.fingerprint}  firing    since 2026-03-02T11:50:00Z  MediaLost",
        '    media_region="au1�[31m"',
        "    10 % of calls lost their media",
        "    why: 10 % of 118 participants match",
        "    oncall/slack[0]: told at 2026-03-02T11:50:30Z",
        "    oncall/email[0]: not told: its group is told at 2026-03-02T12:01:00Z",
    ]


async def test_somebody_looks_after_it_until_it_is_given_up(url):
    mark = DOWN.fingerprint
    status, out, _ = await alertd("ack", mark, "--for", "2h", "--comment", "on it", "--author", "ann", "--url", url)
    assert (status, out) == (0, f"{mark} is acknowledged by ann until 2026-03-02T14:00:00Z, or until it is over\n")
    assert "    acknowledged by ann until 2026-03-02T14:00:00Z: on it" in (await alertd("alerts", "--url", url))[1]
    (one,) = json.loads((await alertd("alerts", "--json", "--url", url))[1])
    assert one["acknowledged"]["by"] == "ann"
    assert await alertd("ack", mark, "--end", "--url", url) == (0, f"{mark} is not acknowledged any more\n", "")
    assert (await alertd("ack", mark, "--end", "--url", url))[0] == 1


async def test_what_does_not_fire_cannot_be_acknowledged(url):
    status, out, err = await alertd("ack", "../silences", "--url", url)
    assert (status, out) == (1, "")
    assert "no alert with the fingerprint ../silences fires; see `alertd alerts`" in err


async def test_a_duration_that_is_none_is_said(url):
    status, _, err = await alertd("ack", DOWN.fingerprint, "--for", "soon", "--url", url)
    assert (status, "'soon' is not a duration" in err) == (1, True)
