"""What alertd says over HTTP: whether it is alive and ready, its figures, and its pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from alertd.web.metrics import Metrics
from alertd.web.pages import Pages

Readiness = Callable[[], Awaitable[str]]
"""Why alertd is not ready yet, or an empty text."""
Refresh = Callable[[], Awaitable[None]]
"""Brings figures that are read from the store up to date."""


def build_web(metrics: Metrics, readiness: Readiness, refresh: Refresh, pages: Pages | None = None) -> web.Application:
    """The web application, with `pages` for people where there are any; reading needs no login."""

    async def healthy(_request: web.Request) -> web.Response:
        return web.Response(text="OK\n")

    async def ready(_request: web.Request) -> web.Response:
        missing = await readiness()
        return web.Response(text=f"{missing}\n", status=503) if missing else web.Response(text="OK\n")

    async def figures(_request: web.Request) -> web.Response:
        await refresh()
        return web.Response(body=metrics.exposition(), headers={"Content-Type": metrics.content_type})

    app = web.Application(client_max_size=64 * 1024)
    app.router.add_get("/-/healthy", healthy)
    app.router.add_get("/-/ready", ready)
    app.router.add_get("/metrics", figures)
    if pages is not None:
        app.router.add_routes(pages.routes())
    return app
