"""How pages of a list fall into disorder: rooms that stand twice, rows that shift meanwhile, links that lead back."""

from __future__ import annotations

import random
from collections.abc import Mapping

from aiohttp import web

from alertd.simulator.calls import Call
from alertd.simulator.drift import malformed
from alertd.simulator.faultkinds import Malformed, RepeatedLink, Shifting, Twice
from alertd.simulator.faults import Faults
from alertd.simulator.listing import RoomsPage, below, rows_above
from alertd.simulator.queries import Filters, Page


def disordered(rooms: RoomsPage, page: Page, filters: Filters, faults: Faults) -> RoomsPage:
    """The page of rooms as it is given, with what is left of it to the pages after it."""
    calls, earlier, later = rooms
    rows, taken = calls, len(calls)
    if len(calls) > 1 and (twice := faults.strikes(Twice)):
        rows, taken = _repeat(calls, twice.rooms, faults.chance, alone=later is None)
    if later is None and taken == len(calls):
        return rows, earlier, None
    above = rows_above(page, len(calls)) + taken
    if shifting := faults.strikes(Shifting):
        lost = faults.chance.randint(0, shifting.lost)
        return rows, earlier, below(calls[taken - 1], filters, above + lost, counted=True)
    return rows, earlier, below(calls[taken - 1], filters, above)


def led_back(request: web.Request, meta: Mapping[str, object], faults: Faults) -> Mapping[str, object]:
    """The `meta` of the page that was requested, whose link to the next page may lead back."""
    link = faults.strikes(RepeatedLink)
    if link is None:
        return meta
    itself = link.to == "itself" or (link.to == "either" and faults.chance.random() < 0.5)
    return {**meta, "next_page_url": str(request.url) if itself else meta["first_page_url"]}


def spoiled(rows: list[bytes], key: str, faults: Faults) -> list[bytes]:
    """The rows of a page of rooms or participants (`key`), of which one may be malformed."""
    fault = faults.strikes(Malformed) if rows else None
    if fault is not None and fault.of in (key, "either"):
        victim = faults.chance.randrange(len(rows))
        rows[victim] = malformed(rows[victim], faults.chance)
    return rows


def _repeat(calls: list[Call], most: int, chance: random.Random, *, alone: bool) -> tuple[list[Call], int]:
    """The rows of a page in which some calls stand twice, here or (unless it is alone) also on the page after it.

    How many of the calls the page is done with comes second.
    """
    extra = chance.randint(1, min(most, len(calls) - 1))
    taken = len(calls) - extra
    if not alone and chance.random() < 0.5:
        return calls, taken
    rows = calls[:taken]
    for call in chance.choices(calls[:taken], k=extra):
        rows.insert(chance.randint(0, len(rows)), call)
    return rows, taken
