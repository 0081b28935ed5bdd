"""What a body says: rooms and participants out of Twilio's JSON, saving what can be saved of a malformed record."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar, get_args

import msgspec

from alertd.engine.records import Participant, Room

Record = TypeVar("Record", bound=msgspec.Struct)


class UnreadableError(ValueError):
    """The body is not the JSON that was expected; the message quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Record]):
    """One page of a listing: its good records, the link to the next page (None on the last one), and what was wrong.

    `faults` holds one path, like `rooms[].end_time`, for each value that had to be left out, and `rooms[].room_sid`
    for each record dropped because it has no valid SID.
    """

    records: list[Record]
    next_link: str | None
    faults: list[str]


class _Meta(msgspec.Struct):
    next_page_url: str | None = None


class Form(Generic[Record]):
    """How one kind of record travels: `key` names the list on a page, `sid` its identifying field.

    A body is first decoded as a whole, which is fast and nearly always works. Otherwise it is read again by the
    standard library, which forgives lone surrogates, NaN and broken UTF-8, and each record is converted by itself.
    """

    def __init__(self, record: type[Record], key: str, sid: str, prefix: str) -> None:
        self.key = key
        self._record = record
        self._sid = sid
        self._pattern = re.compile(prefix + "[0-9a-f]{32}")
        self._fields = msgspec.structs.fields(record)
        # `meta` and the list must be there (a page without them must not pass for the last one); the list may be null.
        fields = [("meta", _Meta), ("records", list[record] | None)]  # type: ignore[valid-type]  # a type made here
        page = msgspec.defstruct("Page", fields, rename={"records": key})
        self._page_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(page)
        self._record_decoder = msgspec.json.Decoder(record)

    def valid(self, sid: object) -> bool:
        """Whether this is a SID of this kind; nothing else may enter a path or the store."""
        return isinstance(sid, str) and self._pattern.fullmatch(sid) is not None

    def page(self, body: bytes) -> Page[Record]:
        """The page in a body; raises UnreadableError."""
        try:
            page = self._page_decoder.decode(body)
        except (ValueError, RecursionError):
            return self._loose_page(body)
        return self._checked(page.records or [], page.meta.next_page_url, [])

    def one(self, body: bytes) -> Page[Record]:
        """The single record in a body, as a page of one; raises UnreadableError, also if it has no valid SID."""
        faults: list[str] = []
        record: Record | None
        try:
            record = self._record_decoder.decode(body)
        except (ValueError, RecursionError):
            record = self._converted(_loose(body), faults)
        page = self._checked([record] if record else [], None, faults)
        if not page.records:
            raise UnreadableError(f"the answer holds no valid {self._sid}")
        return page

    def _loose_page(self, body: bytes) -> Page[Record]:
        try:
            page = msgspec.convert(_loose(body), dict[str, object])
            meta = msgspec.convert(page["meta"], _Meta)
            items = msgspec.convert(page[self.key], list[object] | None)
        except (KeyError, msgspec.ValidationError):
            raise UnreadableError(f"the answer is JSON but not a page of {self.key}") from None
        faults: list[str] = []
        converted = (self._converted(item, faults) for item in items or [])
        return self._checked([record for record in converted if record], meta.next_page_url, faults)

    def _checked(self, records: list[Record], next_link: str | None, faults: list[str]) -> Page[Record]:
        fullmatch, sid = self._pattern.fullmatch, self._sid
        good = [record for record in records if fullmatch(getattr(record, sid))]
        faults += [f"{self.key}[].{sid}"] * (len(records) - len(good))
        return Page(good, next_link or None, faults)

    def _converted(self, item: object, faults: list[str]) -> Record | None:
        """The record in a parsed object without the values that do not fit; None if it has no SID at all."""
        if not isinstance(item, dict) or not isinstance(item.get(self._sid), str):
            faults.append(f"{self.key}[].{self._sid}")
            return None
        kept: dict[str, Any] = {}
        for field in self._fields:
            try:
                kept[field.name] = _value(item.get(field.name), field.type)
            except msgspec.ValidationError:
                faults.append(f"{self.key}[].{field.name}")
        return self._record(**kept)


ROOMS = Form(Room, "rooms", "room_sid", "RM")
PARTICIPANTS = Form(Participant, "participants", "participant_sid", "PA")


def _value(value: object, wanted: type) -> object:
    # Numbers that come as text are taken, but a bare number as a time says neither its unit nor its zone.
    return msgspec.convert(value, wanted, strict=datetime in get_args(wanted))


def _loose(body: bytes) -> object:
    try:
        return _storable(json.loads(body.decode("utf-8", "replace")))
    except (ValueError, RecursionError):
        raise UnreadableError("the answer is not JSON, or was cut short") from None


def _storable(value: object) -> object:
    """The same value without what UTF-8 and JSON cannot carry: lone surrogates, infinities, NaN."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
