"""Backtests over HTTP: what the command prints, in a process of its own, under the limits that a daemon needs."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner

from alertd.cli import alertd
from alertd.engine.records import Participant, Room
from alertd.store import Settling
from alertd.web.backtesting import BacktestApi

NOON = 1_772_452_800
MINUTE = 60
A_YEAR = {"since": "366d"}
SPAN = {"from": "2026-03-02T12:00:00Z", "to": "2026-03-02T13:30:00Z"}
RULES = "rules: [{alert: MediaLost, match: {error_code: 53405}, rate: {above: 5%, over: 20m, min: 20}}]"
CAREFUL = RULES.replace("5%", "90%")
CONFIG = """
[[accounts]]
name = "production"
base_url = "http://127.0.0.1:9"
api_key = "SK55555555555555555555555555555555"
api_key_secret = "not-to-be-told"
[store]
url = "sqlite:///alertd.db"
[rules]
paths = ["rules.yaml"]
[route]
receiver = "oncall"
group_wait = "0s"
[[receivers]]
name = "oncall"
[[receivers.console]]
"""


def room(number: int) -> Settling:
    """One of ten people that ends in the minute `number` after noon; half of them lose their media for ten minutes."""
    end = datetime.fromtimestamp(NOON + number * MINUTE, UTC)
    people = [
        Participant(
            participant_sid=f"PA{number * 100 + place:032x}",
            error_code=53405 if 20 <= number < 30 and place < 5 else None,
        )
        for place in range(10)
    ]
    summary = Room(room_sid=f"RM{number:032x}", create_time=end - timedelta(minutes=5), end_time=end, duration_sec=300)
    return Settling(account="production", room=summary, participants=tuple(people), ended=NOON + number * MINUTE)


@pytest.fixture
async def config(store, tmp_path):
    """The configuration of a daemon that has seen ninety minutes."""
    await store.pseudonym_key()
    await store.saw("production", NOON, 600)
    for minute in range(80):
        now = NOON + (minute + 8) * MINUTE
        await store.settle([room(minute)], now)
        await store.saw("production", now, 600)
    (tmp_path / "rules.yaml").write_text(RULES)
    path = tmp_path / "alertd.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
async def client(config, clock, aiohttp_client):
    """Of the API, an hour and a half later."""
    clock.reading += 90 * MINUTE
    api = BacktestApi(lambda: config, clock)
    app = web.Application()
    app.router.add_routes(api.routes())
    app.on_shutdown.append(api.stop)
    return await aiohttp_client(app)


async def backtest(client, **asked) -> list[dict]:
    """What was found: the lines of the answer, without those about progress and what is odd."""
    answer = await client.post("/api/alertd/backtest", json=SPAN | asked)
    assert (answer.status, answer.content_type) == (200, "application/x-ndjson"), await answer.text()
    found = [json.loads(line) for line in (await answer.text()).splitlines()]
    return [line for line in found if line["event"] not in ("progress", "note")]


async def refused(client, asked: dict, status: int = 400) -> str:
    answer = await client.post("/api/alertd/backtest", json=asked)
    assert answer.status == status, await answer.text()
    return await answer.json()


async def test_it_answers_what_the_command_prints(client, config):
    words = ["backtest", "--config", str(config), "--from", SPAN["from"], "--to", SPAN["to"], "--json"]
    printed = await asyncio.to_thread(CliRunner().invoke, alertd, words)
    expected = [json.loads(line) for line in printed.stdout.splitlines()]
    found = await backtest(client)
    assert found[:-1] == expected[:-1]
    assert {**found[-1], "seconds": 0} == {**expected[-1], "seconds": 0}
    assert [line["event"] for line in found] == ["firing", "notification", "resolved", "notification", "summary"]


async def test_it_says_how_far_it_is(client):
    answer = await client.post("/api/alertd/backtest", json=SPAN)
    first, second = map(json.loads, (await answer.text()).splitlines()[:2])
    assert (first["event"], 0 <= first["done"] <= 1) == ("progress", True)
    assert (second["event"], "no history stands before the start" in second["message"]) == ("note", True)


async def test_rules_that_are_sent_take_the_place_of_those_that_run(client):
    found = await backtest(client, rules=CAREFUL)
    assert [line["event"] for line in found] == ["summary"]
    toml = '[[rules]]\nalert = "Lost"\nany = true\nmatch = {error_code = 53405}\n'
    found = await backtest(client, rules=toml, format="toml")
    assert found[0]["alert"] == "Lost"


async def test_or_are_compared_with_them(client):
    comparison = (await backtest(client, against=CAREFUL))[-2]
    assert comparison["event"] == "comparison"
    assert [one["alert"] for one in comparison["only_here"]] == ["MediaLost"]


async def test_a_mistake_in_them_is_told_with_its_line_and_nothing_of_the_machine(client):
    said = await refused(client, SPAN | {"rules": RULES.replace("above", "abov")})
    assert said.startswith("rules.yaml:1:")
    assert "abov" in said
    assert "/" not in said


async def test_without_a_range_it_is_the_last_week_by_the_clock_of_the_daemon(client):
    answer = await client.post("/api/alertd/backtest", json={"since": "90m"})
    summary = json.loads((await answer.text()).splitlines()[-1])
    assert (summary["event"], summary["rooms"]) == ("summary", 79)
    answer = await client.post("/api/alertd/backtest", json={})
    assert json.loads((await answer.text()).splitlines()[-1])["rooms"] == 80


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"since": "soon"}, "'soon' is not a duration; write it like"),
        ({"since": "400d"}, "since: at most 366d are gone over"),
        ({"since": "1h", "from": SPAN["from"]}, "write since or from, not both"),
        ({"from": "2026-03-02T12:00:00"}, "from: write a time with its zone"),
        ({"from": "0001-01-01T00:00:00Z"}, "from: write a time that is past, but not longer than 366 days"),
        ({"to": "2026-03-03T12:00:00Z"}, "to: write a time that is past"),
        ({"from": SPAN["to"], "to": SPAN["from"]}, "nothing lies between from and to"),
        ({"zone": "Europe/Nowhere"}, "zone: there is no"),
        ({"zone": "../../etc/passwd"}, "zone: there is no"),
        ({"rules": "x" * 300_000}, "rules: at most 256 KiB of rules are taken"),
        ({"from": "2026-02-01T12:00:00Z", "to": "2026-02-02T12:00:00Z"}, "the own history: no room in it ended"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused_with_what_would_be_right(client, asked, said):
    assert (await refused(client, asked)).startswith(said)


async def test_a_key_that_nobody_knows_is_refused(client):
    assert "unknown field `sinse`" in (await refused(client, {"sinse": "7d"}))["message"]


async def test_a_database_that_cannot_be_read_is_told(client, config):
    config.write_text(CONFIG.replace("alertd.db", "rules.yaml"))
    assert "database" in await refused(client, SPAN, 500)


async def test_one_is_made_at_a_time(client):
    one, other = await asyncio.gather(*(client.post("/api/alertd/backtest", json=SPAN) for _ in range(2)))
    assert sorted((one.status, other.status)) == [200, 429]
    late = one if one.status == 429 else other
    assert late.headers["Retry-After"] == "10"
    await asyncio.gather(one.read(), other.read())
    assert await backtest(client)


listed_by_the_system = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are read from /proc")


def children() -> set[str]:
    """The processes that this one has started and that are still there."""
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


async def under_way(known: set[str]) -> str:
    """The process of the backtest, once there is one."""
    while True:
        await asyncio.sleep(0.01)
        if new := children() - known:
            return new.pop()


@listed_by_the_system
async def test_who_goes_away_ends_it(client):
    known = children()
    answer = await client.post("/api/alertd/backtest", json=A_YEAR)
    (process,) = children() - known
    answer.close()
    for _ in range(100):
        await asyncio.sleep(0.1)
        if process not in children():
            break
    assert process not in children()
    assert await backtest(client)


async def test_a_daemon_that_stops_ends_it_and_says_so(client):
    answer = await client.post("/api/alertd/backtest", json=A_YEAR)
    assert json.loads(await answer.content.readline())["event"] == "progress"
    await client.app.shutdown()
    *_, last = map(json.loads, (await answer.text()).splitlines())
    assert last == {"event": "error", "message": "the backtest was stopped"}


@listed_by_the_system
async def test_also_as_it_begins(client):
    known = children()
    asked = asyncio.create_task(client.post("/api/alertd/backtest", json=A_YEAR))
    process = await under_way(known)
    await client.app.shutdown()
    answer = await asked
    assert (answer.status, await answer.json()) == (500, "the backtest was stopped")
    assert process not in children()
