"""Which connections may do what: one writer with a lock taken at BEGIN (SQLite), readers that cannot write."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

import aiosqlite
from sqlalchemy import Connection, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from alertd.errors import StoreError
from alertd.store.failures import explained

P = ParamSpec("P")
T = TypeVar("T")
Work: TypeAlias = Callable[Concatenate[AsyncConnection, P], Awaitable[T]]
WAIT_FOR_LOCK = 5.0
"""Seconds to wait for another program's lock on an SQLite file; `?timeout=` in the URL says otherwise."""


class Database:
    """The connections to one database, and its name for messages (without the password).

    Work is a coroutine function that takes a connection first. Once begun it is carried out, whatever happens to the
    caller: a driver cancelled halfway leaves its connection in doubt.
    """

    def __init__(self, name: str, writer: AsyncEngine, reader: AsyncEngine) -> None:
        self.name = name
        self._writer = writer
        self._reader = reader
        self._begun: set[asyncio.Task[Any]] = set()

    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns; what it did is committed, or undone if it raises. StoreError if the database fails."""
        return await self._carry_out(self._writer, lambda connection: work(connection, *args, **kwargs))

    async def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns; it sees one moment of the database throughout, and cannot write. StoreError as above."""
        return await self._carry_out(self._reader, lambda connection: work(connection, *args, **kwargs))

    async def _carry_out(self, engine: AsyncEngine, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        task = asyncio.create_task(self._transact(engine, work))
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        return await asyncio.shield(task)

    async def _transact(self, engine: AsyncEngine, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        with explained(self.name):
            async with engine.begin() as connection:
                return await work(connection)

    async def close(self) -> None:
        """Carry out what has begun, then close all connections."""
        await asyncio.gather(*self._begun, return_exceptions=True)
        await self._reader.dispose()
        await self._writer.dispose()


def connect(url: str) -> Database:
    """The database that `url` means, not yet spoken to; an SQLite file is made if it is missing (mode 0600)."""
    parsed = parse(url)
    return _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgres(parsed)


def parse(url: str) -> URL:
    """The parts of `sqlite:///PATH` or `postgresql://…`; StoreError for any other."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = URL.create("unreadable")
    if parsed.drivername == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        return parsed
    if parsed.drivername in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql")
    raise StoreError("cannot use the [store] url; write sqlite:///PATH or postgresql://USER@HOST/DATABASE")


def sqlite_path(url: URL) -> Path:
    """The file that an SQLite URL names."""
    return Path(url.database or "")


def _sqlite(url: URL) -> Database:
    path = sqlite_path(url)
    _make_private(path)
    timeout = _timeout(url)
    # Each connection fills a cache of its own (in KiB): the writer's pays, since new rooms fall anywhere in the
    # indexes; readers look at the newest rows, which the operating system holds anyway.
    writing = ("foreign_keys = ON", "cache_size = -8000")
    reading = ("query_only = ON", "cache_size = -2000")
    writer = _sqlite_engine(path, timeout, "BEGIN IMMEDIATE", pool_size=1, pragmas=writing)
    reader = _sqlite_engine(path, timeout, "BEGIN", pool_size=4, pragmas=reading)
    return Database(f"the database {path}", writer, reader)


def _timeout(url: URL) -> float:
    try:
        return float(str(url.query.get("timeout", WAIT_FOR_LOCK)))
    except ValueError:
        raise StoreError("cannot use the [store] url: its timeout is a number of seconds, such as ?timeout=5") from None


def _make_private(path: Path) -> None:
    """Make the file, unless it is there, so that no other user can read it: rooms and participants are personal."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except FileNotFoundError:
        raise StoreError(f"the folder {path.parent} of the database {path.name} does not exist; create it") from None
    except OSError as error:
        raise StoreError(
            f"the database {path} cannot be written ({error.strerror}); let this user write the file and its folder"
        ) from None


def _sqlite_engine(path: Path, timeout: float, begin: str, pool_size: int, pragmas: tuple[str, ...]) -> AsyncEngine:
    """An engine whose transactions open with `begin`: the driver's own BEGIN (isolation_level) would come too late."""
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        connect_args={"isolation_level": None, "timeout": timeout},
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,  # rows are personal: they stay out of errors and logs
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: DBAPIConnection, _: object) -> None:
        connection.run_async(partial(_write_ahead, patience=timeout))
        cursor = connection.cursor()
        # NORMAL: a crash of the program loses nothing; a power cut may undo the newest transactions, each as a whole,
        # and what they held is polled and decided again.
        for pragma in (*pragmas, "synchronous = NORMAL", "journal_size_limit = 67108864"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


async def _write_ahead(connection: aiosqlite.Connection, patience: float) -> None:
    """Put the file into WAL mode, where it stays. Unlike elsewhere SQLite does not wait here while others have it."""
    given_up = asyncio.get_running_loop().time() + patience
    while True:
        try:
            await connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or asyncio.get_running_loop().time() > given_up:
                raise
        await asyncio.sleep(0.02)


def _postgres(url: URL) -> Database:
    try:
        import asyncpg  # type: ignore[import-untyped]  # ships no types
    except ImportError:
        raise StoreError("PostgreSQL needs the driver asyncpg; install it: pip install 'alertd[postgres]'") from None

    dsn = url.render_as_string(hide_password=False)

    async def creator() -> object:
        return await asyncpg.connect(
            dsn, timeout=10, command_timeout=60, server_settings={"application_name": "alertd"}
        )

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=creator,
        pool_pre_ping=True,  # a server may have restarted since
        pool_size=5,
        max_overflow=5,
        hide_parameters=True,
    )
    reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return Database(f"the database {url.set(password=None, query={}).render_as_string()}", engine, reader)
