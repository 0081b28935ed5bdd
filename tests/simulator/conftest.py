"""Fixtures of the simulator's tests: a clock set by hand, traffic without a server, and a server to ask."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from alertd.simulator.scenario import Scenario, load_scenario
from alertd.simulator.server import build_app, serve
from alertd.simulator.sids import account_sid
from alertd.simulator.traffic import Traffic

NOON = 1_772_452_800  # Monday, 2026-03-02T12:00:00Z
KEY, SECRET = "SK" + "1" * 32, "open sesame"


class HandClock:
    """A clock that stands until a test moves it."""

    def __init__(self, now: float) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class Served:
    """A running simulator: its clock, its base URL, and a way to ask it."""

    def __init__(self, base: str, clock: HandClock, session: aiohttp.ClientSession) -> None:
        self.base, self.clock, self.session = base, clock, session

    async def ask(self, path: str, login: tuple[str, str] | None = (KEY, SECRET), **params: Any) -> tuple[Any, Any]:
        """(response, decoded body) of a GET; `path` may be a whole URL."""
        url = path if path.startswith("http") else self.base + path
        headers = {"Authorization": aiohttp.encode_basic_auth(*login)} if login else {}
        async with self.session.get(url, params=params or None, headers=headers) as response:
            return response, json.loads(await response.read())

    async def raw(self, path: str, **params: Any) -> tuple[Any, bytes]:
        """(response, body as it came) of a GET; raises what aiohttp raises if the answer is not whole."""
        headers = {"Authorization": aiohttp.encode_basic_auth(KEY, SECRET)}
        async with self.session.get(self.base + path, params=params or None, headers=headers) as response:
            return response, await response.read()

    async def rooms(self, **params: Any) -> list[dict[str, Any]]:
        """Every room of a listing, page after page."""
        return await self._all("/v1/Video/Rooms", "rooms", params)

    async def participants(self, room_sid: str, **params: Any) -> list[dict[str, Any]]:
        """Every participant of a room, page after page."""
        return await self._all(f"/v1/Video/Rooms/{room_sid}/Participants", "participants", params)

    async def _all(self, path: str, key: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        response, body = await self.ask(path, **params)
        rows: list[dict[str, Any]] = []
        while True:
            assert response.status == 200, body
            rows += body[key]
            if body["meta"]["next_page_url"] is None:
                return rows
            response, body = await self.ask(body["meta"]["next_page_url"])


@pytest.fixture
def noon() -> int:
    """The moment at which every simulation here starts: a Monday."""
    return NOON


@pytest.fixture
def account() -> str:
    """The account that simulators here answer for."""
    return account_sid(KEY)


@pytest.fixture
def clock() -> HandClock:
    return HandClock(NOON)


@pytest.fixture
def traffic() -> Callable[..., Traffic]:
    """Makes traffic that starts at noon, from a shipped scenario's name or a scenario."""

    def make(
        scenario: str | Scenario = "clean",
        *,
        seed: int = 1,
        rooms_per_day: float | None = None,
        account: str = "AC" + "0" * 32,
    ) -> Traffic:
        chosen = load_scenario(scenario) if isinstance(scenario, str) else scenario
        if rooms_per_day is not None:
            chosen = chosen.model_copy(update={"rooms_per_day": rooms_per_day})
        return Traffic(chosen, account_sid=account, seed=seed, start=NOON)

    return make


@pytest.fixture
def weather() -> Callable[..., Scenario]:
    """Makes a scenario of faults, each given by its keys; those that do not say when last all day."""

    def make(*faults: dict[str, Any]) -> Scenario:
        tables = [{"at": "0s", "for": "1d"} | fault for fault in faults]
        return Scenario.model_validate({"name": "weather", "faults": tables})

    return make


@pytest.fixture
async def simulator(clock: HandClock) -> AsyncIterator[Callable[..., Any]]:
    """Starts simulators on loopback: `server = await simulator("clean", …)`."""
    async with AsyncExitStack() as stack:

        async def start(scenario: str | Scenario = "clean", *, rooms_per_day: float = 1000, **options: Any) -> Served:
            chosen = load_scenario(scenario) if isinstance(scenario, str) else scenario
            chosen = chosen.model_copy(update={"rooms_per_day": rooms_per_day})
            credentials = options.pop("credentials", {KEY: SECRET})
            base = await stack.enter_async_context(serve(build_app(chosen, clock, credentials, **options)))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return Served(base, clock, session)

        yield start
