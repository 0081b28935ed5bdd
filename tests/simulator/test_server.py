"""The server answers as Twilio's API does: logins, errors, filters, pages, retention, headers."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time

import pytest

from alertd.clock import FastClock
from alertd.errors import AlertdError
from alertd.simulator.scenario import Scenario
from alertd.simulator.server import build_app, serve

ROOMS = "/v1/Video/Rooms"
DAY = 86_400
OTHER = ("SK" + "2" * 32, "another secret")
LAST_DAY = {"CreatedAfter": "2026-03-01T12:00:00Z", "PageSize": "1000"}


def sids(rooms: list[dict]) -> list[str]:
    return [room["room_sid"] for room in rooms]


def forged(created_after: float) -> str:
    """A page token that no page ever gave."""
    return "PT" + base64.urlsafe_b64encode(
        json.dumps({"position": [0, 0], "filters": {"created_after": created_after}}).encode()
    ).decode().rstrip("=")


async def refusal(server, path: str, **params: str) -> tuple[int, int]:
    """HTTP status and Twilio code of a refused request, whose body has exactly Twilio's four keys."""
    response, body = await server.ask(path, **params)
    assert body.keys() == {"code", "message", "more_info", "status"}
    assert body["status"] == response.status
    assert body["more_info"] == f"https://www.twilio.com/docs/errors/{body['code']}"
    return response.status, body["code"]


# Who may ask


@pytest.mark.parametrize(
    "login", [None, ("SK" + "1" * 32, "wrong"), ("SK" + "9" * 32, "open sesame"), ("", ""), ("SK" + "1" * 32, "\u00e9")]
)
@pytest.mark.parametrize("path", [ROOMS, ROOMS + "/RM" + "0" * 32, "/v1/Elsewhere"])
async def test_without_the_right_key_and_secret_nothing_is_told(simulator, path: str, login) -> None:
    server = await simulator()
    response, body = await server.ask(path, login=login)
    assert (response.status, body["code"], body["message"]) == (401, 20003, "Authenticate")
    assert response.headers["WWW-Authenticate"].startswith("Basic ")
    assert response.content_type == "application/json"


@pytest.mark.parametrize("header", ["Bearer abc", "Basic", "Basic !!!", "Basic /zr/"])
async def test_a_malformed_login_is_refused_like_a_wrong_one(simulator, header: str) -> None:
    server = await simulator()
    async with server.session.get(server.base + ROOMS, headers={"Authorization": header}) as response:
        assert response.status == 401


async def test_each_key_sees_its_own_account_only(simulator) -> None:
    server = await simulator(credentials={"SK" + "1" * 32: "open sesame", OTHER[0]: OTHER[1]})
    _, mine = await server.ask(ROOMS, **LAST_DAY)
    _, theirs = await server.ask(ROOMS, login=OTHER, **LAST_DAY)
    assert {room["account_sid"] for room in mine["rooms"]} != {room["account_sid"] for room in theirs["rooms"]}
    assert not set(sids(mine["rooms"])) & set(sids(theirs["rooms"]))
    response, _ = await server.ask(f"{ROOMS}/{mine['rooms'][0]['room_sid']}", login=OTHER)
    assert response.status == 404


# Lists of rooms


async def test_sids_have_twilios_form_and_urls_lead_back_here(simulator) -> None:
    server = await simulator()
    rooms = await server.rooms(**LAST_DAY)
    room = next(room for room in rooms if room["unique_participants"])
    assert re.fullmatch(r"RM[0-9a-f]{32}", room["room_sid"])
    assert re.fullmatch(r"AC[0-9a-f]{32}", room["account_sid"])
    assert (await server.ask(room["url"]))[1] == room
    [person, *_] = (await server.ask(room["links"]["participants"]))[1]["participants"]
    assert re.fullmatch(r"PA[0-9a-f]{32}", person["participant_sid"])
    assert (await server.ask(person["url"]))[1] == person


@pytest.mark.parametrize("size", ["7", "50", "333"])
async def test_paging_covers_each_room_once(simulator, size: str) -> None:
    server = await simulator(rooms_per_day=400)
    whole = sids(await server.rooms(**LAST_DAY))
    paged = sids(await server.rooms(**LAST_DAY | {"PageSize": size}))
    assert paged == whole
    assert len(set(whole)) == len(whole) > 300


