"""Whether the database is of this program's version, and how it gets there (alembic, only when needed)."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from alertd.errors import StoreError
from alertd.store.database import Database
from alertd.store.schema import VERSIONS, metadata

VERSION_TABLE = "alembic_version"
STARTING = 0x616C657274640001
"""The advisory lock under which one of several programs that start at once migrates (PostgreSQL; any fixed number)."""


async def bring_up(database: Database) -> tuple[str | None, str]:
    """Migrate the database to this program's version, if it is behind; returns its version before (None: empty), after.

    One transaction does it all: others that start at the same moment wait, and find it done. StoreError if the
    database is of a newer program or belongs to another one.
    """
    before = await version(database)
    if before != VERSIONS[-1]:
        await database.write(_migrate)
    return before, VERSIONS[-1]


async def version(database: Database) -> str | None:
    """The version of the schema, None in an empty database; StoreError if this program cannot work with it."""
    stamp, tables = await database.read(_look)
    if stamp is not None and stamp not in VERSIONS:
        raise StoreError(
            f"{database.name} was written by a newer alertd (schema {stamp}); install that version or a later one"
        )
    if stamp is None and tables & set(metadata.tables):
        raise StoreError(f"{database.name} holds tables of another program; give alertd a database of its own")
    return stamp


async def _look(connection: AsyncConnection) -> tuple[str | None, set[str]]:
    return await connection.run_sync(_stamp), await connection.run_sync(_tables)


def _stamp(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()  # noqa: S608 - a constant
    return found


def _tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


async def _migrate(connection: AsyncConnection) -> None:
    """SQLite's writers are alone anyway; on PostgreSQL first wait for others that migrate."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": STARTING})
    if await connection.run_sync(_stamp) != VERSIONS[-1]:
        await connection.run_sync(_run_alembic)


def _run_alembic(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
