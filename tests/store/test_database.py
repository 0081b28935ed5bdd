"""Connections: private files, readers that cannot write, calls that are carried out once begun."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from subprocess import PIPE

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from alertd.errors import StoreError
from alertd.store import open_store
from alertd.store.database import Database, connect


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """The bare connections to the database that `store` has open."""
    opened = connect(url)
    yield opened
    await opened.close()


async def test_nobody_else_may_read_an_sqlite_file_and_what_lies_beside_it(tmp_path, settling):
    old = os.umask(0)
    try:
        store = await open_store(f"sqlite:///{tmp_path}/alertd.db")
        await store.settle([settling(1)], now=1)
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        await store.close()
    finally:
        os.umask(old)
    assert modes == {"alertd.db": 0o600, "alertd.db-wal": 0o600, "alertd.db-shm": 0o600}


OPENS_EACH_FILE_NAMED = """
import asyncio, sys
from sqlalchemy import text
from alertd.store.database import connect

async def begin(connection):
    await connection.execute(text("SELECT 1"))

async def open_each():
    for line in sys.stdin:
        database = connect(line.strip())
        await database.write(begin)
        print("opened", flush=True)
        await database.close()

asyncio.run(open_each())
"""


def test_several_programs_may_open_a_new_sqlite_file_at_one_moment(tmp_path):
    programs = [
        subprocess.Popen([sys.executable, "-c", OPENS_EACH_FILE_NAMED], stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True)
        for _ in range(6)
    ]
    for attempt in range(40):
        for program in programs:
            program.stdin.write(f"sqlite:///{tmp_path}/{attempt}.db\n")
            program.stdin.flush()
        assert [program.stdout.readline() for program in programs] == ["opened\n"] * 6
    assert [program.communicate() for program in programs] == [("", "")] * 6


async def test_a_name_with_signs_in_it_is_a_file_like_any_other(tmp_path):
    store = await open_store(f"sqlite:///{tmp_path}/50%25 & more #1.db")
    await store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["50% & more #1.db"]


async def execute(connection: AsyncConnection, statement: str) -> None:
    await connection.execute(text(statement))


async def test_readers_cannot_write(database):
    with pytest.raises(StoreError, match="read-only"):
        await database.read(execute, "DELETE FROM progress")


async def test_a_reader_sees_one_moment_throughout(database, store):
    async def count_twice(connection: AsyncConnection) -> list[int]:
        count = text("SELECT count(*) FROM sights")
        before = (await connection.execute(count)).scalar_one()
        await store.saw("production", 100, gap=60)
        return [before, (await connection.execute(count)).scalar_one()]

    assert await database.read(count_twice) == [0, 0]
    assert len(await store.sights()) == 1


async def test_an_error_undoes_what_was_written(database, store):
    async def fail_halfway(connection: AsyncConnection) -> None:
        await execute(connection, "UPDATE progress SET evaluated_until = 5")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(fail_halfway)
    assert await store.evaluated_until() is None


async def test_a_call_that_has_begun_is_carried_out_though_its_caller_is_cancelled(url, settling):
    store = await open_store(url)
    for turn in range(20):
        batch = [settling(turn * 100 + number) for number in range(100)]
        task = asyncio.create_task(store.settle(batch, now=1))
        for _ in range(turn * 3):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        counts = await store.counts()
        assert counts["rooms"] % 100 == 0
        assert counts["rooms"] == counts["participants"]
    assert await store.settle([settling(9999)], now=2) == 1
    await store.close()
    again = await open_store(url)
    assert (await again.counts())["rooms"] == 19 * 100 + 1  # the first was cancelled before it began
    await again.close()


async def test_closing_waits_for_what_has_begun(url, settling):
    store = await open_store(url)
    task = asyncio.create_task(store.settle([settling(1)], now=1))
    await asyncio.sleep(0)
    task.cancel()
    await store.close()
    again = await open_store(url)
    assert (await again.counts())["rooms"] == 1
    await again.close()


async def test_a_closed_store_is_not_ready(url):
    store = await open_store(url)
    assert store.is_ready()
    await store.close()
    assert not store.is_ready()