async def test_a_page_says_where_it_stands(simulator) -> None:
    server = await simulator()
    _, body = await server.ask(ROOMS, CreatedAfter="2026-03-01T12:00:00Z", RoomType="group")
    meta = body["meta"]
    assert (meta["key"], meta["page"], meta["page_size"], len(body["rooms"])) == ("rooms", 0, 50, 50)
    assert meta["previous_page_url"] is None
    assert meta["url"] == meta["first_page_url"]
    assert meta["next_page_url"].startswith(f"{server.base}{ROOMS}?")
    assert "RoomType=group" in meta["next_page_url"]
    _, following = await server.ask(meta["next_page_url"])
    assert following["meta"]["page"] == 1
    assert following["meta"]["first_page_url"] == meta["first_page_url"]


async def test_the_last_page_has_no_next_one_even_when_it_is_full(simulator) -> None:
    server = await simulator(rooms_per_day=400)
    everything = await server.rooms(**LAST_DAY)
    _, body = await server.ask(ROOMS, **LAST_DAY | {"PageSize": str(len(everything))})
    assert len(body["rooms"]) == len(everything)
    assert body["meta"]["next_page_url"] is None


async def test_one_can_page_back_as_well(simulator) -> None:
    server = await simulator()
    _, first = await server.ask(ROOMS, CreatedAfter="2026-03-01T12:00:00Z", PageSize="20")
    _, second = await server.ask(first["meta"]["next_page_url"])
    _, third = await server.ask(second["meta"]["next_page_url"])
    _, back = await server.ask(third["meta"]["previous_page_url"])
    assert sids(back["rooms"]) == sids(second["rooms"])
    assert back["meta"]["page"] == 1
    _, forth = await server.ask(back["meta"]["next_page_url"])
    assert sids(forth["rooms"]) == sids(third["rooms"])
    _, start = await server.ask(back["meta"]["previous_page_url"])
    assert sids(start["rooms"]) == sids(first["rooms"])
    assert start["meta"]["previous_page_url"] is None


async def test_rooms_that_start_while_one_pages_neither_shift_nor_repeat_anything(simulator) -> None:
    server = await simulator(rooms_per_day=5000)
    expected = sids(await server.rooms(**LAST_DAY))
    _, body = await server.ask(ROOMS, **LAST_DAY | {"PageSize": "300"})
    seen = sids(body["rooms"])
    while body["meta"]["next_page_url"]:
        server.clock.time += 60
        _, body = await server.ask(body["meta"]["next_page_url"])
        seen += sids(body["rooms"])
    assert seen == expected


async def test_dates_select_by_the_start_of_the_room_half_open(simulator) -> None:
    server = await simulator()
    rooms = await server.rooms(**LAST_DAY)
    first, last = rooms[40]["create_time"], rooms[10]["create_time"]
    chosen = await server.rooms(CreatedAfter=first, CreatedBefore=last)
    assert sids(chosen) == [r["room_sid"] for r in rooms if first <= r["create_time"] < last]


async def test_dates_may_carry_an_offset_a_fraction_or_no_zone(simulator) -> None:
    server = await simulator()
    expected = sids(await server.rooms(CreatedAfter="2026-03-02T10:00:00Z"))
    assert expected
    for text in ("2026-03-02T12:00:00+02:00", "2026-03-02T10:00:00.000Z", "2026-03-02T10:00:00"):
        assert sids(await server.rooms(CreatedAfter=text)) == expected


@pytest.mark.parametrize(
    ("params", "field", "allowed"),
    [
        ({"RoomType": ["group_small", "go"]}, "room_type", {"group_small", "go"}),
        ({"RoomType": "peer_to_peer"}, "room_type", {"peer_to_peer"}),
    ],
)
async def test_room_types_select(simulator, params, field: str, allowed: set[str]) -> None:
    server = await simulator(rooms_per_day=3000)
    rooms = await server.rooms(**LAST_DAY | params)
    assert {room[field] for room in rooms} == allowed


async def test_codecs_select_rooms_in_which_any_of_them_was_used(simulator) -> None:
    server = await simulator()
    settled = [room for room in await server.rooms(**LAST_DAY) if room["processing_state"] == "complete"]
    expected = {room["room_sid"] for room in settled if {"VP9", "H264"} & set(room["codecs"])}
    chosen = await server.rooms(**LAST_DAY | {"Codec": ["VP9", "H264"]})
    assert {room["room_sid"] for room in chosen if room["processing_state"] == "complete"} == expected


async def test_a_room_name_selects_exactly_and_survives_paging(simulator) -> None:
    server = await simulator(rooms_per_day=4000)
    name = "a/b?c#d"
    rooms = await server.rooms(**LAST_DAY | {"RoomName": name, "PageSize": "2"})
    assert len(rooms) > 2
    assert {room["room_name"] for room in rooms} == {name}


