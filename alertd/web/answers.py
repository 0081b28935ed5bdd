"""How Alertmanager's API answers: JSON, times with milliseconds, errors as the JSON strings that amtool can print."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from alertd.engine.durations import parse_duration
from alertd.errors import StoreError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")
UNSET_YEAR = 1
"""amtool sends the first of January of year 1 for a time that is not set (Go's zero time)."""
_BAD_BODY, _MISSING, _BAD_FORMAT = 400, 602, 601
"""Codes of Alertmanager's validator (go-openapi/errors)."""


class BadRequestError(ValueError):
    """What a client asked for cannot be read, or cannot be; the message is the answer."""


class MissingError(ValueError):
    """What a client named is not there."""


class InvalidError(ValueError):
    """What Alertmanager's validator refuses, with its status and code."""

    def __init__(self, message: str, status: int = 422, code: int = _MISSING) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def answering(handler: Handler) -> Handler:
    """The handler with its errors as a client of Alertmanager expects them."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except BadRequestError as error:
            return as_json(str(error), 400)
        except MissingError as error:
            return as_json(str(error), 404) if str(error) else web.Response(status=404)
        except InvalidError as error:
            return as_json({"code": error.code, "message": str(error)}, error.status)
        except StoreError as error:
            return as_json(str(error), 500)

    return answer


def as_json(value: object, status: int = 200) -> web.Response:
    """An answer that is not to be kept."""
    body = msgspec.json.encode(value)
    return web.Response(
        body=body, status=status, content_type="application/json", headers={"Cache-Control": "no-store"}
    )


def time_text(instant: float) -> str:
    """RFC 3339 with milliseconds, in UTC."""
    moment = datetime.fromtimestamp(instant, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def instant_of(moment: datetime | None) -> float | None:
    """Seconds since the epoch; None for a time that is not set."""
    return None if moment is None or moment.year <= UNSET_YEAR else moment.timestamp()


def seconds_of(text: str, most: int, too_long: str) -> int:
    """A duration that a client wrote, in seconds; BadRequestError if it is none, is nothing, or is more than `most`."""
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise BadRequestError(str(error)) from None
    if not 0 < seconds <= most:
        raise BadRequestError(too_long)
    return seconds


async def body_of(request: web.Request, kind: type[T], name: str) -> T:
    """The body as a `kind`; InvalidError, with Alertmanager's words where they are known, if it is none."""
    if request.content_type != "application/json":
        message = f'unsupported media type "{request.content_type}", only [application/json] are allowed'
        raise InvalidError(message, 415, 415)
    raw = await request.read()
    try:
        sent: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidError(f'parsing {name} body from "" failed, because {error}', 400, _BAD_BODY) from None
    try:
        return msgspec.convert(sent, kind)
    except msgspec.ValidationError as error:
        raise InvalidError(_in_its_words(str(error), name), *_status(str(error))) from None


def _status(complaint: str) -> tuple[int, int]:
    return (422, _MISSING) if "missing required field" in complaint else (400, _BAD_BODY)


def _in_its_words(complaint: str, name: str) -> str:
    """`comment in body is required` for what msgspec calls "Object missing required field `comment` - at `$`"."""
    what, _, place = complaint.partition(" - at ")
    path = place.strip("`").removeprefix("$").replace("[", ".").replace("]", "").strip(".")
    if "missing required field" in what:
        return f"{f'{path}.' if path else ''}{what.split('`')[1]} in body is required"
    return f'parsing {name} body from "" failed, because {what}{f" at {path}" if path else ""}'
