"""Prism, a server made from Twilio's OpenAPI document, judges every kind of answer that the simulator gives."""

from __future__ import annotations

import pytest


async def test_every_answer_passes_the_official_openapi_document(simulator, prism) -> None:
    server = await simulator("turn-failure", rooms_per_day=2000, hyphenated=0.0)
    server.clock.time += 1800
    with prism(mode="proxy", upstream=server.base) as judge:
        params = {"PageSize": "100", "CreatedAfter": "2026-03-02T06:00:00Z", "RoomType": "group", "Codec": "VP8"}
        response, body = await server.ask(judge + "/v1/Video/Rooms", **params)
        states = set()
        for _ in range(3):
            assert (response.status, response.headers.get("sl-violations")) == (200, None), body
            states |= {(room["room_status"], room["processing_state"]) for room in body["rooms"]}
            for room in body["rooms"][::10]:
                await _judge_room(server, judge, room["room_sid"])
            response, body = await server.ask(body["meta"]["next_page_url"].replace(server.base, judge))
        assert states >= {("completed", "complete"), ("completed", "in_progress"), ("in_progress", "in_progress")}


async def test_rooms_nobody_joined_and_everything_unfiltered_pass_too(simulator, prism) -> None:
    server = await simulator(rooms_per_day=1500, hyphenated=0.0)
    with prism(mode="proxy", upstream=server.base) as judge:
        params = {"PageSize": "1000", "CreatedAfter": "2026-03-01T00:00:00Z"}
        response, body = await server.ask(judge + "/v1/Video/Rooms", **params)
        assert (response.status, response.headers.get("sl-violations")) == (200, None), body
        assert any(room["unique_participants"] == 0 for room in body["rooms"])


async def test_the_judge_does_reject_the_hyphenated_spelling_of_twilios_prose(simulator, prism) -> None:
    server = await simulator(rooms_per_day=1500, hyphenated=1.0)
    with prism(mode="proxy", upstream=server.base) as judge:
        params = {"PageSize": "100", "CreatedAfter": "2026-03-02T11:00:00Z"}
        response, body = await server.ask(judge + "/v1/Video/Rooms", **params)
    assert response.status == 500
    assert "processing_state" in str(body)


@pytest.mark.parametrize("mode", ["mock", "dynamic"])
async def test_prism_can_also_stand_in_for_the_api(prism, simulator, mode: str) -> None:
    server = await simulator(rooms_per_day=1)
    with prism(mode=mode) as base:
        response, body = await server.ask(base + "/v1/Video/Rooms")
        assert response.status == 200
        assert body["rooms"]


async def _judge_room(server, judge: str, sid: str) -> None:
    url = f"{judge}/v1/Video/Rooms/{sid}"
    room, body = await server.ask(url)
    assert (room.status, room.headers.get("sl-violations")) == (200, None), body
    listing, people = await server.ask(url + "/Participants", PageSize="2")
    assert (listing.status, listing.headers.get("sl-violations")) == (200, None), people
    for person in people["participants"]:
        one, text = await server.ask(f"{url}/Participants/{person['participant_sid']}")
        assert (one.status, one.headers.get("sl-violations")) == (200, None), text
