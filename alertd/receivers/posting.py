"""Which HTTP answers mean delivered, which mean try again, and which mean never: one POST and its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from alertd.errors import DeliveryError
from alertd.receivers.wording import line

if TYPE_CHECKING:
    import aiohttp

ANSWER_LIMIT = 1024
"""Bytes of an answer's body that are read."""
LONGEST_WAIT = 86400.0
"""Seconds; another side that asks for more is not believed."""
_RETRIED = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


async def post(
    session: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str], *, within: int, now: float
) -> str:
    """POST `body` and return the answer in one line (`200 ok`); at most `within` seconds, redirects not followed.

    Raises DeliveryError: to be tried again for 408, 425, 429, 5xx, time-outs and broken connections, permanent for
    every other answer. The URL may be a secret, so errors name its host only.
    """
    import aiohttp

    host = urlsplit(url).hostname or "the receiver"
    limit = aiohttp.ClientTimeout(total=within)
    plain = {"Accept-Encoding": "identity"}  # nothing to unpack in an answer of which one line is kept
    try:
        async with session.post(
            url, data=body, headers={**plain, **headers}, timeout=limit, allow_redirects=False
        ) as response:
            said = await _said(response)
    except TimeoutError:
        raise DeliveryError(f"{host} did not answer within {within} s", permanent=False) from None
    except aiohttp.ClientError as error:
        raise DeliveryError(f"the connection to {host} failed: {_cause(error)}", permanent=False) from None
    _judge(host, response.status, said, retry_after(response.headers.get("Retry-After"), now))
    return f"{response.status} {said}".strip()


def _judge(host: str, status: int, said: str, wait: float | None) -> None:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    retried = status in _RETRIED or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    moved = "; redirects are not followed" if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST else ""
    answer = f"{host} answered {status} {said}".strip()
    raise DeliveryError(f"{answer}{moved}", permanent=not retried, retry_after=wait if retried else None)


async def _said(response: aiohttp.ClientResponse) -> str:
    """The start of the body in one line; the status stands, even where the body then fails to come."""
    from asyncio import IncompleteReadError

    import aiohttp

    raw = b""
    with suppress(TimeoutError, aiohttp.ClientError):
        try:
            raw = await response.content.readexactly(ANSWER_LIMIT)
        except IncompleteReadError as short:
            raw = short.partial
    return line(raw.decode("utf-8", "replace"), 200)


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds to wait as `Retry-After` asks, in seconds or as an HTTP date (RFC 9110, 10.2.3); None if unreadable."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return min(float(header), LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    return min(max(0.0, seconds), LONGEST_WAIT)


def _cause(error: Exception) -> str:
    """What broke, without the URL that the error's own text may hold."""
    system = getattr(error, "os_error", None)
    return line(getattr(system, "strerror", None) or type(error).__name__)
