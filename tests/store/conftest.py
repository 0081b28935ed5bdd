"""A fresh store on SQLite and on a real PostgreSQL, and builders: a test names only what matters to it."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from alertd.engine.alerts import Alert
from alertd.engine.groups import Group, Notification, NotifiedAlert
from alertd.engine.outcome import Event, Outcome
from alertd.engine.records import Participant, Room
from alertd.engine.settle import OpenRoom
from alertd.store import Settling, Store, open_store, upgrade
from alertd.store.schema import metadata

KINDS = ["sqlite", "postgresql"]


def _in_a_thread(function: Callable[..., Awaitable[Any]], *arguments: object) -> Any:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, function(*arguments)).result()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    _in_a_thread(upgrade, f"sqlite:///{path}")
    return path


class Pool:
    """Migrated PostgreSQL databases: made when none is free, emptied after each test, since making one takes long."""

    def __init__(self, server: str, sql: Callable[..., None]) -> None:
        self._server, self._sql = server, sql
        self._made: list[str] = []
        self._free: list[str] = []
        self._used: list[str] = []

    def take(self) -> str:
        """The URL of a migrated, empty database."""
        url = self._free.pop() if self._free else self._make()
        self._used.append(url)
        return url

    def _make(self) -> str:
        name = f"alertd_{uuid.uuid4().hex}"
        self._sql(f"CREATE DATABASE {name}")
        self._made.append(name)
        url = make_url(self._server).set(database=name).render_as_string(hide_password=False)
        _in_a_thread(upgrade, url)
        return url

    def empty(self) -> None:
        """Empty what was taken."""
        for url in self._used:
            _in_a_thread(_empty, url)
        self._free += self._used
        self._used.clear()

    def drop(self) -> None:
        """Drop them all."""
        self._sql(*(f"DROP DATABASE {name} WITH (FORCE)" for name in self._made))


async def _empty(url: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    everything = "; ".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables))
    await connection.execute(everything)
    await connection.execute("INSERT INTO progress (id, closed_until, rooms, participants) VALUES (1, -1, 0, 0)")
    await connection.close()


@pytest.fixture(scope="session")
def postgres_pool(postgres_server: str, postgres_sql: Callable[..., None]) -> Iterator[Pool]:
    """Migrated PostgreSQL databases to borrow."""
    pool = Pool(postgres_server, postgres_sql)
    yield pool
    pool.drop()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which database: every test that asks for one runs on both."""
    return str(request.param)


@pytest.fixture
def empty_url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of a database that nobody has used."""
    return f"sqlite:///{tmp_path}/empty.db" if kind == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def fresh_url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Makes a migrated, empty database and gives its URL."""

    def sqlite() -> str:
        path = tmp_path / f"{uuid.uuid4().hex}.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"

    if kind == "sqlite":
        yield sqlite
    else:
        pool: Pool = request.getfixturevalue("postgres_pool")
        yield pool.take
        pool.empty()


@pytest.fixture
def url(fresh_url: Callable[[], str]) -> str:
    """The URL of the database that `store` has open."""
    return fresh_url()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """An open store with nothing in it."""
    opened = await open_store(url)
    yield opened
    await opened.close()


@pytest.fixture
async def neighbour(url: str, store: Store) -> AsyncIterator[Store]:
    """Another program's view of the same database."""
    opened = await open_store(url)
    yield opened
    await opened.close()


def _sid(number: int) -> str:
    return f"RM{number:032x}"


def _settling(
    number: int = 1, *, people: int = 1, ended: int = 1000, account: str = "production", **room: Any
) -> Settling:
    guests = tuple(Participant(participant_sid=f"PA{number * 100 + place:032x}") for place in range(people))
    summary = Room(**({"room_sid": _sid(number), "processing_state": "complete"} | room))
    return Settling(account=account, room=summary, participants=guests, ended=ended)


def _open_room(number: int = 1, *, account: str = "production", **values: Any) -> OpenRoom:
    told = {"listed_at": 100, "ended": None, "look_again_at": 160, "why": "in progress"} | values
    return OpenRoom(account=account, room_sid=_sid(number), **told)


def _alert(name: str = "1", **values: Any) -> Alert:
    return Alert(**({"fingerprint": f"{name:0>16}", "rule": "Bad", "labels": {"alertname": "Bad"}} | values))


def _group(key: str = "{}:{}", **values: Any) -> Group:
    return Group(**({"key": key, "receiver": "oncall", "route": "0", "labels": {}} | values))


def _notification(number: int = 1, **values: Any) -> Notification:
    fields: dict[str, Any] = {
        "id": f"note-{number}",
        "at": number,
        "group_key": f"group-{number}",
        "receiver": "oncall",
        "integration": "oncall/slack[0]",
        "reason": "first notification",
        "status": "firing",
        "group_labels": {},
        "alerts": (
            NotifiedAlert(
                fingerprint="f" * 16, status="firing", labels={"alertname": "Bad"}, annotations={}, starts_at=number
            ),
        ),
    }
    return Notification(**(fields | values))


def _event(at: int, **values: Any) -> Event:
    told = {
        "event": "firing",
        "fingerprint": "f" * 16,
        "rule": "Bad",
        "labels": {"alertname": "Bad"},
        "reason": "5 of 9",
    }
    return Event(at=at, **(told | values))


@pytest.fixture(scope="session")
def sid() -> Callable[[int], str]:
    """The sid of room number so-and-so."""
    return _sid


@pytest.fixture(scope="session")
def settling() -> Callable[..., Settling]:
    """Makes a room that has become final: number, how many people, `ended`, `account`, fields of its summary."""
    return _settling


@pytest.fixture(scope="session")
def open_room() -> Callable[..., OpenRoom]:
    """Makes a room that is not final."""
    return _open_room


@pytest.fixture(scope="session")
def alert() -> Callable[..., Alert]:
    """Makes an alert: its fingerprint and any other field."""
    return _alert


@pytest.fixture(scope="session")
def group() -> Callable[..., Group]:
    """Makes a group: its key and any other field."""
    return _group


@pytest.fixture(scope="session")
def notification() -> Callable[..., Notification]:
    """Makes notification number so-and-so, of a group of its own unless `group_key` says otherwise."""
    return _notification


@pytest.fixture(scope="session")
def event() -> Callable[..., Event]:
    """Makes an event at an instant."""
    return _event


@pytest.fixture
def enqueue(store: Store) -> Callable[..., Awaitable[None]]:
    """Commits a decision that queues these notifications at an instant."""

    async def commit(at: int, *notifications: Notification) -> None:
        expected = await store.evaluated_until()
        assert await store.commit(Outcome(notifications=notifications), expected=expected, until=at)

    return commit
