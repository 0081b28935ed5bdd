"""Who may ask what: reading is open on this machine, changes need the login once there is one."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from alertd.config.forms import is_loopback
from alertd.logins import Logins

log = structlog.get_logger()

USER = web.RequestKey("user", str)
"""Where a handler finds who asks; empty for somebody who did not log in."""
OPEN = ("/-/healthy", "/-/ready")
"""What probes ask from anywhere: it says nothing about anybody."""
FIRST_DELAY, LONGEST_DELAY = 0.25, 8.0
"""Seconds that a refused login waits for its answer: twice as long each time, for each address."""
FORGIVEN_AFTER = 900.0
MOST_ADDRESSES = 10_000
Wait = Callable[[float], Awaitable[None]]


class Refused(NamedTuple):
    """An answer other than the one asked for."""

    status: int
    why: str


@dataclass(slots=True)
class _Attempts:
    """The failed logins from one address; they are judged one after the other."""

    failed: int = 0
    last: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Gate:
    """Lets requests through or answers them itself; `wait` lets so many seconds pass before a refused login."""

    def __init__(self, logins: Logins, *, allow_anonymous: bool = False, wait: Wait = asyncio.sleep) -> None:
        self._logins = logins
        self._allow_anonymous = allow_anonymous
        self._wait = wait
        self._attempts: OrderedDict[str, _Attempts] = OrderedDict()

    @property
    def middleware(self) -> Middleware:
        """For web.Application."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            request[USER] = ""
            refused = await self._judge(request)
            return await handler(request) if refused is None else _answer(request, refused)

        return guard

    async def _judge(self, request: web.Request) -> Refused | None:
        changes = request.method not in ("GET", "HEAD", "OPTIONS")
        if changes and (why := sent_from_elsewhere(request)):
            return self._told(request, Refused(403, why))
        sent = request.headers.get("Authorization", "")
        if sent and self._logins:
            return await self._log_in(request, sent)
        local = is_local(request)
        if not changes and (local or self._allow_anonymous or not self._logins or request.path in OPEN):
            return None
        if self._logins:
            return Refused(401, "log in: this needs a user or a token of [http.auth]")
        return None if local else self._told(request, Refused(403, "changes are taken from this machine only"))

    async def _log_in(self, request: web.Request, sent: str) -> Refused | None:
        address = _address(request)
        attempts = self._attempts_from(address)
        async with attempts.turn:  # one guess at a time: many at once would each wait only as long as one
            user = await asyncio.to_thread(self._logins.who, sent)
            if user is not None:
                self._attempts.pop(address, None)
                request[USER] = user
                return None
            if time.monotonic() - attempts.last > FORGIVEN_AFTER:
                attempts.failed = 0
            attempts.failed, attempts.last = attempts.failed + 1, time.monotonic()
            refused = self._told(request, Refused(401, "nobody has this name and password, or this token"))
            await self._wait(min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(attempts.failed - 1, 10)))
        return refused

    def _attempts_from(self, address: str) -> _Attempts:
        found = self._attempts.setdefault(address, _Attempts())
        self._attempts.move_to_end(address)
        if len(self._attempts) > MOST_ADDRESSES:
            self._attempts.popitem(last=False)
        return found

    def _told(self, request: web.Request, refused: Refused) -> Refused:
        path = request.path[:200]
        log.warning("request_refused", method=request.method, path=path, address=_address(request), why=refused.why)
        return refused


def signed(said: str, user: str) -> str:
    """The name under a change: who logged in cannot sign as somebody else."""
    if not user or said == user:
        return said
    return f"{said} (logged in as {user})" if said else user


def is_local(request: web.Request) -> bool:
    """Whether the request comes from this machine, to an address that only this machine has.

    A stranger's name may be made to lead here (DNS rebinding), so the Host counts too.
    """
    return is_loopback(_address(request).removeprefix("::ffff:")) and is_loopback(_host(request.host))


def sent_from_elsewhere(request: web.Request) -> str:
    """Why a change may not be what who sits at the browser wants, or an empty text.

    A browser sends whatever a page asks it to, with the login it remembers, so it must say that the page belongs to
    whom it asks: Sec-Fetch-Site (W3C Fetch Metadata; only https and this machine's pages have it) or Origin (RFC 6454).
    Programs send neither. Those that show alerts and pass on what their own page asks for, as Karma does, pass on its
    Origin, too: it counts less than Sec-Fetch-Site, and of a proxy not at all where no page of another site could have
    asked for it without being granted that before (CORS-preflight of the Fetch standard), which nobody is here.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is None and origin is not None:
        passed_on = "X-Forwarded-For" in request.headers and not _any_page_may_send(request)
        site = "same-origin" if passed_on or origin.partition("://")[2] == request.host else "cross-site"
    return "" if site in (None, "none", "same-origin") else "changes are not taken from pages of other sites"


def _any_page_may_send(request: web.Request) -> bool:
    """Whether a page may have this sent to another site unasked: the Fetch standard's CORS-safelisted requests."""
    return request.method == "POST" and request.content_type != "application/json"


def _address(request: web.Request) -> str:
    peer = request.transport and request.transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""


def _host(authority: str) -> str:
    """The host of `host:port`; nothing where it is neither."""
    try:
        return urlsplit(f"//{authority}").hostname or "?"
    except ValueError:
        return "?"


def _answer(request: web.Request, refused: Refused) -> web.Response:
    """JSON strings for Alertmanager's clients, which can print nothing else; plain text for all others."""
    headers = {"WWW-Authenticate": 'Basic realm="alertd", charset="UTF-8"'} if refused.status == 401 else {}
    if request.path.startswith("/api/"):
        return web.json_response(refused.why, status=refused.status, headers=headers)
    return web.Response(text=f"{refused.why}\n", status=refused.status, headers=headers)
