"""What a list request asks for: its filters, checked as the API checks them, and the page it wants.

Page tokens hold the filters and a position, so that a page never depends on what has been added since the one before
(unless a fault has it count rows instead).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Protocol
from urllib.parse import urlencode

import msgspec

from alertd.simulator.calls import Call
from alertd.simulator.refusals import RefusalError
from alertd.simulator.summaries import timestamp

ROOM_TYPES = {"go", "peer_to_peer", "group", "group_small"}
CODECS = {"VP8", "H264", "VP9", "opus"}
Moment = Annotated[float, msgspec.Meta(gt=-62_135_700_000, lt=253_402_400_000)]  # the years 1 to 9999


class Params(Protocol):
    """A query string: the first value of a name, and all its values."""

    def get(self, name: str, /) -> str | None:
        """The first value, or None."""

    def getall(self, name: str, default: list[str], /) -> list[str]:
        """All values, or the default."""


class Filters(msgspec.Struct, frozen=True):
    """Which rooms a listing holds; times are seconds since the epoch."""

    room_types: tuple[str, ...] = ()
    codecs: tuple[str, ...] = ()
    room_name: str | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None

    @property
    def dated(self) -> bool:
        """Whether either date is given; without one the API lists only rooms completed in the last 24 hours."""
        return self.created_after is not None or self.created_before is not None

    @property
    def only_dated(self) -> bool:
        """Whether nothing but dates is asked for."""
        return self.dated and not self.room_types and not self.codecs and self.room_name is None

    def accept(self, call: Call) -> bool:
        """Whether the call's room belongs to the listing, dates aside."""
        return (
            (not self.room_types or call.room_type in self.room_types)
            and (not self.codecs or not set(self.codecs).isdisjoint(call.codecs))
            and self.room_name in (None, call.name)
        )

    def pairs(self) -> list[tuple[str, str]]:
        """The filters as query parameters."""
        dates = {"CreatedAfter": self.created_after, "CreatedBefore": self.created_before}
        return (
            [("RoomType", room_type) for room_type in self.room_types]
            + [("Codec", codec) for codec in self.codecs]
            + ([] if self.room_name is None else [("RoomName", self.room_name)])
            + [(name, timestamp(moment)) for name, moment in dates.items() if moment is not None]
        )


class Cursor(msgspec.Struct, frozen=True):
    """Where a page begins: past `position` (creation and number of a room; index of a participant), or before it.

    `above` is how many rooms the pages before it have shown; if it is `counted`, the page begins so many rooms below
    the top, wherever that is by then, instead of at the position.
    """

    position: tuple[int, int]
    backwards: bool = False
    filters: Filters = Filters()
    above: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 0
    counted: bool = False


class Page(msgspec.Struct, frozen=True):
    """The page a request asks for; `cursor` is None on the first."""

    size: int
    number: int
    cursor: Cursor | None


def read_page(query: Params) -> Page:
    """PageSize, Page and PageToken of a request; RefusalError 400 if one of them cannot be."""
    size, number, token = _integer(query, "PageSize", 50), _integer(query, "Page", 0), query.get("PageToken")
    if size > 1000:
        raise RefusalError(400, "Page size must be less than or equal to 1000", code=20007)
    if size < 1 or number < 0:
        raise RefusalError(400, "PageSize must be at least 1 and Page at least 0")
    if number > 0 and not token:
        raise RefusalError(400, "Paged requests must include a PageToken")
    return Page(size, number, _read_token(token) if token else None)


def read_filters(query: Params) -> Filters:
    """The filters of a list of rooms; RefusalError 400 if one of them cannot be."""
    return Filters(
        room_types=_choices(query, "RoomType", ROOM_TYPES),
        codecs=_choices(query, "Codec", CODECS),
        room_name=query.get("RoomName"),
        created_after=_moment(query, "CreatedAfter"),
        created_before=_moment(query, "CreatedBefore"),
    )


def page_meta(
    address: str, key: str, page: Page, filters: Filters, earlier: Cursor | None, later: Cursor | None
) -> Mapping[str, object]:
    """The `meta` of an answer at this address (without query), with the cursors of the pages before and after it."""

    def url(number: int, cursor: Cursor | None) -> str:
        token = [("PageToken", _token(cursor))] if cursor else []
        return f"{address}?{urlencode([*filters.pairs(), ('PageSize', page.size), ('Page', number), *token])}"

    first = url(0, None)
    return {
        "key": key,
        "page": page.number,
        "page_size": page.size,
        "url": url(page.number, page.cursor) if page.cursor else first,
        "first_page_url": first,
        "previous_page_url": url(max(0, page.number - 1), earlier) if earlier else None,
        "next_page_url": url(page.number + 1, later) if later else None,
    }


def _integer(query: Params, name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.removeprefix("-").isdigit() or len(text) > 18:
        raise RefusalError(400, f"{name} must be an integer")
    return int(text)


def _choices(query: Params, name: str, known: set[str]) -> tuple[str, ...]:
    values = tuple(query.getall(name, []))
    if not known.issuperset(values):
        raise RefusalError(400, f"{name} must be one of {', '.join(sorted(known))}")
    return values


def _moment(query: Params, name: str) -> float | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        raise RefusalError(400, f"{name} must be an ISO 8601 date and time") from None


def _token(cursor: Cursor) -> str:
    return "PT" + base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _read_token(text: str) -> Cursor:
    try:
        body = text.removeprefix("PT").encode()
        return msgspec.json.decode(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)), type=Cursor)
    except (msgspec.DecodeError, binascii.Error, UnicodeError):
        raise RefusalError(400, "Invalid PageToken") from None