async def test_without_dates_only_rooms_completed_in_the_last_day_are_listed(simulator) -> None:
    server = await simulator()
    rooms = await server.rooms(PageSize="1000")
    assert {room["room_status"] for room in rooms} == {"completed"}
    assert min(room["end_time"] for room in rooms) >= "2026-03-01T12:00:00Z"
    assert len(rooms) == pytest.approx(1000, rel=0.4)


async def test_with_a_date_rooms_in_progress_are_listed_too(simulator) -> None:
    server = await simulator()
    rooms = await server.rooms(**LAST_DAY)
    assert any(room["room_status"] == "in_progress" and room["end_time"] is None for room in rooms)
    assert max(room["create_time"] for room in rooms) <= "2026-03-02T12:00:00Z"


async def test_nothing_is_kept_longer_than_a_week_after_the_end_of_the_room(simulator) -> None:
    server = await simulator(rooms_per_day=300)
    rooms = await server.rooms(CreatedAfter="2026-01-01T00:00:00Z", PageSize="1000")
    assert min(room["end_time"] or "9" for room in rooms) >= "2026-02-23T12:00:00Z"
    gone = min((room for room in rooms if room["end_time"]), key=lambda room: room["end_time"])
    server.clock.time += 7 * DAY
    assert await refusal(server, f"{ROOMS}/{gone['room_sid']}") == (404, 20404)
    assert await refusal(server, f"{ROOMS}/{gone['room_sid']}/Participants") == (404, 20404)


async def test_a_room_goes_from_open_to_complete_as_time_goes_by(simulator) -> None:
    server = await simulator(hyphenated=0.0)
    rooms = await server.rooms(**LAST_DAY)
    sid = next(r["room_sid"] for r in rooms if r["room_status"] == "in_progress" and r["room_type"] == "group")
    seen = []
    for _ in range(24 * 60):
        _, room = await server.ask(f"{ROOMS}/{sid}")
        state = (room["room_status"], room["processing_state"])
        if state not in seen:
            seen.append(state)
        if room["processing_state"] == "complete":
            break
        server.clock.time += 60
    assert seen == [("in_progress", "in_progress"), ("completed", "in_progress"), ("completed", "complete")]


# Participants


async def test_participants_are_paged_too(simulator) -> None:
    server = await simulator(rooms_per_day=4000)
    rooms = await server.rooms(**LAST_DAY)
    settled = [room for room in rooms if room["processing_state"] == "complete"]
    big = next(room for room in settled if room["unique_participants"] >= 10)
    whole = await server.participants(big["room_sid"])
    assert len(whole) == big["unique_participants"]
    assert await server.participants(big["room_sid"], PageSize="3") == whole
    path = f"{ROOMS}/{big['room_sid']}/Participants"
    _, first = await server.ask(path, PageSize="3")
    assert (first["meta"]["key"], first["meta"]["previous_page_url"]) == ("participants", None)
    _, second = await server.ask(first["meta"]["next_page_url"])
    _, back = await server.ask(second["meta"]["previous_page_url"])
    assert back["participants"] == first["participants"]


async def test_an_unfinished_room_shows_only_some_of_its_participants(simulator) -> None:
    server = await simulator(rooms_per_day=4000)
    rooms = await server.rooms(**LAST_DAY)
    unfinished = [room["room_sid"] for room in rooms if room["processing_state"] in {"in_progress", "in-progress"}]
    now = [len(await server.participants(sid)) for sid in unfinished]
    server.clock.time += DAY
    later = [len(await server.participants(sid)) for sid in unfinished]
    assert all(few <= many for few, many in zip(now, later, strict=True))
    assert sum(now) < sum(later)


async def test_a_participant_not_shown_yet_cannot_be_fetched_either(simulator) -> None:
    server = await simulator(rooms_per_day=4000)
    rooms = await server.rooms(**LAST_DAY)
    open_rooms = [room["room_sid"] for room in rooms if room["room_status"] == "in_progress"]
    before = {person["participant_sid"] for sid in open_rooms for person in await server.participants(sid)}
    server.clock.time += DAY
    after = [person for sid in open_rooms for person in await server.participants(sid)]
    new = next(person for person in after if person["participant_sid"] not in before)
    path = f"{ROOMS}/{new['room_sid']}/Participants/{new['participant_sid']}"
    assert (await server.ask(path))[0].status == 200
    server.clock.time -= DAY
    assert await refusal(server, path) == (404, 20404)


