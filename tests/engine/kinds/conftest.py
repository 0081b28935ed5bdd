"""Groups made of plain lists of rooms, for a kind and for the slow count that it is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import pytest

from alertd.engine.books import Book, Entry
from alertd.engine.conditions import Condition, parse_condition
from alertd.engine.outcome import Sight
from alertd.engine.windows import Match, Series


class Heard(NamedTuple):
    """A room: the minute of its end, those who match of all, and the values of the rule's field."""

    minute: int
    matched: int
    total: int
    values: tuple[str, ...] = ()
    people: tuple[int, ...] = ()


def count(series: Series, room: Heard, sign: int) -> None:
    """Count a room in all places where the windows of a rule do."""
    series.totals.fold(room.minute, room.total, sign=sign)
    if room.matched:
        series.match(room.minute, Match(room.matched, room.total, frozenset(room.people)), sign)
    if series.book is not None:
        entry = Entry(room.minute, room.minute + 8, room.minute, room.total, room.matched, room.values)
        series.book.fold(entry, sign)


@pytest.fixture(scope="session")
def heard() -> type[Heard]:
    """Makes a room of a plain list."""
    return Heard


@pytest.fixture(scope="session")
def group_of() -> Callable[..., Series]:
    """Makes the group that a kind sees of rooms; those `gone` are counted first and taken out at last."""

    def make(kind: object, rooms: Iterable[Sequence[object]], gone: Iterable[Heard] = ()) -> Series:
        book: Book | None = kind.book() if hasattr(kind, "book") else None
        series = Series(None, book)
        for room in [*gone, *rooms]:
            count(series, Heard(*room), 1)
        for room in gone:
            count(series, room, -1)
        return series

    return make


@pytest.fixture(scope="session")
def lost() -> Condition:
    """The condition of those who lost their media, as `call` makes them."""
    condition = parse_condition({"error_code": 53405}).condition
    assert condition is not None
    return condition


@pytest.fixture(scope="session")
def in_sight() -> Callable[..., Sight]:
    """Makes a stretch in which the account was seen, in minutes from noon of the stories' day."""
    noon = 1_772_452_800
    return lambda begin, end: Sight(
        account="production", seen_from=noon + round(60 * begin), seen_until=noon + round(60 * end)
    )
