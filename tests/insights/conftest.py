"""A scripted Video Log Analyzer on loopback, a clock that only notes the waits, and builders of what the API says."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from alertd.insights.client import InsightsClient, open_session

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

KEY, SECRET = "SK" + "1" * 32, "the-secret-of-the-key"


class StoppedClock:
    """A clock that stands still but for the waits asked of it, which it notes and passes at once."""

    def __init__(self, now: float) -> None:
        self.time = now
        self.waits: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


class HighestDraw(random.Random):
    """Dice that always fall on the upper bound, which makes the bound of the jitter visible."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Analyzer:
    """A server that gives the answers it was told to, in order (the last one for ever), and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.at_once = self.most_at_once = 0
        self._answers: deque[Handler] = deque()
        self._server: TestServer | None = None

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._server = TestServer(app, scheme="https" if tls else "http", skip_url_asserts=True)
        await self._server.start_server(access_log=None, **({"ssl": tls} if tls else {}))

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.close()

    @property
    def url(self) -> str:
        return str(self._server.make_url("/")).rstrip("/")

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.asked]

    def will(self, *answers: Handler) -> None:
        self._answers = deque(answers)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            answer = self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
            return await answer(request)
        finally:
            self.at_once -= 1

    @staticmethod
    def json(body: Any, status: int = 200, **headers: str) -> Handler:
        text = body if isinstance(body, str) else json.dumps(body)
        return Analyzer.raw(text.encode(), "application/json", status, **headers)

    @staticmethod
    def raw(body: bytes, content_type: str = "application/json", status: int = 200, **headers: str) -> Handler:
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def answer(request: web.Request) -> web.Response:
            return web.Response(body=body, status=status, content_type=content_type, headers=named)

        return answer

    @staticmethod
    def error(status: int, code: int, message: str, **headers: str) -> Handler:
        more = f"https://www.twilio.com/docs/errors/{code}"
        return Analyzer.json({"code": code, "message": message, "more_info": more, "status": status}, status, **headers)

    @staticmethod
    def rooms(*rooms: Any, then: str | None = None) -> Handler:
        return Analyzer.json({"meta": {"key": "rooms", "next_page_url": then}, "rooms": rooms})

    @staticmethod
    def participants(*participants: Any, then: str | None = None) -> Handler:
        return Analyzer.json({"meta": {"key": "participants", "next_page_url": then}, "participants": participants})


@pytest.fixture
async def analyzer() -> AsyncIterator[Analyzer]:
    server = Analyzer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def other_server() -> AsyncIterator[Analyzer]:
    """A second server, on another port, which no credentials must reach."""
    server = Analyzer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def highest() -> random.Random:
    return HighestDraw()


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp())


@pytest.fixture
async def client_of(clock: StoppedClock) -> AsyncIterator[Callable[..., InsightsClient]]:
    """Builds clients for a base URL; keywords override what InsightsClient is given.

    One made `beside` another shares its session.
    """
    sessions, made = [], []

    def build(
        base_url: str, tls: ssl.SSLContext | None = None, beside: InsightsClient | None = None, **overrides: Any
    ) -> InsightsClient:
        sessions.append(sessions[made.index(beside)] if beside else open_session(tls))
        settings: dict[str, Any] = {
            "account": "production",
            "api_key": KEY,
            "api_key_secret": SECRET,
            "clock": clock,
            "dice": random.Random(1),
            "timeout": 20.0,
        }
        made.append(InsightsClient(sessions[-1], base_url=base_url, **(settings | overrides)))
        return made[-1]

    yield build
    for session in sessions:
        await session.close()


@pytest.fixture
async def client(analyzer: Analyzer, client_of: Callable[..., InsightsClient]) -> InsightsClient:
    return client_of(analyzer.url)


@pytest.fixture
def listed() -> Callable[..., Awaitable[list[Any]]]:
    """Lists all rooms of a client into one list."""

    async def collect(client: InsightsClient, **filters: Any) -> list[Any]:
        filters.setdefault("created_after", datetime(2026, 3, 1, tzinfo=UTC))
        return [room async for page in client.list_rooms(**filters) for room in page]

    return collect


@pytest.fixture
def room() -> Callable[..., dict[str, Any]]:
    """Builds one room summary after another, as the API gives it; keywords override single fields."""
    number = count(1)

    def build(**fields: Any) -> dict[str, Any]:
        sid = f"RM{next(number):032x}"
        url = f"https://insights.twilio.com/v1/Video/Rooms/{sid}"
        summary = {
            "account_sid": "AC" + "a" * 32,
            "room_sid": sid,
            "room_name": "visit 7",
            "create_time": "2026-03-02T11:00:00Z",
            "end_time": "2026-03-02T11:30:00Z",
            "room_type": "group",
            "room_status": "completed",
            "status_callback": "https://example.com/hook",
            "status_callback_method": "POST",
            "created_method": "api",
            "end_reason": "room_ended_via_api",
            "max_participants": 50,
            "max_concurrent_participants": 50,
            "unique_participants": 2,
            "unique_participant_identities": 2,
            "concurrent_participants": 2,
            "codecs": ["VP8", "opus"],
            "media_region": "us1",
            "edge_location": "ashburn",
            "duration_sec": 1800,
            "total_participant_duration_sec": 3500,
            "total_recording_duration_sec": 0,
            "processing_state": "complete",
            "recording_enabled": False,
            "url": url,
            "links": {"participants": f"{url}/Participants"},
        }
        return summary | fields

    return build


@pytest.fixture
def participant() -> Callable[..., dict[str, Any]]:
    """Builds one participant summary after another, as the API gives it; keywords override single fields."""
    number = count(1)

    def build(**fields: Any) -> dict[str, Any]:
        summary = {
            "participant_sid": f"PA{next(number):032x}",
            "participant_identity": "alice",
            "join_time": "2026-03-02T11:00:05Z",
            "leave_time": "2026-03-02T11:29:00Z",
            "duration_sec": 1735,
            "account_sid": "AC" + "a" * 32,
            "room_sid": "RM" + "0" * 31 + "1",
            "status": "completed",
            "codecs": ["VP8"],
            "end_reason": "disconnected_via_api",
            "error_code": 0,
            "error_code_url": None,
            "media_region": "us1",
            "edge_location": "roaming",
            "properties": {"numAudioTracks": 1},
            "publisher_info": {"name": "twilio-video.js", "sdk_version": "2.28.1"},
            "url": "https://insights.twilio.com/v1/Video/Rooms",
        }
        return summary | fields

    return build