# Refusals


@pytest.mark.parametrize(
    "path",
    [
        ROOMS + "/RM" + "0" * 32,
        ROOMS + "/not-a-sid",
        ROOMS + "/RM" + "0" * 32 + "/Participants",
        ROOMS + "/RM" + "0" * 32 + "/Participants/PA" + "0" * 32,
        "/v1/Video/Compositions",
        "/",
    ],
)
async def test_what_does_not_exist_is_not_found(simulator, path: str) -> None:
    server = await simulator()
    response, body = await server.ask(path)
    assert (response.status, body["code"]) == (404, 20404)
    assert body["message"] == f"The requested resource {path} was not found"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"PageSize": "1001"}, 20007),
        ({"PageSize": "0"}, 20001),
        ({"PageSize": "-5"}, 20001),
        ({"PageSize": "many"}, 20001),
        ({"PageSize": "9" * 40}, 20001),
        ({"Page": "1"}, 20001),
        ({"Page": "-1"}, 20001),
        ({"Page": "1", "PageToken": "PTnonsense"}, 20001),
        ({"Page": "1", "PageToken": "é"}, 20001),
        ({"Page": "1", "PageToken": "PTe30"}, 20001),
        ({"RoomType": "peer-to-peer"}, 20001),
        ({"RoomType": "group,go"}, 20001),
        ({"Codec": "AV1"}, 20001),
        ({"CreatedAfter": "yesterday"}, 20001),
        ({"CreatedBefore": "2026-13-01T00:00:00Z"}, 20001),
        ({"Page": "1", "PageToken": forged(1e300)}, 20001),
    ],
)
async def test_a_parameter_that_cannot_be_is_a_bad_request(simulator, params: dict[str, str], code: int) -> None:
    server = await simulator()
    assert await refusal(server, ROOMS, **params) == (400, code)


async def test_participants_pages_are_checked_as_well(simulator) -> None:
    server = await simulator()
    [room, *_] = await server.rooms(**LAST_DAY)
    assert await refusal(server, f"{ROOMS}/{room['room_sid']}/Participants", PageSize="1001") == (400, 20007)


async def test_nothing_can_be_changed(simulator) -> None:
    server = await simulator()
    login = {"Authorization": "Basic " + base64.b64encode(b"SK" + b"1" * 32 + b":open sesame").decode()}
    for method in ("POST", "DELETE", "HEAD"):
        async with server.session.request(method, server.base + ROOMS, headers=login) as response:
            assert response.status == 405


# Headers, the clock, the socket


async def test_every_answer_carries_twilios_headers_and_the_simulated_date(simulator) -> None:
    server = await simulator()
    for path in (ROOMS, "/nowhere"):
        headers = (await server.ask(path))[0].headers
        assert re.fullmatch(r"RQ[0-9a-f]{32}", headers["Twilio-Request-Id"])
        assert headers["Twilio-Concurrent-Requests"] == "1"
        assert float(headers["Twilio-Request-Duration"]) >= 0
        assert headers["Date"] == "Mon, 02 Mar 2026 12:00:00 GMT"


async def test_slow_answers_overlap_and_are_counted(simulator) -> None:
    server = await simulator(latency=0.2)
    answers = await asyncio.gather(*(server.ask(ROOMS, PageSize="1") for _ in range(5)))
    assert max(int(response.headers["Twilio-Concurrent-Requests"]) for response, _ in answers) > 1
    assert {response.headers["Twilio-Request-Duration"] for response, _ in answers} == {"0.200"}


async def test_the_clock_can_be_read_without_a_login(simulator, noon: int) -> None:
    server = await simulator()
    response, body = await server.ask("/-/clock", login=None)
    assert (response.status, body) == (200, {"now": float(noon), "speed": 1.0})


async def test_a_fast_clock_tells_its_speed() -> None:
    import aiohttp

    app = build_app(Scenario(name="fast", rooms_per_day=10), FastClock(time.time(), 600), {})
    async with serve(app) as base, aiohttp.ClientSession() as session, session.get(base + "/-/clock") as response:
        assert (await response.json())["speed"] == 600


async def test_an_address_in_use_is_an_error_that_names_it(noon: int, clock) -> None:
    app, another = (build_app(Scenario(name="one"), clock, {}) for _ in range(2))
    async with serve(app) as base:
        port = int(base.rpartition(":")[2])
        with pytest.raises(AlertdError, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
            async with serve(another, port=port):
                pass
