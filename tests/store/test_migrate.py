"""The schema: brought up to date by whoever starts, once, completely, and never on somebody else's database."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

import alertd.store
from alertd.engine.coverage import Seen
from alertd.errors import StoreError
from alertd.store import open_store, upgrade
from alertd.store.database import connect
from alertd.store.schema import VERSIONS, metadata


async def execute(url: str, *statements: str) -> None:
    async def run(connection: AsyncConnection) -> None:
        for statement in statements:
            await connection.execute(text(statement))

    database = connect(url)
    await database.write(run)
    await database.close()


async def at_version(url: str, revision: str) -> None:
    """Make the schema as it was in an older version."""

    def upgrade_to(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(alertd.store.__file__).parent / "migrations"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    database = connect(url)
    await database.write(in_sync, upgrade_to)
    await database.close()


async def in_sync(connection: AsyncConnection, function: Callable[[Connection], Any]) -> Any:
    return await connection.run_sync(function)


def described(connection: Connection) -> dict[str, Any]:
    """Tables, columns, keys and indexes as the database itself tells them."""
    if connection.dialect.name == "postgresql":
        indexes = connection.execute(
            text("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'")
        ).scalars()
    else:
        indexes = connection.execute(text("SELECT sql FROM sqlite_master WHERE type = 'index'")).scalars()
    looked = inspect(connection)
    tables = [name for name in looked.get_table_names() if name != "alembic_version"]
    return {"indexes": sorted(filter(None, indexes))} | {
        name: {
            "columns": [(one["name"], str(one["type"]), one["nullable"]) for one in looked.get_columns(name)],
            "key": looked.get_pk_constraint(name),
            "foreign": looked.get_foreign_keys(name),
            "unique": looked.get_unique_constraints(name),
        }
        for name in tables
    }


async def test_the_migrations_end_in_the_very_tables_that_the_program_uses(fresh_url, empty_url):
    migrated, made = connect(fresh_url()), connect(empty_url)
    await made.write(in_sync, metadata.create_all)
    one, other = await migrated.read(in_sync, described), await made.read(in_sync, described)
    await migrated.close()
    await made.close()
    assert one == other


async def test_alembic_finds_nothing_left_to_migrate(fresh_url):
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return compare_metadata(context, metadata)

    database = connect(fresh_url())
    found = await database.read(in_sync, differences)
    await database.close()
    assert found == []


def test_the_program_knows_every_migration_that_ships():
    config = Config()
    config.set_main_option("script_location", str(Path(alertd.store.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    shipped = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(shipped)) == VERSIONS


async def test_upgrading_says_from_where_to_where(empty_url):
    assert await upgrade(empty_url) == (None, VERSIONS[-1])
    assert await upgrade(empty_url) == (VERSIONS[-1], VERSIONS[-1])


async def test_what_an_older_alertd_saw_counts_as_listed_and_its_open_rooms_stay(empty_url, kind, sid):
    packed = f"x'{sid(1)[2:]}'" if kind == "sqlite" else f"'\\x{sid(1)[2:]}'"
    await at_version(empty_url, "0001")
    await execute(
        empty_url,
        "INSERT INTO accounts (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'never seen')",
        "INSERT INTO sights (account_id, seen_from, seen_until) VALUES (1, 100, 200), (1, 1000000, 2000000), (2, 7, 9)",
        "INSERT INTO open_rooms (account_id, sid, listed_at, ended, look_again_at, why) "
        f"VALUES (1, {packed}, 5, 6, 7, 'x')",
    )
    assert await upgrade(empty_url) == ("0001", VERSIONS[-1])
    store = await open_store(empty_url, migrate=False)
    assert await store.coverage("a") == (Seen(started_from=1910000, started_until=2000000, seen_at=2000000),)
    assert [part.seen_at for part in await store.coverage("b")] == [9]
    assert await store.coverage("never seen") == ()
    room = (await store.open_rooms("a"))[sid(1)]
    assert (room.listed_at, room.ended, room.look_again_at, room.why, room.started) == (5, 6, 7, "x", None)
    await store.close()


async def test_many_that_start_at_once_on_an_empty_database_all_come_up(empty_url):
    stores = await asyncio.gather(*(open_store(empty_url) for _ in range(6)))
    keys = {await store.pseudonym_key() for store in stores}
    assert len(keys) == 1
    assert all(store.is_ready() for store in stores)
    for store in stores:
        await store.close()


def test_processes_that_start_at_once_all_come_up(empty_url):
    program = (
        "import asyncio, sys; from alertd.store import open_store\n"
        "async def main():\n"
        "    store = await open_store(sys.argv[1])\n"
        "    print((await store.pseudonym_key()).hex())\n"
        "    await store.close()\n"
        "asyncio.run(main())"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, empty_url], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=60) for process in started]
    assert [error.decode() for _, error in answers] == [""] * 3
    assert len({output for output, _ in answers}) == 1


async def test_a_database_of_a_newer_program_is_left_alone(empty_url):
    await upgrade(empty_url)
    await execute(empty_url, "UPDATE alembic_version SET version_num = '9999'")
    for attempt in (open_store(empty_url), open_store(empty_url, migrate=False), upgrade(empty_url)):
        with pytest.raises(StoreError, match=r"newer alertd \(schema 9999\); install"):
            await attempt


async def test_a_database_of_another_program_is_left_alone(empty_url):
    await execute(empty_url, "CREATE TABLE rooms (beds INTEGER)")
    with pytest.raises(StoreError, match="tables of another program"):
        await open_store(empty_url)
    database = connect(empty_url)
    tables = await database.read(in_sync, lambda connection: inspect(connection).get_table_names())
    await database.close()
    assert tables == ["rooms"]


async def test_who_may_not_migrate_is_told_how_to(empty_url):
    with pytest.raises(StoreError, match="alertd db upgrade"):
        await open_store(empty_url, migrate=False)
    await upgrade(empty_url)
    store = await open_store(empty_url, migrate=False)
    await store.ping()
    await store.close()


def test_alembic_is_not_even_loaded_when_there_is_nothing_to_migrate(sqlite_template):
    program = (
        "import asyncio, sys; from alertd.store import open_store\n"
        "async def main():\n"
        "    await (await open_store(sys.argv[1])).close()\n"
        "asyncio.run(main()); print('alembic' in sys.modules)"
    )
    url = f"sqlite:///{sqlite_template}"
    done = subprocess.run([sys.executable, "-c", program, url], capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().strip() == "False"
