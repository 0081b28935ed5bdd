"""A running alertd goes on by changed files, and by what it had if they are wrong."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from alertd.app import App, built, served
from alertd.config import load
from alertd.reload import watched
from alertd.simulator.scenario import load_scenario
from alertd.simulator.server import build_app, serve

ROOT = Path(__file__).parents[1]
KEY = "SK" + "5" * 32
CONFIG = """
[[accounts]]
name = "simulated"
base_url = "{twilio}"
api_key = "{key}"
api_key_secret = "simulated"
[rules]
paths = ["rules"]
{rules}
[http]
listen = "127.0.0.1:0"
[route]
receiver = "hook"
group_wait = "0s"
[[receivers]]
name = "hook"
[[receivers.webhook]]
url = "{hook}"
"""
RULE = "rules:\n  - alert: {name}\n    match: {{error: false}}\n    count: {{at_least: 1, over: 1d}}\n"


class Place:
    """A folder with a configuration and its rules, a simulated Twilio, and a webhook that remembers alert names."""

    def __init__(self, folder: Path, clock: Any, twilio: str) -> None:
        self.clock, self.twilio, self.hook = clock, twilio, ""
        self.told: list[tuple[str, str]] = []
        self.config, self.rules = folder / "alertd.toml", folder / "rules"
        self.rules.mkdir()
        self.write("First")

    def configure(self, rules: str = "") -> None:
        self.config.write_text(CONFIG.format(twilio=self.twilio, key=KEY, hook=self.hook, rules=rules))

    def write(self, name: str, text: str = RULE) -> None:
        (self.rules / "rules.yaml").write_text(text.format(name=name))

    async def take(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.told += [(alert["labels"]["alertname"], alert["status"]) for alert in body["alerts"]]
        return web.Response()


@pytest.fixture
async def place(tmp_path: Path, clock: Any) -> AsyncIterator[Place]:
    """All of it, in a time that stands still until a test lets minutes pass."""
    hook = web.Application()
    scenario = load_scenario("clean").model_copy(update={"rooms_per_day": 150})
    async with serve(build_app(scenario, clock, {KEY: "simulated"})) as twilio:
        made = Place(tmp_path, clock, twilio)
        hook.router.add_post("/", made.take)
        async with serve(hook) as address:
            made.hook = f"{address}/"
            made.configure()
            yield made


@pytest.fixture
async def app(place: Place) -> AsyncIterator[App]:
    async with built(load(place.config), place.clock) as made:
        yield made


async def pass_minutes(app: App, minutes: int) -> None:
    """Look, decide and deliver in each minute."""
    for _ in range(minutes):
        app.clock.reading += 60
        await app.once()


async def states(app: App) -> dict[str, str]:
    alerts = (await app.store.snapshot(int(app.clock.now()))).alerts.values()
    return {alert.labels["alertname"]: alert.state for alert in alerts}


async def test_rules_change_under_a_running_daemon_and_mistakes_change_nothing(app, place):
    async with served(app) as address, ClientSession() as session:

        async def reload() -> tuple[int, str]:
            async with session.post(f"{address}/-/reload") as answer:
                return answer.status, await answer.text()

        async def page(name: str) -> str:
            async with session.get(f"{address}/{name}") as answer:
                return await answer.text()

        await pass_minutes(app, 1)
        assert place.told == [("First", "firing")]
        place.write("Second")
        assert await reload() == (200, "reloaded\n")
        assert "Second" in await page("rules")
        await pass_minutes(app, 6)
        assert set(place.told[1:]) == {("First", "resolved"), ("Second", "firing")}

        place.write("Third", "rules:\n  - alert: {name}\n    match: {{eror: false}}\n    any: true\n")
        status, text = await reload()
        assert (status, "rules.yaml:3:13: " in text) == (500, True)
        for name in ("alerts", "rules"):
            assert "rules.yaml:3:13: " in await page(name)
        assert "Third" not in await page("rules")
        assert "alertd_config_last_reload_successful 0.0" in await page("metrics")
        await pass_minutes(app, 3)
        expected = {"First": "resolved", "Second": "firing", "AlertdConfigReloadFailed": "firing"}
        assert await states(app) == expected

        place.write("Second")
        assert (await reload())[0] == 200
        assert "rules.yaml:3:13: " not in await page("rules")
        assert "alertd_config_last_reload_successful 1.0" in await page("metrics")
        await pass_minutes(app, 7)
        assert await states(app) == expected | {"AlertdConfigReloadFailed": "resolved"}
        alerts = (await app.store.snapshot(int(app.clock.now()))).alerts.values()
        (over,) = (alert for alert in alerts if alert.labels["alertname"] == "AlertdConfigReloadFailed")
        assert over.annotations["summary"].endswith("is taken up: alertd runs by what it says")


async def test_a_file_that_is_broken_for_a_moment_is_told_to_nobody(app, place):
    await pass_minutes(app, 1)
    place.write("Second", "rules:\n  - alert: {name}\n")
    assert await app.reloader.reload("test")
    await app.evaluator.turn()
    app.clock.reading += 20
    place.write("Second")
    assert await app.reloader.reload("test") == ()
    await pass_minutes(app, 5)
    assert set(await states(app)) == {"First", "Second"}


async def test_what_waits_for_a_receiver_that_was_removed_is_told_and_sent_once_it_is_back(app, place):
    whole = place.config.read_text()
    app.clock.reading += 60
    await app.collectors[0].look(whole=True)
    await app.evaluator.turn()
    place.config.write_text(whole.replace(f'[[receivers.webhook]]\nurl = "{place.hook}"', ""))
    assert await app.reloader.reload("test") == ()
    await pass_minutes(app, 10)
    assert place.told == []
    (entry,) = await app.store.deliveries()
    assert (entry.state, "no longer in the configuration" in entry.last_answer) == ("queued", True)
    assert (await states(app))["AlertdReceiverRemoved"] == "firing"
    place.config.write_text(whole)
    assert await app.reloader.reload("test") == ()
    await pass_minutes(app, 10)
    assert ("First", "firing") in place.told


async def test_watched_files_take_effect_in_the_daemon_by_themselves(app, place):
    async with watched(app.reloader), asyncio.timeout(60):
        place.write("Second")
        while [rule.alert for rule in app.policy.rules] != ["Second"]:  # noqa: ASYNC110 - it begins in the file system
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("rules", "because"), [("watch = false", "SIGHUP"), ("", "change")])
async def test_the_command_reloads_on_a_hangup_and_on_a_change(place, rules, because):
    place.configure(rules)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alertd", "run", "--config", str(place.config)),
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )

    events = []

    async def logged(event: str) -> dict[str, Any]:
        while True:
            record = json.loads(await asyncio.wait_for(process.stderr.readline(), 60))
            events.append(record["event"])
            if record["event"] == event:
                return record

    await logged("started")
    place.write("Second")
    if because == "SIGHUP":
        process.send_signal(signal.SIGHUP)
    record = await logged("reloaded")
    assert (record["because"], record["rules"]) == (because, 1)
    assert not [event for event in events if " " in event]  # slugs all: no talk of libraries
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
