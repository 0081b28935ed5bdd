"""The simulator's HTTP side: the four read endpoints of Twilio's Video Log Analyzer API, its errors and its clock."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from functools import lru_cache

import msgspec
from aiohttp import web

from alertd.clock import Clock, FastClock
from alertd.errors import AlertdError
from alertd.simulator.calls import Call
from alertd.simulator.disorder import disordered, led_back, spoiled
from alertd.simulator.faultkinds import Revoked, Status
from alertd.simulator.faults import Faults
from alertd.simulator.listing import find_call, rooms_page, sessions_page
from alertd.simulator.queries import Filters, page_meta, read_filters, read_page
from alertd.simulator.refusals import RefusalError
from alertd.simulator.scenario import Scenario
from alertd.simulator.sids import account_sid
from alertd.simulator.summaries import ROOMS_PATH, participant_summary, room_row
from alertd.simulator.traffic import Traffic
from alertd.simulator.transit import carried, detour

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Analyzer:
    """Answers for all accounts; each API key in `credentials` (key to secret) has an account and traffic of its own."""

    def __init__(
        self,
        scenario: Scenario,
        clock: Clock,
        credentials: Mapping[str, str],
        *,
        seed: int,
        latency: float,
        hyphenated: float,
    ) -> None:
        self._clock = clock
        self._faults = Faults(scenario.faults, clock, seed=seed)
        self._latency = latency
        self._hyphenated = hyphenated
        self._secrets = dict(credentials)
        self._traffic = {
            key: Traffic(scenario, account_sid=account_sid(key), seed=seed, start=self._faults.start)
            for key in credentials
        }
        self._chance = random.Random(seed)
        self._in_flight = 0

    async def clock(self, _request: web.Request) -> web.Response:
        """The simulated time, for clients that follow it: `{"now": seconds since the epoch, "speed": …}`; no login."""
        speed = self._clock.speed if isinstance(self._clock, FastClock) else 1.0
        return web.json_response({"now": self._clock.now(), "speed": speed})

    async def rooms(self, request: web.Request) -> web.Response:
        """A page of room summaries."""
        traffic, page, now = self._account(request), read_page(request.query), self._faults.now()
        filters = page.cursor.filters if page.cursor else read_filters(request.query)
        listed = rooms_page(traffic, filters, page, now)
        calls, earlier, later = disordered(listed, page, filters, self._faults)
        meta = page_meta(_address(request), "rooms", page, filters, earlier, later)
        base = _base(request)
        return self._page(request, meta, [room_row(call, now, base, self._hyphenated) for call in calls])

    async def room(self, request: web.Request) -> web.Response:
        """One room summary."""
        call = self._call(request, self._account(request))
        return _json(room_row(call, self._faults.now(), _base(request), self._hyphenated))

    async def participants(self, request: web.Request) -> web.Response:
        """A page of a room's participant summaries."""
        traffic, page, now = self._account(request), read_page(request.query), self._faults.now()
        call = self._call(request, traffic)
        sessions, earlier, later = sessions_page(traffic.sessions(call), page, now)
        meta = page_meta(_address(request), "participants", page, Filters(), earlier, later)
        base = _base(request)
        rows = [msgspec.json.encode(participant_summary(call, session, now, base)) for session in sessions]
        return self._page(request, meta, rows)

    async def participant(self, request: web.Request) -> web.Response:
        """One participant summary."""
        traffic, now = self._account(request), self._faults.now()
        call = self._call(request, traffic)
        wanted = request.match_info["participant_sid"]
        for session in traffic.sessions(call):
            if session.sid == wanted and session.shown_at <= now:
                return _json(msgspec.json.encode(participant_summary(call, session, now, _base(request))))
        raise _not_found(request)

    @web.middleware
    async def as_twilio(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Waits as long as a real answer takes, turns every failure into Twilio's error body, and adds its headers."""
        if request.path.startswith("/-/"):
            return await handler(request)
        self._in_flight += 1
        try:
            if self._latency:
                await asyncio.sleep(self._latency)
            return await self._respond(request, handler)
        finally:
            self._in_flight -= 1

    async def _respond(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Twilio's answer with its headers, unless faults put something else in its place or spoil it on the way."""
        response: web.StreamResponse | None = await detour(request, self._faults)
        if response is None:
            response = await self._answer(request, handler)
            response.headers["Twilio-Request-Id"] = f"RQ{self._chance.getrandbits(128):032x}"
            response.headers["Twilio-Request-Duration"] = f"{self._latency:.3f}"
            response.headers["Twilio-Concurrent-Requests"] = str(self._in_flight)
        response.headers["Date"] = _http_date(int(self._faults.now()))  # simulated, like all else
        return await carried(request, response, self._faults)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self._account(request)
            self._break_down()
            return await handler(request)
        except RefusalError as error:
            return _refuse(error)
        except web.HTTPNotFound:
            return _refuse(_not_found(request))
        except web.HTTPException as error:
            return _refuse(RefusalError(error.status))

    def _break_down(self) -> None:
        """Refuses the request if the scenario has a fault for it."""
        if self._faults.lasting(Revoked):
            raise _unknown_key()
        if fault := self._faults.strikes(Status):
            raise RefusalError(fault.status, headers=_retry_after(fault, self._faults.now()))

    def _page(self, request: web.Request, meta: Mapping[str, object], rows: list[bytes]) -> web.Response:
        key = str(meta["key"])
        meta = led_back(request, meta, self._faults)
        return _json(_page_text(meta, key, spoiled(rows, key, self._faults)))

    def _account(self, request: web.Request) -> Traffic:
        """The traffic of the API key that the request shows; 401 if key and secret do not belong together."""
        key, secret = _basic(request.headers.get("Authorization", ""))
        expected = self._secrets.get(key)
        if expected is None or not hmac.compare_digest(secret.encode(), expected.encode()):
            raise _unknown_key()
        return self._traffic[key]

    def _call(self, request: web.Request, traffic: Traffic) -> Call:
        call = find_call(traffic, request.match_info["room_sid"], self._faults.now())
        if call is None:
            raise _not_found(request)
        return call


def build_app(
    scenario: Scenario,
    clock: Clock,
    credentials: Mapping[str, str],
    *,
    seed: int = 1,
    latency: float = 0.0,
    hyphenated: float = 0.02,
) -> web.Application:
    """A Video Log Analyzer over the scenario's traffic, whose offsets count from the clock's present time.

    `credentials` are API keys with their secrets, `latency` the real seconds that every answer takes, `hyphenated` the
    share of unfinished rooms that spell their state `in-progress` (Twilio's prose) instead of `in_progress` (its enum).
    """
    analyzer = Analyzer(scenario, clock, credentials, seed=seed, latency=latency, hyphenated=hyphenated)
    app = web.Application(middlewares=[analyzer.as_twilio])
    app.router.add_get("/-/clock", analyzer.clock)
    app.router.add_get(ROOMS_PATH, analyzer.rooms, allow_head=False)
    app.router.add_get(ROOMS_PATH + "/{room_sid}", analyzer.room, allow_head=False)
    app.router.add_get(ROOMS_PATH + "/{room_sid}/Participants", analyzer.participants, allow_head=False)
    app.router.add_get(
        ROOMS_PATH + "/{room_sid}/Participants/{participant_sid}", analyzer.participant, allow_head=False
    )
    return app


@asynccontextmanager
async def serve(app: web.Application, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serves the app while the context lasts and yields its base URL; port 0 takes a free one.

    AlertdError if the address cannot be listened on.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await _listen(runner, host, port)
        yield f"http://{f'[{host}]' if ':' in host else host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise AlertdError(f"the simulator cannot listen on {host}:{port}: {error.strerror or error}") from None


def _basic(header: str) -> tuple[str, str]:
    """Name and password of an HTTP Basic Authorization header; empty ones if it is none."""
    scheme, _, encoded = header.partition(" ")
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return "", ""
    return (name, password) if scheme.lower() == "basic" else ("", "")


def _base(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _address(request: web.Request) -> str:
    return _base(request) + request.path


def _not_found(request: web.Request) -> RefusalError:
    return RefusalError(404, f"The requested resource {request.path} was not found")


def _unknown_key() -> RefusalError:
    return RefusalError(401, headers={"WWW-Authenticate": 'Basic realm="Twilio API"'})


def _retry_after(fault: Status, now: float) -> dict[str, str]:
    if fault.retry_after is None:
        return {}
    dated = fault.retry_after_as == "date"
    return {"Retry-After": _http_date(int(now) + fault.retry_after) if dated else str(fault.retry_after)}


@lru_cache(maxsize=64)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)


def _page_text(meta: Mapping[str, object], key: str, rows: list[bytes]) -> bytes:
    """The page as JSON; rows of about a megabyte are joined once and not copied again."""
    opening, closing = b'{"meta":%b,"%b":[' % (msgspec.json.encode(meta), key.encode()), b"]}"
    if not rows:
        return opening + closing
    rows[0] = opening + rows[0]
    rows[-1] += closing
    return b",".join(rows)


def _json(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def _refuse(error: RefusalError) -> web.Response:
    return _json(error.body(), error.status, error.headers)
