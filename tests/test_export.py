"""The history out and in by command: what is exported is what is known, whole or not at all, and checks as valid."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from alertd.cli import alertd
from alertd.engine.records import Participant, Room
from alertd.history import HistoryFile
from alertd.store import Settling, open_store

ROOT = Path(__file__).parent.parent
NOW = int(time.time())
DAY = 86400


def run(*arguments: str | Path) -> Result:
    """A command in this process: its exit status, what it wrote where."""
    return CliRunner().invoke(alertd, [str(argument) for argument in arguments])


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "alertd", *map(str, arguments)]


ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def room(number: int, *, ago: int = 3600, people: int = 2, account: str = "production", **summary: Any) -> Settling:
    """A room that ended so many seconds ago."""
    guests = [
        Participant(participant_sid=f"PA{number:028x}{place:04x}", participant_identity=f"person {place}")
        for place in range(people)
    ]
    told = {"room_sid": f"RM{number:032x}", "end_time": datetime.fromtimestamp(NOW - ago, UTC)} | summary
    return Settling(account=account, room=Room(**told), participants=tuple(guests), ended=NOW - ago)


def settle(url: str, rooms: Iterable[Settling], now: int = NOW) -> None:
    async def work() -> None:
        store = await open_store(url)
        try:
            await store.settle(list(rooms), now)
        finally:
            await store.close()

    asyncio.run(work())


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database on either kind of server, empty."""
    sqlite = request.param == "sqlite"
    return f"sqlite:///{tmp_path}/alertd.db" if sqlite else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def config(url: str, tmp_path: Path) -> Path:
    """A configuration that names the database, and a secret that is not there, since exporting needs none."""
    path = tmp_path / "alertd.toml"
    key = 'api_key = { env = "NOT_HERE" }'
    path.write_text(f'[[accounts]]\nname = "production"\n{key}\n[store]\nurl = "{url}"\n')
    return path


only_sqlite = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], list[Any]]:
    """Reads exported lines."""

    def from_bytes(raw: bytes) -> list[Any]:
        path = tmp_path / "read.ndjson"
        path.write_bytes(raw)
        return list(HistoryFile(path))

    return from_bytes


# Out


def test_the_history_is_written_as_a_line_for_each_room_oldest_first(config, url, read):
    rooms = [room(1, ago=60), room(2, ago=90, account="staging", people=0, room_name="🦊"), room(3, ago=30)]
    settle(url, rooms)
    result = run("export", "--config", config)
    assert result.exit_code == 0
    found = read(result.stdout_bytes)
    assert [(one.account, one.room, one.participants) for one in found] == [
        (rooms[place].account, rooms[place].room, rooms[place].participants) for place in (1, 0, 2)
    ]
    assert all(one.known_at >= NOW and one.replaced_at is None for one in found)
    assert result.stderr == "3 rooms with 4 participants\n"


def test_identities_and_names_are_as_twilio_gave_them(config, url):
    settle(url, [room(1, people=1, room_name="Ann's check-up")])
    (line,) = run("export", "--config", config).stdout.splitlines()
    told = json.loads(line)
    assert told["room"]["room_name"] == "Ann's check-up"
    assert told["participants"][0]["participant_identity"] == "person 0"


def test_only_rooms_that_ended_since_are_written_if_that_is_asked_for(config, url, read):
    settle(url, [room(1, ago=3 * DAY), room(2, ago=DAY), room(3, ago=60)])
    found = read(run("export", "--config", config, "--since", "2d").stdout_bytes)
    assert [one.room.room_sid[-1] for one in found] == ["2", "3"]
    assert run("export", "--config", config, "--since", "5s").stderr == "0 rooms with 0 participants\n"


def test_a_room_that_changed_is_written_once_as_now_known(config, url, read):
    settle(url, [room(1, room_name="before")], now=NOW - 100)
    settle(url, [room(1, room_name="after", people=3)], now=NOW - 50)
    (found,) = read(run("export", "--config", config).stdout_bytes)
    assert (found.room.room_name, len(found.participants), found.known_at) == ("after", 3, NOW - 50)


def test_rooms_of_a_rehearsal_whose_time_runs_ahead_are_written_too(config, url, read):
    settle(url, [room(1, ago=-10 * DAY)], now=NOW + 11 * DAY)
    settle(url, [room(2, ago=-11 * DAY)], now=NOW + 12 * DAY)
    assert len(read(run("export", "--config", config).stdout_bytes)) == 2


