"""The daemon as a whole: its loops outlive what fails, and a stop ends them in order."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import ClientSession

from alertd.app import App, built, served
from alertd.clock import FastClock
from alertd.collect import Look
from alertd.config import load
from alertd.engine.fields import find_field
from alertd.errors import StoreError
from alertd.pseudonyms import shown
from alertd.simulator.scenario import load_scenario
from alertd.simulator.server import build_app, serve

KEY = "SK" + "5" * 32
CONFIG = """
[[accounts]]
name = "simulated"
base_url = "{twilio}"
api_key = "{key}"
api_key_secret = "simulated"
[store]
url = "sqlite:///alertd.db?timeout=0.2"
[rules]
paths = ["rules.yaml"]
[http]
listen = "127.0.0.1:0"
[route]
receiver = "nobody"
[[receivers]]
name = "nobody"
"""
RULES = "rules:\n  - alert: Rare\n    match: {error_code: 53999}\n    any: true\n"
SPEED = 60.0


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    """A daemon over a quiet simulated account, in a time that runs sixty times as fast."""
    clock = FastClock(time.time(), SPEED)
    scenario = load_scenario("clean").model_copy(update={"rooms_per_day": 400})
    async with serve(build_app(scenario, clock, {KEY: "simulated"})) as twilio:
        (tmp_path / "rules.yaml").write_text(RULES)
        path = tmp_path / "alertd.toml"
        path.write_text(CONFIG.format(twilio=twilio, key=KEY))
        async with built(load(path), clock) as made:
            yield made


async def eventually(condition, seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is awaited happens in the database
            await asyncio.sleep(0.05)


def failures(app: App) -> float:
    return sum(
        sample.value
        for family in app.metrics.loop_failures.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    )


async def test_it_becomes_ready_judges_on_and_stops_in_order(app):
    running = asyncio.create_task(app.run())
    assert await app.missing() != ""

    async def ready() -> bool:
        return await app.missing() == ""

    await eventually(ready)
    first = await app.store.evaluated_until()

    async def later() -> bool:
        return (await app.store.evaluated_until() or 0) > (first or 0) + 120

    await eventually(later)
    app.stopping.set()
    await asyncio.wait_for(running, 30)
    assert failures(app) == 0


async def test_a_locked_database_stops_no_loop_and_is_told_afterwards(app, tmp_path):
    running = asyncio.create_task(app.run())

    async def started() -> bool:
        return await app.store.evaluated_until() is not None

    await eventually(started)
    with closing(sqlite3.connect(tmp_path / "alertd.db", isolation_level=None, check_same_thread=False)) as other:
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")  # alertd may be in the middle of a transaction

        async def failed() -> bool:
            return failures(app) >= 1

        await eventually(failed)
        assert "loop fails" in await app.missing()
        other.execute("ROLLBACK")

    async def told() -> bool:
        alerts = (await app.store.snapshot(int(app.clock.now()))).alerts.values()
        return any(alert.labels["alertname"] == "AlertdStoreFailing" for alert in alerts)

    await eventually(told)
    app.stopping.set()
    await asyncio.wait_for(running, 30)


async def test_the_page_listens_where_it_is_told_to(app):
    async with served(app) as address:
        assert address.startswith("http://127.0.0.1:")
        async with ClientSession() as session:
            for page in ("alerts", "notifications", "rooms", "rules", "metrics"):
                async with session.get(f"{address}/{page}") as answer:
                    assert answer.status == 200, page


def test_personal_values_are_pseudonyms_that_stay_the_same_unless_they_may_be_shown(app):
    identity, room = find_field("participant_identity"), find_field("room.room_name")
    show = shown(app.config, b"key of this database")
    assert show(identity, "ada@example.com") == show(identity, "ada@example.com")
    assert "ada" not in show(identity, "ada@example.com")
    assert show(identity, "ada") != show(identity, "bob")
    assert show(identity, "ada") != shown(app.config, b"another")(identity, "ada")
    privacy = app.config.privacy.model_copy(update={"show_identities": True})
    show = shown(replace(app.config, privacy=privacy), b"key")
    assert show(identity, "ada") == "ada"
    assert show(room, "standup").startswith("anon-")


async def test_one_account_that_breaks_a_single_cycle_keeps_no_other_from_being_judged(app):
    class Breaking:
        """A collector whose database fails."""

        account = "broken"

        async def look(self, *, whole=False):
            raise StoreError("the database is locked")

        async def release(self):
            pass

    app.collectors.insert(0, Breaking())
    with pytest.raises(StoreError, match="locked"):
        await app.once()
    assert "simulated" in app.looked
    assert await app.store.evaluated_until() is not None


async def test_a_failed_look_leaves_the_count_of_waiting_rooms_as_it_was(app):
    app.note_look(Look("simulated", waiting=7))
    app.note_look(Look("simulated", error="no route to host"))
    (family,) = app.metrics.waiting.collect()
    assert [sample.value for sample in family.samples] == [7]
