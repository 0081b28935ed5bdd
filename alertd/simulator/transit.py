"""What happens to an answer on its way: it never comes, comes from a gateway, is cut short, or drips."""

from __future__ import annotations

import asyncio
import random
import struct
from http import HTTPStatus
from socket import SO_LINGER, SOL_SOCKET

from aiohttp import web

from alertd.simulator.faultkinds import Drip, Html, Reset, Stall, Truncated
from alertd.simulator.faults import Faults

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger of socket(7): on, and wait no second
_DRIPS_A_SECOND = 20


async def detour(request: web.Request, faults: Faults) -> web.Response | None:
    """What comes instead of an answer to this request, None if nothing is in its way.

    After a stall or a reset the connection is closed, so that what is returned goes nowhere.
    """
    if stall := faults.strikes(Stall):
        await asyncio.sleep(stall.seconds)
        if request.transport is not None:
            request.transport.close()
        return web.Response()
    if faults.strikes(Reset):
        _reset(request)
        return web.Response()
    if html := faults.strikes(Html):
        return _gateway_page(html.status)
    return None


async def carried(request: web.Request, answer: web.StreamResponse, faults: Faults) -> web.StreamResponse:
    """The answer as it arrives; its headers must be complete."""
    truncated, drip = faults.strikes(Truncated), faults.strikes(Drip)
    whole = answer.body if isinstance(answer, web.Response) else None
    if not (truncated or drip) or not isinstance(whole, bytes) or not whole:
        return answer
    body, announced = _cut(whole, truncated, faults.chance) if truncated else (whole, len(whole))
    stream = web.StreamResponse(status=answer.status, headers=answer.headers)
    stream.content_length = announced
    await stream.prepare(request)
    await _pour(stream, body, drip.seconds if drip else 0.0)
    if announced > len(body) and request.transport is not None:
        request.transport.close()
    return stream


def _cut(whole: bytes, truncated: Truncated, chance: random.Random) -> tuple[bytes, int]:
    """The beginning of the body that is sent, and the length that is announced."""
    body = whole[: chance.randrange(len(whole))]
    short = truncated.how == "short" or (truncated.how == "either" and chance.random() < 0.5)
    return body, len(whole) if short else len(body)


async def _pour(stream: web.StreamResponse, body: bytes, seconds: float) -> None:
    """Writes the body at once, or evenly over so many real seconds."""
    drops = max(1, min(len(body), int(seconds * _DRIPS_A_SECOND)))
    size = -(-len(body) // drops)
    for start in range(0, len(body), size or 1):
        await asyncio.sleep(seconds / drops)
        await stream.write(body[start : start + size])


def _reset(request: web.Request) -> None:
    transport = request.transport
    if transport is not None:
        transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()


def _gateway_page(status: int) -> web.Response:
    """What proxies say to people: under an error status that it is one, under 200 that something is being repaired."""
    known = {code.value for code in HTTPStatus}
    title = f"{status} {HTTPStatus(status).phrase}" if status in known else f"{status}"
    title = "Down for maintenance" if status == HTTPStatus.OK else title
    page = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n<body><h1>{title}</h1></body></html>\n"
    return web.Response(text=page, status=status, content_type="text/html")
