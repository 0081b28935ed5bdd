"""Going over the past tells what would have been fired and sent, whatever the rooms come from, and changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from alertd.cli import alertd
from alertd.clock import FastClock
from alertd.engine.kinds import Rate
from alertd.engine.records import Participant, Room, SettledRoom
from alertd.evaluate import Evaluator
from alertd.history import write_room
from alertd.simulator.scenario import load_scenario
from alertd.simulator.server import build_app, serve
from alertd.store import Settling, open_store

ROOT = Path(__file__).parents[2]
BEGIN = 1_772_452_800  # noon of Monday, 2 March 2026, UTC
MINUTE, HOUR = 60, 3600
KEY = "SK" + "5" * 32

RULES = """
rules:
  - alert: MediaLost
    match: {error_code: 53405}
    by: [account, media_region]
    rate: {above: 5%, over: 1h, min: 50}
    labels: {severity: page}
  - alert: NobodyElse
    match: {error_code: 20104}
    count: {at_least: 3}
"""
CONFIG = """
[[accounts]]
name = "production"
base_url = "{twilio}"
api_key = "{key}"
api_key_secret = "simulated"
[store]
url = "sqlite:///alertd.db"
[rules]
paths = ["rules.yaml"]
[http]
listen = "127.0.0.1:0"
[route]
receiver = "oncall"
group_wait = "0s"
[[receivers]]
name = "oncall"
[[receivers.console]]
"""


def room(number: int, ended: int, *, failed: int = 0, known_at: int | None = None, region: str = "ie1") -> SettledRoom:
    """A room of ten, of whom so many lost their media."""
    people = [
        Participant(
            participant_sid=f"PA{number * 100 + place:032x}",
            media_region=region,
            error_code=53405 if place < failed else None,
        )
        for place in range(10)
    ]
    end = datetime.fromtimestamp(ended, UTC)
    summary = Room(room_sid=f"RM{number:032x}", create_time=end - timedelta(minutes=5), end_time=end, duration_sec=300)
    known_at = ended + 480 if known_at is None else known_at
    return SettledRoom(account="production", room=summary, participants=tuple(people), ended=ended, known_at=known_at)


def incident(first: int = 120, last: int = 160, of: int = 360) -> list[SettledRoom]:
    """A room a minute from BEGIN on, in which half of the people lose their media for a while (minutes)."""
    return [room(minute, BEGIN + minute * MINUTE, failed=5 if first <= minute < last else 0) for minute in range(of)]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration without any history of its own."""
    (tmp_path / "rules.yaml").write_text(RULES)
    path = tmp_path / "alertd.toml"
    path.write_text(CONFIG.format(twilio="http://127.0.0.1:9", key=KEY))
    return path


