"""Which rooms and participants stand on a page, and where the pages before and after it begin."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from alertd.simulator.calls import LONGEST_ROOM, Call, Session
from alertd.simulator.queries import Cursor, Filters, Page
from alertd.simulator.summaries import KEPT, is_over, listed
from alertd.simulator.traffic import Traffic

_DAY = 86_400

RoomsPage = tuple[list[Call], Cursor | None, Cursor | None]
SessionsPage = tuple[list[Session], Cursor | None, Cursor | None]


def find_call(traffic: Traffic, room_sid: str, now: float) -> Call | None:
    """The call of this room, if the API knows the room at `now`."""
    call = traffic.find(room_sid, int(now) - KEPT - LONGEST_ROOM, int(now) + 1)
    return call if call is not None and listed(call, now) else None


def rooms_page(traffic: Traffic, filters: Filters, page: Page, now: float) -> RoomsPage:
    """The calls on the page, the latest first, and the cursors of the pages before and after (None: no such)."""
    cursor = page.cursor
    if cursor is not None and cursor.backwards:
        calls = list(islice(_newer(traffic, filters, cursor.position, now), page.size))[::-1]
        more = bool(calls)
    else:
        calls = list(islice(_older(traffic, filters, cursor.position if cursor else None, now), page.size + 1))
        more, calls = len(calls) > page.size, calls[: page.size]
    earlier = Cursor(_position(calls[0]), True, filters) if calls and page.number else None
    return calls, earlier, Cursor(_position(calls[-1]), False, filters) if more else None


def sessions_page(sessions: list[Session], page: Page, now: float) -> SessionsPage:
    """The participants on the page that the API shows at `now`, in order of joining, with the cursors as above."""
    shown = [n for n, session in enumerate(sessions) if session.shown_at <= now]
    at = page.cursor.position[0] if page.cursor else -1
    if page.cursor is not None and page.cursor.backwards:
        chosen = [n for n in shown if n < at][-page.size :]
    else:
        chosen = [n for n in shown if n > at][: page.size]
    earlier = Cursor((chosen[0], 0), backwards=True) if chosen and page.number else None
    later = Cursor((chosen[-1], 0)) if chosen and chosen[-1] < shown[-1] else None
    return [sessions[n] for n in chosen], earlier, later


def _older(traffic: Traffic, filters: Filters, position: tuple[int, int] | None, now: float) -> Iterator[Call]:
    since, before = _bounds(filters, now)
    last = before if position is None else min(before, position[0] + 1)
    for call in traffic.newest_first(since, last):
        if (position is None or _position(call) < position) and _belongs(filters, call, now):
            yield call


def _newer(traffic: Traffic, filters: Filters, position: tuple[int, int], now: float) -> Iterator[Call]:
    since, before = _bounds(filters, now)
    for call in traffic.oldest_first(max(since, position[0]), before):
        if _position(call) > position and _belongs(filters, call, now):
            yield call


def _belongs(filters: Filters, call: Call, now: float) -> bool:
    recent = filters.dated or (is_over(call, now) and call.ended >= now - _DAY)
    return recent and listed(call, now) and filters.accept(call)


def _bounds(filters: Filters, now: float) -> tuple[float, float]:
    """From when to when a room of the listing can have started, whatever the filters say about its age."""
    oldest, latest = now - KEPT - LONGEST_ROOM, now + 1
    since = oldest if filters.dated else now - _DAY - LONGEST_ROOM
    after, before = filters.created_after, filters.created_before
    return (since if after is None else max(oldest, after)), (latest if before is None else min(latest, before))


def _position(call: Call) -> tuple[int, int]:
    return call.created, call.number
