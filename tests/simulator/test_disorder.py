"""Pages out of order: links that lead back, rows that shift between two requests, rooms that stand twice, records of
wrong types."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

ROOMS = "/v1/Video/Rooms"
LAST_DAY = {"CreatedAfter": "2026-03-01T12:00:00Z"}


def sids(rooms: list[dict]) -> list[str]:
    return [room["room_sid"] for room in rooms]


async def page_by_page(server, size: int = 100, between: int = 0) -> list[list[str]]:
    """The SIDs on each page of the last day; so many seconds pass before each next page."""
    _, body = await server.ask(ROOMS, **LAST_DAY, PageSize=str(size))
    pages = [sids(body["rooms"])]
    while body["meta"]["next_page_url"]:
        server.clock.time += between
        _, body = await server.ask(body["meta"]["next_page_url"])
        pages.append(sids(body["rooms"]))
    return pages


async def test_a_link_can_lead_back_to_the_page_itself(simulator, weather) -> None:
    server = await simulator(weather({"kind": "repeated_link", "to": "itself"}))
    _, first = await server.ask(ROOMS, **LAST_DAY, PageSize="20")
    assert first["meta"]["next_page_url"] == f"{server.base}{ROOMS}?CreatedAfter=2026-03-01T12:00:00Z&PageSize=20"
    _, again = await server.ask(first["meta"]["next_page_url"])
    assert again == first


async def test_a_link_can_lead_back_to_the_first_page(simulator, weather) -> None:
    server = await simulator(weather({"kind": "repeated_link", "to": "first", "at": "1h"}))
    _, first = await server.ask(ROOMS, **LAST_DAY, PageSize="20")
    server.clock.time += 3600
    _, second = await server.ask(first["meta"]["next_page_url"])
    assert sids(second["rooms"]) != sids(first["rooms"])
    assert second["meta"]["next_page_url"] == first["meta"]["first_page_url"]


async def test_links_of_participants_can_lead_back_as_well(simulator, weather) -> None:
    server = await simulator(weather({"kind": "repeated_link"}))
    _, listing = await server.ask(ROOMS, **LAST_DAY, PageSize="20")
    _, people = await server.ask(listing["rooms"][0]["links"]["participants"])
    assert people["meta"]["next_page_url"] is not None


async def test_rows_that_are_counted_shift_when_rooms_start_meanwhile(simulator, weather) -> None:
    server = await simulator(weather({"kind": "shifting"}), rooms_per_day=5000)
    pages = await page_by_page(server, size=300, between=60)
    seen = [sid for page in pages for sid in page]
    assert any(count == 2 for count in Counter(seen).values()), "what stood last on a page stands first on the next"
    assert [pages[0][-1]] == [sid for sid in pages[1][:20] if sid == pages[0][-1]]


async def test_rows_that_are_counted_stay_where_they_are_when_nothing_happens(simulator, weather) -> None:
    usual = await page_by_page(await simulator(rooms_per_day=1000))
    assert await page_by_page(await simulator(weather({"kind": "shifting"}), rooms_per_day=1000)) == usual


async def test_rows_that_fall_out_above_are_never_seen_by_who_pages_through(simulator, weather) -> None:
    usual = [sid for page in await page_by_page(await simulator()) for sid in page]
    server = await simulator(weather({"kind": "shifting", "lost": 5}))
    seen = [sid for page in await page_by_page(server) for sid in page]
    assert len(set(seen)) == len(seen) < len(usual)
    assert set(seen) < set(usual)
    assert len(usual) - len(seen) <= 5 * (len(usual) // 100 + 1)


async def test_when_the_fault_is_over_a_counted_link_still_works_and_the_next_are_as_usual(simulator, weather) -> None:
    server = await simulator(weather({"kind": "shifting", "for": "1h"}))
    _, first = await server.ask(ROOMS, **LAST_DAY, PageSize="50")
    server.clock.time += 3600
    _, second = await server.ask(first["meta"]["next_page_url"])
    _, third = await server.ask(second["meta"]["next_page_url"])
    assert not set(sids(second["rooms"])) & set(sids(third["rooms"]))
    _, back = await server.ask(third["meta"]["previous_page_url"])
    assert sids(back["rooms"]) == sids(second["rooms"])


async def test_some_rooms_stand_twice_on_a_page_or_on_two_and_none_is_left_out(simulator, weather) -> None:
    usual = [sid for page in await page_by_page(await simulator()) for sid in page]
    pages = await page_by_page(await simulator(weather({"kind": "twice", "rooms": 4})))
    counts = Counter(sid for page in pages for sid in page)
    assert counts.keys() == set(usual)
    assert any(max(Counter(page).values()) > 1 for page in pages), "on one page"
    assert any(set(one) & set(other) for one, other in pairwise(pages)), "on two"
    assert max(len(page) for page in pages) <= 100


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_even_on_the_smallest_pages_one_comes_to_an_end(simulator, weather, size: int) -> None:
    scenario = weather({"kind": "twice", "rooms": 50}, {"kind": "shifting", "share": 0.5})
    server = await simulator(scenario, rooms_per_day=20)
    seen = {sid for page in await page_by_page(server, size) for sid in page}
    assert seen == set(sids(await (await simulator(rooms_per_day=20)).rooms(**LAST_DAY)))


async def test_one_record_of_a_page_has_a_value_of_a_wrong_type(simulator, weather) -> None:
    usual = (await (await simulator()).ask(ROOMS, **LAST_DAY, PageSize="200"))[1]["rooms"]
    server = await simulator(weather({"kind": "malformed"}))
    wrong = set()
    for _ in range(40):
        _, body = await server.ask(ROOMS, **LAST_DAY, PageSize="200")
        pairs = [(good, room) for good, room in zip(usual, body["rooms"], strict=True) if _differ(good, room)]
        assert len(pairs) <= 1
        wrong |= {(field, type(room[field]).__name__) for good, room in pairs for field in _differ(good, room)}
    assert {("room_sid", "NoneType"), ("room_name", "list"), ("duration_sec", "str"), ("end_time", "float")} <= wrong
    assert {field for field, _ in wrong} == {"room_sid", "room_name", "duration_sec", "end_time"}


async def test_records_of_participants_can_be_malformed_or_spared(simulator, weather) -> None:
    spared = await simulator(weather({"kind": "malformed", "of": "rooms"}))
    server = await simulator(weather({"kind": "malformed", "of": "participants"}))
    good = (await spared.ask(ROOMS, **LAST_DAY, PageSize="1"))[1]["rooms"]
    assert good
    settled = [room for room in await server.rooms(**LAST_DAY) if (room["unique_participants"] or 0) > 1]
    fields = set()
    for room in settled[:40]:
        usual, wrong = await spared.participants(room["room_sid"]), await server.participants(room["room_sid"])
        found = [_differ(one, other) for one, other in zip(usual, wrong, strict=True)]
        assert sum(map(bool, found)) <= 1
        fields |= {field for differences in found for field in differences}
    assert fields >= {"participant_sid", "participant_identity", "duration_sec", "join_time"}


def _differ(one: dict, other: dict) -> set[str]:
    """The fields that differ, addresses aside."""
    return {field for field in one if field not in ("url", "links") and one[field] != other[field]}