@pytest.fixture
def history(tmp_path: Path) -> Callable[[Iterable[SettledRoom]], Path]:
    """Writes rooms to a history file."""

    def write(rooms: Iterable[SettledRoom]) -> Path:
        path = tmp_path / "rooms.ndjson"
        path.write_bytes(b"".join(map(write_room, rooms)))
        return path

    return write


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(alertd, ["backtest", *map(str, arguments)])


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "alertd", "backtest", *map(str, arguments)]


ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
QUIETLY: Any = {"capture_output": True, "text": True, "env": ENVIRONMENT, "timeout": 100}


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def told(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What happened when, without the rest: `03-02 14:05`, what."""
    return [(line["at"][5:16].replace("T", " "), line["event"]) for line in found if "at" in line]


def test_an_incident_in_a_file_fires_once_resolves_once_and_is_told_twice(config, history):
    found = lines(run("--config", config, "--data", history(incident()), "--json"))
    assert [line["event"] for line in found] == ["firing", "notification", "resolved", "notification", "summary"]
    firing, first, resolved, last, summary = found
    assert firing["alert"] == "MediaLost"
    assert firing["labels"]["media_region"] == "ie1"
    assert firing["late"] is False
    assert firing["matched"] > 0 < firing["total"]
    assert resolved["fingerprint"] == firing["fingerprint"]
    assert (first["receiver"], first["reason"], first["status"]) == ("oncall", "first notification", "firing")
    assert (last["reason"], last["alerts"]) == ("all alerts resolved", [firing["fingerprint"]])
    assert (summary["rooms"], summary["participants"]) == (360, 3600)
    assert (summary["firing"], summary["notifications"]) == (1, 2)


def test_every_line_has_exactly_the_keys_that_are_promised(config, history):
    found = lines(run("--config", config, "--data", history(incident()), "--json"))
    keys = {line["event"]: sorted(line) for line in found}
    event = ["alert", "at", "event", "fingerprint", "labels", "late", "matched", "rooms", "total", "value"]
    assert keys["firing"] == keys["resolved"] == event
    assert keys["notification"] == ["alerts", "at", "event", "reason", "receiver", "status"]
    assert keys["summary"] == ["event", "firing", "notifications", "participants", "rooms", "seconds"]


def test_the_order_of_the_lines_in_a_file_does_not_matter(config, history):
    forward = lines(run("--config", config, "--data", history(incident()), "--json"))
    backward = lines(run("--config", config, "--data", history(reversed(incident())), "--json"))
    assert forward[:-1] == backward[:-1]


def test_a_file_can_come_on_standard_input(config, history):
    with history(incident()).open("rb") as stream:
        result = subprocess.run(
            command("--config", config, "--data", "-", "--json"), stdin=stream, check=False, **QUIETLY
        )
    assert json.loads(result.stdout.splitlines()[-1])["firing"] == 1


def test_people_get_a_table_and_what_fired_with_its_reason(config, history):
    result = run("--config", config, "--data", history(incident()))
    assert result.exit_code == 0
    assert "MediaLost|severity=page" in result.stdout
    assert "NobodyElse" in result.stdout
    assert "participants match" in result.stdout
    assert "media_region=ie1" in result.stdout


def test_a_range_can_be_cut_out_and_what_stands_before_it_still_counts(config, history):
    rooms = incident(first=60, last=140)
    found = lines(
        run(
            "--config",
            config,
            "--data",
            history(rooms),
            "--from",
            "2026-03-02T14:00Z",
            "--to",
            "2026-03-02T15:00Z",
            "--json",
        )
    )
    assert found[0]["at"] <= "2026-03-02T14:01:00Z"  # at once: the windows were warm
    assert found[-1]["rooms"] == 60


def test_where_no_history_stands_before_the_range_it_is_said(config, history):
    result = run("--config", config, "--data", history(incident()))
    assert "no history stands before the start" in result.stderr
    enough = run("--config", config, "--data", history(incident()), "--from", "2026-03-02T16:00Z")
    assert "before the start" not in enough.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "soon"], "neither a time like"),
        (["--since", "7 days"], "not a duration"),
        (["--from", "2026-03-02", "--to", "2026-03-01"], "nothing lies between"),
        (["--zone", "Mars/Olympus"], "no time zone"),
    ],
)
def test_a_range_or_zone_that_cannot_be_is_refused(config, history, arguments, said):
    result = run("--config", config, "--data", history(incident(of=5)), *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_bad_line_stops_it_unless_bad_lines_are_to_be_skipped(config, history):
    path = history(incident())
    path.write_bytes(b"nonsense\n" + path.read_bytes())
    refused = run("--config", config, "--data", path)
    assert refused.exit_code == 2
    assert f"{path}:1" in refused.stderr
    skipped = run("--config", config, "--data", path, "--skip-bad")
    assert skipped.exit_code == 0
    assert "1 bad lines" in skipped.stderr


def test_what_was_over_before_it_was_known_is_told_late(config, history):
    rooms = incident()
    blackout = BEGIN + 240 * MINUTE
    late = [room(one, BEGIN + one * MINUTE, failed=5, known_at=blackout) for one in range(60, 90)]
    rest = [one for one in rooms if not 60 <= (one.ended - BEGIN) // MINUTE < 90]
    quiet = [room(1000 + place, one.ended) for place, one in enumerate(rest)]
    found = lines(run("--config", config, "--data", history([*quiet, *late]), "--json"))
    events = [line for line in found if line["event"] in ("firing", "resolved")]
    assert [(line["event"], line["late"]) for line in events] == [("firing", True), ("resolved", True)]
    assert events[0]["at"] == "2026-03-02T16:00:00Z"


def test_nights_are_those_of_the_zone(config, history):
    path = history(incident(first=600, last=630, of=680))  # from 22:00 UTC on

    def nights(zone: str) -> str:
        row = next(
            line
            for line in run("--config", config, "--data", path, "--zone", zone).stdout.splitlines()
            if line.startswith("all")
        )
        return row.split()[-1]

    assert nights("UTC") == "1"
    assert nights("America/Los_Angeles") == "0"


# Against other rules


def test_what_other_rules_would_gain_lose_and_keep(config, history, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(
        RULES.replace("above: 5%, over: 1h, min: 50", "above: 2%, over: 30m, min: 20")
        + "  - {alert: AnyLoss, match: {error_code: 53405}, any: true}\n"
    )
    found = lines(run("--config", config, "--data", history(incident()), "--against", other, "--json"))
    assert [line["event"] for line in found[-2:]] == ["comparison", "summary"]
    comparison = found[-2]
    assert [one["alert"] for one in comparison["only_there"]] == ["AnyLoss"]
    assert comparison["only_here"] == []
    (kept,) = comparison["both"]
    assert kept["alert"] == "MediaLost"
    assert kept["sooner_there"] > 0
    assert comparison["notifications"]["there"] > comparison["notifications"]["here"] == 2
    text = run("--config", config, "--data", history(incident()), "--against", other).stdout
    assert "1 gained, 0 lost, 1 kept" in text
    assert "sooner" in text


def test_a_rule_that_is_left_out_is_lost(config, history, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text("rules: [{alert: NobodyElse, match: {error_code: 20104}, any: true}]")
    comparison = lines(run("--config", config, "--data", history(incident()), "--against", other, "--json"))[-2]
    assert [one["alert"] for one in comparison["only_here"]] == ["MediaLost"]
    assert comparison["only_there"] == comparison["both"] == []


# The page


def test_the_page_is_written_and_names_what_fired(config, history, tmp_path):
    page = tmp_path / "page.html"
    assert run("--config", config, "--data", history(incident()), "--html", page).exit_code == 0
    text = page.read_text()
    assert text.startswith("<!doctype html>")
    assert "MediaLost" in text


def test_the_summary_of_what_fired_is_of_the_moment_that_its_reason_tells(config, history, tmp_path):
    """What matches grows from tick to tick; the page has the first figures, those of the reason, in both."""
    (tmp_path / "rules.yaml").write_text("rules: [{alert: Lost, match: {error: true}, rate: {above: 5%}}]")
    page = tmp_path / "page.html"
    assert run("--config", config, "--data", history(incident()), "--html", page).exit_code == 0
    text = page.read_text()
    (summary,) = map(float, re.findall(r"<p>([\d.]+) % of participants: ", text))
    (why,) = map(float, re.findall(r'<p class="quiet">([\d.]+) % of \d+ participants match', text))
    assert summary == pytest.approx(why, abs=0.06)


def test_a_page_that_cannot_be_written_is_told(config, history, tmp_path):
    result = run("--config", config, "--data", history(incident(of=5)), "--html", tmp_path / "nowhere" / "page.html")
    assert result.exit_code == 1
    assert "cannot write" in result.stderr


# The own history


async def live(config: Path, policy: Any, rooms: Iterable[SettledRoom], clock: Any, minutes: int) -> None:
    """Let rooms settle in the configuration's own database, minute by minute, with a daemon that evaluates them."""
    store = await open_store(f"sqlite:///{config.parent / 'alertd.db'}")
    try:
        await store.pseudonym_key()  # as at each start
        evaluator = Evaluator(store, policy, clock, lambda _field, value: value)
        waiting = sorted(rooms, key=lambda one: one.known_at)
        for _ in range(minutes):
            clock.reading += MINUTE
            due = [one for one in waiting if one.known_at <= clock.reading]
            waiting = waiting[len(due) :]
            settling = [
                Settling(account=one.account, room=one.room, participants=one.participants, ended=one.ended)
                for one in due
            ]
            await store.settle(settling, int(clock.reading))
            await store.saw("production", int(clock.reading), 600)
            await evaluator.turn()
    finally:
        await store.close()


async def fired_live(config: Path) -> list[tuple[str, str]]:
    store = await open_store(f"sqlite:///{config.parent / 'alertd.db'}")
    try:
        return [(f"{datetime.fromtimestamp(one.at, UTC):%m-%d %H:%M}", one.event) for one in await store.events()]
    finally:
        await store.close()


def dump(config: Path) -> list[str]:
    """All that is in the database."""
    with sqlite3.connect(config.parent / "alertd.db") as database:
        return list(database.iterdump())


def test_the_own_history_gives_what_was_fired_live_and_stays_as_it_is(config, clock, policy_of, losing_media):
    (config.parent / "rules.yaml").write_text(
        "rules: [{alert: MediaLost, match: {error_code: 53405}, rate: {above: 5%, over: 20m, min: 20}}]"
    )
    policy = policy_of(losing_media(kind=Rate(above=0.05, over=1200, min=20)), accounts=("production",))
    asyncio.run(live(config, policy, incident(first=20, last=30, of=75), clock, 75))
    before, live_events = dump(config), asyncio.run(fired_live(config))
    found = lines(run("--config", config, "--from", "2026-03-02T12:00Z", "--to", "2026-03-02T13:15Z", "--json"))
    assert [pair for pair in told(found) if pair[1] != "notification"] == live_events
    assert [event for _, event in live_events] == ["firing", "resolved"]
    assert dump(config) == before


def test_what_ended_before_alertd_ever_looked_is_not_told_late(config, clock, policy_of):
    """The first look knows the past at once; it is gone over as if it had been known in time."""
    clock.reading = BEGIN + 360 * MINUTE
    at_once = [
        room(one, BEGIN + one * MINUTE, failed=5 if 120 <= one < 160 else 0, known_at=BEGIN) for one in range(350)
    ]
    asyncio.run(live(config, policy_of(), at_once, clock, 5))
    found = lines(run("--config", config, "--from", "2026-03-02T12:00Z", "--to", "2026-03-02T18:00Z", "--json"))
    assert [line["late"] for line in found if line["event"] in ("firing", "resolved")] == [False, False]


def test_the_own_history_and_its_export_give_the_same_alerts(config, clock, policy_of, tmp_path):
    """Also of rooms that the first look knew all at once: in neither are they told late."""
    clock.reading = BEGIN + 360 * MINUTE
    at_once = [
        room(one, BEGIN + one * MINUTE, failed=5 if 120 <= one < 160 else 0, known_at=BEGIN) for one in range(350)
    ]
    asyncio.run(live(config, policy_of(), at_once, clock, 5))
    span = ["--from", "2026-03-02T12:00Z", "--to", "2026-03-02T18:00Z", "--json"]
    own = lines(run("--config", config, *span))
    file = tmp_path / "rooms.ndjson"
    exported = CliRunner().invoke(alertd, ["export", "--config", str(config), "--output", str(file)])
    assert exported.exit_code == 0, exported.output
    from_file = lines(run("--config", config, "--data", file, *span))
    assert [line for line in from_file if line["event"] != "summary"] == [
        line for line in own if line["event"] != "summary"
    ]
    assert [line["event"] for line in own if line["event"] != "notification"] == ["firing", "resolved", "summary"]


def test_a_large_share_of_late_rooms_is_told_whatever_is_printed(config, history):
    late = [room(one, BEGIN + one * MINUTE, known_at=BEGIN + 240 * MINUTE) for one in range(60, 160)]
    in_time = [room(one, BEGIN + one * MINUTE) for one in range(60)]
    for form in ([], ["--json"]):
        said = run("--config", config, "--data", history([*in_time, *late]), *form).stderr
        assert "100 of 160 rooms (62 %) were known more than 30 minutes after their end" in said
    assert "were known" not in run("--config", config, "--data", history(in_time)).stderr


# Straight from Twilio


async def test_without_a_history_it_asks_twilio_and_leaves_nothing_behind(config):
    scenario = load_scenario("clean").model_copy(update={"rooms_per_day": 200})
    simulator = build_app(scenario, FastClock(time.time(), 1.0), {KEY: "simulated"})
    async with serve(simulator) as address:
        config.write_text(CONFIG.format(twilio=address, key=KEY))
        process = await asyncio.create_subprocess_exec(
            *command("--config", config, "--since", "20h", "--json"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        out, err = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 0, err.decode()
    assert json.loads(out.splitlines()[-1])["rooms"] > 50
    assert not (config.parent / "alertd.db").exists()


def test_an_account_that_cannot_be_read_is_an_error(config):
    config.write_text(CONFIG.format(twilio="http://127.0.0.1:1", key=KEY))
    result = subprocess.run(command("--config", config, "--since", "1h"), check=False, **QUIETLY)
    assert result.returncode == 1
    assert "account production could not be read" in result.stderr
