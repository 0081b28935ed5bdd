"""Which requests may change something: while there are no logins, those of programs on this machine alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from alertd.config.forms import is_loopback

log = structlog.get_logger()

Reload = Callable[[], Awaitable[Sequence[str]]]
"""Reads the configuration again; returns the problems that kept everything as it was, else nothing."""


def refusal(request: web.Request) -> str:
    """Why the request may change nothing, or an empty text.

    A browser on this machine sends whatever a page from elsewhere asks it to, so it must say that the page is alertd's
    own: Sec-Fetch-Site (W3C Fetch Metadata) and Origin (RFC 6454), and a Host that only this machine has, since a
    stranger's name may be made to lead here (DNS rebinding).
    """
    peer = request.transport and request.transport.get_extra_info("peername")
    if not peer or not is_loopback(str(peer[0]).removeprefix("::ffff:")):
        return "changes are taken from this machine only"
    if not is_loopback(_host(request.host)):
        return "call alertd by the address it listens on, such as 127.0.0.1"
    origin = request.headers.get("Origin")
    from_elsewhere = request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
    if from_elsewhere or (origin is not None and origin.partition("://")[2] != request.host):
        return "changes are not taken from pages of other sites"
    return ""


def _host(authority: str) -> str:
    """The host of `host:port`; nothing where it is neither."""
    try:
        return urlsplit(f"//{authority}").hostname or "?"
    except ValueError:
        return "?"


def reload_route(reload: Reload) -> web.RouteDef:
    """`POST /-/reload`: 200 once the files are taken up, 500 with every problem, 403 for whoever may not ask."""

    async def answer(request: web.Request) -> web.Response:
        if why := refusal(request):
            log.warning("change_refused", path=request.path, why=why)
            return web.Response(text=f"{why}\n", status=403)
        problems = await reload()
        if problems:
            told = "\n".join(["not reloaded, everything goes on as it was:", *problems])
            return web.Response(text=f"{told}\n", status=500)
        return web.Response(text="reloaded\n")

    return web.post("/-/reload", answer)
