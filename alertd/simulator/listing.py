"""Which rooms and participants stand on a page, and where the pages before and after it begin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import dropwhile, islice

from alertd.simulator.calls import KEPT, LONGEST_ROOM, Call, Session
from alertd.simulator.queries import Cursor, Filters, Page
from alertd.simulator.summaries import is_over, listed
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
        calls = list(islice(_from(traffic, filters, cursor, now), page.size + 1))
        more, calls = len(calls) > page.size, calls[: page.size]
    above = rows_above(page, len(calls))
    earlier = Cursor(_position(calls[0]), True, filters, above) if calls and page.number else None
    return calls, earlier, below(calls[-1], filters, above + len(calls)) if more else None


def rows_above(page: Page, size: int) -> int:
    """How many rows stand above this page of `size` rows, as far as the pages before it tell."""
    if page.cursor is None:
        return 0
    return max(0, page.cursor.above - (size if page.cursor.backwards else 0))


def below(call: Call, filters: Filters, above: int, *, counted: bool = False) -> Cursor:
    """Where the rooms begin that are listed below this call's, which is the last of `above` rows."""
    return Cursor(_position(call), False, filters, above, counted)


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


def _from(traffic: Traffic, filters: Filters, cursor: Cursor | None, now: float) -> Iterator[Call]:
    """The calls from the cursor on, the latest first."""
    since, before = _bounds(filters, now)
    belongs = _belongs(filters, now)
    if cursor is None or cursor.counted:
        return islice(filter(belongs, traffic.newest_first(since, before)), cursor.above if cursor else 0, None)
    position = cursor.position
    calls = traffic.newest_first(since, min(before, position[0] + 1))
    return filter(belongs, dropwhile(lambda call: _position(call) >= position, calls))


def _newer(traffic: Traffic, filters: Filters, position: tuple[int, int], now: float) -> Iterator[Call]:
    since, before = _bounds(filters, now)
    calls = traffic.oldest_first(max(since, position[0]), before)
    return filter(_belongs(filters, now), dropwhile(lambda call: _position(call) <= position, calls))


def _belongs(filters: Filters, now: float) -> Callable[[Call], bool]:
    """What says whether a call is listed; a function of its own for the most frequent case, since it is asked often."""
    if filters.only_dated:
        return lambda call: call.shown_from <= now < call.gone_from

    def belongs(call: Call) -> bool:
        recent = filters.dated or (is_over(call, now) and call.ended >= now - _DAY)
        return recent and listed(call, now) and filters.accept(call)

    return belongs


def _bounds(filters: Filters, now: float) -> tuple[float, float]:
    """From when to when a room of the listing can have started, whatever the filters say about its age."""
    oldest, latest = now - KEPT - LONGEST_ROOM, now + 1
    since = oldest if filters.dated else now - _DAY - LONGEST_ROOM
    after, before = filters.created_after, filters.created_before
    return (since if after is None else max(oldest, after)), (latest if before is None else min(latest, before))


def _position(call: Call) -> tuple[int, int]:
    return call.created, call.number