def test_many_batches_hold_every_room_once(config, url, read):
    settle(url, (room(number, ago=number // 7, people=1) for number in range(1000)))
    found = read(run("export", "--config", config).stdout_bytes)
    assert sorted(one.room.room_sid for one in found) == [f"RM{number:032x}" for number in range(1000)]


def test_no_room_is_lost_while_others_settle_and_change(config, url, read):
    settle(url, (room(number, people=1) for number in range(1000)), now=NOW - 100)

    async def both() -> bytes:
        store = await open_store(url)
        try:
            export = await asyncio.create_subprocess_exec(
                *command("export", "--config", config), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
            )
            ending = asyncio.create_task(export.communicate())
            number = 1000
            while not ending.done():
                await store.settle([room(number), room(number % 1000, room_name="changed")], int(time.time()))
                number += 1
            return (await ending)[0]
        finally:
            await store.close()

    found = read(asyncio.run(both()))
    sids = [one.room.room_sid for one in found]
    assert {f"RM{number:032x}" for number in range(1000)} <= set(sids)


@only_sqlite
def test_a_file_is_private_and_packed_if_its_name_says_so(config, url, tmp_path):
    settle(url, [room(1), room(2)])
    plain, packed = tmp_path / "rooms.ndjson", tmp_path / "rooms.ndjson.gz"
    for path in (plain, packed):
        result = run("export", "--config", config, "--output", path)
        assert (result.exit_code, result.stdout_bytes) == (0, b"")
        assert result.stderr == f"2 rooms with 4 participants in {path}\n"
        assert path.stat().st_mode & 0o777 == 0o600
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert len(plain.read_bytes().splitlines()) == 2


@only_sqlite
def test_a_file_is_replaced_only_when_the_new_one_is_whole(config, url, tmp_path):
    path = tmp_path / "kept" / "rooms.ndjson"
    path.parent.mkdir()
    path.write_text("the last export")
    (tmp_path / "alertd.db").write_text("no database " * 1000)
    result = run("export", "--config", config, "--output", path)
    assert result.exit_code == 1
    assert "alertd.db" in result.stderr
    assert [(found, found.read_text()) for found in path.parent.iterdir()] == [(path, "the last export")]
    (tmp_path / "alertd.db").unlink()
    settle(url, [room(1)])
    assert run("export", "--config", config, "--output", path).exit_code == 0
    assert list(path.parent.iterdir()) == [path]
    assert len(list(HistoryFile(path))) == 1


@only_sqlite
def test_a_link_stays_and_what_it_leads_to_is_replaced(config, url, tmp_path):
    settle(url, [room(1)])
    (tmp_path / "real.ndjson").write_text("old")
    (tmp_path / "link.ndjson").symlink_to("real.ndjson")
    assert run("export", "--config", config, "--output", tmp_path / "link.ndjson").exit_code == 0
    assert (tmp_path / "link.ndjson").is_symlink()
    assert len(list(HistoryFile(tmp_path / "real.ndjson"))) == 1


@only_sqlite
def test_a_place_that_cannot_be_written_is_named(config, url, tmp_path):
    settle(url, [room(1)])
    missing = run("export", "--config", config, "--output", tmp_path / "nowhere" / "rooms.ndjson")
    assert (missing.exit_code, "nowhere/rooms.ndjson (No such file" in missing.stderr) == (1, True)
    for odd in (tmp_path, Path("/dev/null")):
        result = run("export", "--config", config, "--output", odd)
        assert (result.exit_code, f"{odd}: is not a regular file" in result.stderr) == (2, True)


@only_sqlite
def test_a_dash_is_standard_output(config, url, read):
    settle(url, [room(1)])
    assert len(read(run("export", "--config", config, "--output", "-").stdout_bytes)) == 1


@only_sqlite
def test_wrong_input_is_told_with_status_two(config, url, tmp_path):
    result = run("export", "--config", config, "--since", "soon")
    assert (result.exit_code, "--since: 'soon' is not a duration" in result.stderr) == (2, True)
    result = run("export", "--config", tmp_path / "nothing.toml")
    assert (result.exit_code, "nothing.toml" in result.stderr) == (2, True)
    assert run("export").exit_code == 2


@only_sqlite
def test_a_database_that_was_never_used_says_what_to_do(config):
    result = run("export", "--config", config)
    assert (result.exit_code, "alertd db upgrade" in result.stderr) == (1, True)


@only_sqlite
def test_a_reader_that_has_seen_enough_ends_it_quietly(config, url):
    settle(url, (room(number, people=20) for number in range(500)))
    export = subprocess.Popen(
        command("export", "--config", config), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    )
    assert export.stdout is not None
    assert export.stdout.readline().startswith(b'{"account"')
    export.stdout.close()
    assert export.stderr is not None
    with export.stderr:
        assert (export.stderr.read(), export.wait(30)) == (b"", 0)


@only_sqlite
def test_a_full_disk_is_told(config, url):
    settle(url, [room(1)])
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command("export", "--config", config),
            stdout=full,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == b"alertd: cannot write to standard output (No space left on device)\n"


def on_a_terminal(*arguments: str | Path) -> tuple[str, bytes]:
    """What a command shows on a terminal as its standard error, and what it writes to a pipe."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=its, env=ENVIRONMENT | {"TERM": "xterm"}
    )
    os.close(its)
    out, _ = process.communicate(timeout=60)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal ends whose other side is closed
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    assert process.returncode == 0
    return shown.decode(), out


@only_sqlite
def test_whoever_watches_sees_how_far_it_has_come(config, url, tmp_path):
    settle(url, (room(number, people=1) for number in range(400)))
    shown, out = on_a_terminal("export", "--config", config)
    assert "400 rooms" in shown
    assert "400 rooms with 400 participants" in shown
    assert out.count(b"\n") == 400
    (tmp_path / "rooms.ndjson").write_bytes(out * 3)
    shown, _ = on_a_terminal("check", tmp_path / "rooms.ndjson")
    assert "1,000 rooms in" in shown


# In


@only_sqlite
def test_what_was_exported_checks_as_valid(config, url, tmp_path):
    settle(url, [room(1, people=3), room(2, people=4)])
    run("export", "--config", config, "--output", tmp_path / "rooms.ndjson.gz")
    result = run("check", tmp_path / "rooms.ndjson.gz")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "ok: 1 file, 2 rooms with 7 participants\n"


@pytest.fixture
def history(tmp_path: Path) -> Callable[..., Path]:
    """Writes a history file of good rooms and bad lines."""

    def write(good: int, bad: int, name: str = "rooms.ndjson") -> Path:
        line = {"account": "a", "room": {"room_sid": "RM1", "end_time": "2026-03-02T12:00:00Z"}, "participants": []}
        path = tmp_path / name
        path.write_text("nonsense\n" * bad + f"{json.dumps(line)}\n" * good)
        return path

    return write


def test_a_bad_history_is_told_line_by_line_and_the_good_rooms_are_counted(history):
    path = history(good=3, bad=2)
    result = run("check", path)
    assert result.exit_code == 1
    assert [line.partition(" ")[0] for line in result.stdout.splitlines()] == [f"{path}:1:1:", f"{path}:2:1:"]
    assert result.stderr == "2 problems in 1 file, 3 rooms with 0 participants\n"


def test_of_very_many_bad_lines_a_hundred_are_shown(history):
    path = history(good=1, bad=1234)
    result = run("check", path)
    lines = result.stdout.splitlines()
    assert (len(lines), lines[-1]) == (101, f"{path}: and 1,134 more")
    assert "1,234 problems in 1 file, 1 room with 0 participants" in result.stderr


def test_rules_and_histories_are_checked_together(history):
    result = run("check", ROOT / "rules", history(1, 0), history(2, 0, "more.ndjson.gz"))
    assert result.exit_code == 0
    assert ", 3 rooms with 0 participants" in result.stderr
    assert " rules, " in result.stderr


def test_a_check_of_histories_is_told_to_machines_too(history):
    path = history(good=3, bad=150)
    result = run("check", "--json", path)
    report = json.loads(result.stdout)
    assert (result.exit_code, report["valid"], report["files"]) == (1, False, [str(path)])
    assert len(report["problems"]) == 100
    assert report["problems"][1]["line"] == 2
    assert report["histories"] == [{"file": str(path), "rooms": 3, "participants": 0, "bad_lines": 150}]
    assert json.loads(run("check", "--json", ROOT / "rules").stdout)["histories"] == []


def test_a_history_that_is_not_there_ends_with_two(tmp_path):
    result = run("check", tmp_path / "gone.ndjson")
    assert (result.exit_code, "gone.ndjson: there is no such file" in result.stderr) == (2, True)


@pytest.mark.parametrize("packed", [False, True])
def test_a_history_is_checked_from_standard_input(history, packed):
    raw = history(good=2, bad=1).read_bytes()
    done = subprocess.run(
        command("check", "-"),
        input=gzip.compress(raw) if packed else raw,
        capture_output=True,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.startswith(b"<stdin>:1:1: is not JSON")
    assert done.stderr == b"1 problem in 1 file, 2 rooms with 0 participants\n"
