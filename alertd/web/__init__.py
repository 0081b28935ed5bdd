"""What alertd says over HTTP: whether it is alive and ready, its figures, and its pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from alertd.logins import Logins
from alertd.web.gate import Gate
from alertd.web.metrics import Metrics
from alertd.web.pages import Pages

LARGEST_BODY = 4 * 1024 * 1024
"""Bytes of a request: some thousand alerts."""
Readiness = Callable[[], Awaitable[str]]
"""Why alertd is not ready yet, or an empty text."""
Refresh = Callable[[], Awaitable[None]]
"""Brings figures that are read from the store up to date."""


def build_web(
    metrics: Metrics, readiness: Readiness, refresh: Refresh, pages: Pages | None = None, gate: Gate | None = None
) -> web.Application:
    """The web application, with `pages` for people where there are any; `gate` says who may ask what (default: as
    where nobody can log in)."""

    async def healthy(_request: web.Request) -> web.Response:
        return web.Response(text="OK\n")

    async def ready(_request: web.Request) -> web.Response:
        missing = await readiness()
        return web.Response(text=f"{missing}\n", status=503) if missing else web.Response(text="OK\n")

    async def figures(_request: web.Request) -> web.Response:
        await refresh()
        return web.Response(body=metrics.exposition(), headers={"Content-Type": metrics.content_type})

    guard = (gate or Gate(Logins())).middleware
    app = web.Application(client_max_size=LARGEST_BODY, middlewares=[guard])
    app.router.add_get("/-/healthy", healthy)
    app.router.add_get("/-/ready", ready)
    app.router.add_get("/metrics", figures)
    if pages is not None:
        app.router.add_routes(pages.routes())
    return app
