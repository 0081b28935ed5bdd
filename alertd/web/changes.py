"""Taking up changed files on request; who may ask is the gate's matter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

Reload = Callable[[], Awaitable[Sequence[str]]]
"""Reads the configuration again; returns the problems that kept everything as it was, else nothing."""


def reload_route(reload: Reload) -> web.RouteDef:
    """`POST /-/reload`: 200 once the files are taken up, 500 with every problem."""

    async def answer(_request: web.Request) -> web.Response:
        problems = await reload()
        if problems:
            told = "\n".join(["not reloaded, everything goes on as it was:", *problems])
            return web.Response(text=f"{told}\n", status=500)
        return web.Response(text="reloaded\n")

    return web.post("/-/reload", answer)
