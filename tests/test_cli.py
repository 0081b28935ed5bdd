"""The command line as people and scripts use it: words, exit statuses, and errors that say what to do."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from alertd.clock import FastClock
from alertd.simulator.scenario import load_scenario
from alertd.simulator.server import build_app, serve

ROOT = Path(__file__).parent.parent
KEY = "SK" + "5" * 32

RULE = """
rules:
  - alert: AnyFailure
    match: {error: true}
    any: true
"""
CONFIG = """
[[accounts]]
name = "simulated"
base_url = "{twilio}"
api_key = "{key}"
api_key_secret = "{secret}"
[rules]
paths = ["rules.yaml"]
[http]
listen = "127.0.0.1:{port}"
[route]
receiver = "hook"
group_wait = "0s"
[[receivers]]
name = "hook"
[[receivers.webhook]]
url = "{hook}"
"""


async def alertd(*arguments: str | Path, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run a command to its end: exit status, standard output, standard error."""
    process = await start(*arguments, env=env)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


async def start(*arguments: str | Path, env: dict[str, str] | None = None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "alertd",
        *map(str, arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | (env or {}),
    )


@pytest.fixture
async def twilio() -> AsyncIterator[str]:
    """A simulated Twilio account, quiet enough to be read in a moment."""
    scenario = load_scenario("clean").model_copy(update={"rooms_per_day": 400})
    app = build_app(scenario, FastClock(time.time(), 1.0), {KEY: "simulated"})
    async with serve(app) as address:
        yield address


@pytest.fixture
async def hook() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook, and what it received."""
    got: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        got.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    async with serve(app) as address:
        yield f"{address}/", got


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes a configuration with a rule beside it."""

    def write(**parts: Any) -> Path:
        values = {
            "twilio": "http://127.0.0.1:9",
            "key": KEY,
            "secret": "simulated",
            "port": 0,
            "hook": "http://127.0.0.1:9/",
        }
        (tmp_path / "rules.yaml").write_text(RULE)
        path = tmp_path / "alertd.toml"
        path.write_text(CONFIG.format(**(values | parts)))
        return path

    return write


async def test_help_names_every_command_and_each_has_help_of_its_own():
    status, out, _ = await alertd("--help")
    commands = ["run", "check", "render", "simulate", "demo", "deliveries", "export", "db", "schema"]
    assert status == 0
    assert all(f"  {command} " in out for command in commands)
    helps = await asyncio.gather(*(alertd(command, "--help") for command in commands))
    assert all(status == 0 and "Usage: alertd" in out for status, out, _ in helps)


async def test_one_cycle_collects_judges_and_delivers(twilio, hook, written):
    url, got = hook
    config = written(twilio=twilio, hook=url)
    status, _, err = await alertd("run", "--config", config, "--once")
    assert status == 0, err
    assert got, err
    assert got[0]["alerts"][0]["labels"]["alertname"] == "AnyFailure"
    told = len(got)
    assert (await alertd("run", "--config", config, "--once"))[0] == 0
    assert len(got) == told, "the second cycle has nothing new to say"
    status, out, _ = await alertd("deliveries", "--config", config, "--json")
    entries = json.loads(out)
    assert status == 0
    assert {entry["state"] for entry in entries} == {"sent"}
    assert len(entries) == told
    status, out, _ = await alertd("deliveries", "--config", config)
    assert "first notification" in out or "late" in out


async def test_the_daemon_is_ready_after_its_first_look_and_stops_in_order(twilio, hook, written):
    process = await start("run", "--config", written(twilio=twilio, hook=hook[0]))
    assert process.stderr is not None
    address = ""
    while not address:
        line = await asyncio.wait_for(process.stderr.readline(), 30)
        assert line, "the daemon ended"
        record = json.loads(line)
        address = record.get("address", "")
    async with ClientSession() as session:
        async with session.get(f"{address}/-/healthy") as answer:
            assert (answer.status, await answer.text()) == (200, "OK\n")
        for _ in range(200):
            async with session.get(f"{address}/-/ready") as answer:
                if answer.status == 200:
                    break
                assert "first look" in await answer.text()
            await asyncio.sleep(0.1)
        else:
            pytest.fail("never ready")
        async with session.get(f"{address}/metrics") as answer:
            text = await answer.text()
    assert 'alertd_looks_total{account="simulated",outcome="ok"} 1.0' in text
    assert 'alertmanager_build_info{version="' in text
    process.send_signal(signal.SIGTERM)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    assert b'"stopped"' in err
    assert b"Traceback" not in err


async def test_wrong_credentials_are_named_with_account_and_status(twilio, written):
    status, _, err = await alertd("run", "--config", written(twilio=twilio, secret="wrong"), "--once")
    assert status == 1
    assert "account simulated could not be read" in err
    assert "401" in err
    assert "wrong" not in err.replace("went wrong", "")


async def test_an_unreachable_twilio_is_an_answer_of_one_cycle_not_a_crash(written):
    status, _, err = await alertd("run", "--config", written(twilio="http://127.0.0.1:1"), "--once")
    assert status == 1
    assert "could not be read" in err
    assert "Traceback" not in err


async def test_a_configuration_that_is_wrong_lists_every_problem_and_ends_with_two(written):
    config = written()
    config.write_text(config.read_text().replace("group_wait", "group_wiat") + '\n[colect]\nevery = "1m"\n')
    status, out, err = await alertd("run", "--config", config)
    assert status == 2
    assert f"{config}:" in err
    assert 'did you mean "group_wait"' in err
    assert "colect" in err
    assert out == ""


async def test_a_configuration_that_is_missing_ends_with_two(tmp_path):
    for command in ("run", "check"):
        status, _, err = await alertd(command, "--config", tmp_path / "nothing.toml")
        assert (status, "nothing.toml" in err) == (2, True)


async def test_an_unset_secret_is_named_by_key_and_variable(written):
    config = written()
    config.write_text(
        config.read_text().replace('api_key_secret = "simulated"', 'api_key_secret = { env = "NOPE_SECRET" }')
    )
    status, _, err = await alertd("check", "--config", config)
    assert (status, err.count("problem")) == (1, 1)
    _, out, _ = await alertd("check", "--config", config)
    assert "api_key_secret" in out
    assert "NOPE_SECRET" in out


async def test_check_prints_problems_for_people_and_for_programs(written, tmp_path):
    config = written()
    (tmp_path / "rules.yaml").write_text("rules:\n  - alert: X\n    match: {eror_code: 53405}\n    any: true\n")
    status, out, _ = await alertd("check", "--config", config)
    assert status == 1
    assert f"{tmp_path / 'rules.yaml'}:3:13: " in out
    status, out, _ = await alertd("check", "--config", config, "--json")
    report = json.loads(out)
    assert (status, report["valid"], report["problems"][0]["line"]) == (1, False, 3)
    assert (await alertd("check", ROOT / "rules"))[0] == 0
    assert (await alertd("check"))[0] == 2


@pytest.mark.parametrize("what", ["config", "rules", "webhook"])
async def test_schemas_are_json_schemas(what):
    status, out, _ = await alertd("schema", what)
    assert status == 0
    assert json.loads(out)["$schema"].startswith("https://json-schema.org/")


async def test_the_database_is_upgraded_and_copied_by_command(written, tmp_path):
    config = written()
    status, out, _ = await alertd("db", "upgrade", "--config", config)
    assert (status, "schema is at" in out) == (0, True)
    copy = tmp_path / "copy.db"
    status, out, _ = await alertd("db", "backup", "--config", config, copy)
    assert status == 0
    with sqlite3.connect(copy) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_looking_at_the_outbox_needs_no_secret_but_the_databases(written):
    config = written(secret="simulated")
    assert (await alertd("db", "upgrade", "--config", config))[0] == 0
    config.write_text(
        config.read_text().replace('api_key_secret = "simulated"', 'api_key_secret = { env = "NOT_HERE" }')
    )
    status, _, err = await alertd("deliveries", "--config", config)
    assert (status, err) == (0, "nothing has been sent yet\n")


async def test_a_database_that_cannot_be_used_says_why(written, tmp_path):
    (tmp_path / "alertd.db").write_text("this is no database, whatever its name says " * 100)
    status, _, err = await alertd("run", "--config", written(), "--once")
    assert status == 1
    assert "alertd.db" in err
    assert "Traceback" not in err


async def test_retrying_something_unknown_says_so(written):
    config = written()
    await alertd("db", "upgrade", "--config", config)
    status, _, err = await alertd("deliveries", "retry", "msg_nothing", "--config", config)
    assert (status, "msg_nothing" in err) == (1, True)


async def test_a_port_that_is_taken_is_named_by_its_key(twilio, written):
    port = int(twilio.rpartition(":")[2])
    status, _, err = await alertd("run", "--config", written(twilio=twilio, port=port))
    assert status == 1
    assert "http.listen" in err


async def test_the_simulator_lists_its_scenarios_and_says_how_to_use_it():
    status, out, _ = await alertd("simulate", "--list")
    assert status == 0
    assert {"clean", "regional-outage", "silence"} <= {line.split()[0] for line in out.splitlines()}
    process = await start("simulate", "--listen", "127.0.0.1:0", env={"PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    lines = [await asyncio.wait_for(process.stdout.readline(), 30) for _ in range(4)]
    assert b"[[accounts]]\n" in lines
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0


async def test_only_a_simulator_on_this_machine_may_set_the_time(written):
    status, _, err = await alertd("run", "--config", written(), "--clock", "http://example.com:9096")
    assert (status, "--clock" in err) == (1, True)
    real = written(twilio="https://insights.twilio.com")
    status, _, err = await alertd("run", "--config", real, "--clock", "http://127.0.0.1:9096")
    assert (status, "simulator's account alone" in err) == (1, True)
