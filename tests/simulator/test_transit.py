"""On the wire: answers that do not come, come from somebody else, come in part or too slowly, seen as a client sees
them."""

from __future__ import annotations

import asyncio
import errno
import json

import aiohttp
import pytest

ROOMS = "/v1/Video/Rooms"


@pytest.mark.parametrize(
    ("status", "title"), [(502, "502 Bad Gateway"), (503, "503 Service Unavailable"), (520, "520")]
)
async def test_a_gateway_answers_with_a_page_for_people(simulator, weather, status: int, title: str) -> None:
    server = await simulator(weather({"kind": "html", "status": status}))
    response, body = await server.raw(ROOMS)
    assert (response.status, response.content_type) == (status, "text/html")
    assert body.decode().startswith("<!DOCTYPE html>")
    assert f"<h1>{title}</h1>" in body.decode()
    assert "Twilio-Request-Id" not in response.headers, "it never came as far as Twilio"


async def test_a_gateway_may_even_call_that_a_success(simulator, weather) -> None:
    server = await simulator(weather({"kind": "html", "status": 200}))
    response, body = await server.raw(ROOMS)
    assert (response.status, response.content_type) == (200, "text/html")
    assert b"maintenance" in body


@pytest.mark.parametrize("fault", [{"kind": "stall", "seconds": 0.05}, {"kind": "reset"}])
async def test_no_answer_comes_and_the_connection_ends(simulator, weather, fault) -> None:
    server = await simulator(weather(fault))
    with pytest.raises(aiohttp.ClientConnectionError):
        await server.raw(ROOMS)


async def test_a_reset_is_one_to_the_socket_and_a_stall_ends_in_an_ordinary_close(simulator, weather) -> None:
    server = await simulator(weather({"kind": "reset"}))
    with pytest.raises(aiohttp.ClientOSError) as caught:
        await server.raw(ROOMS)
    assert caught.value.errno == errno.ECONNRESET
    server = await simulator(weather({"kind": "stall", "seconds": 0.05}))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await server.raw(ROOMS)


async def test_who_has_no_patience_gives_up_on_a_stall(simulator, weather) -> None:
    server = await simulator(weather({"kind": "stall", "seconds": 1}))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(server.raw(ROOMS), 0.1)


async def test_a_short_answer_ends_before_the_length_it_announced(simulator, weather) -> None:
    server = await simulator(weather({"kind": "truncated", "how": "short"}))
    with pytest.raises(aiohttp.ClientPayloadError):
        await server.raw(ROOMS)


async def test_cut_json_is_in_every_other_way_a_right_answer(simulator, weather) -> None:
    server = await simulator(weather({"kind": "truncated", "how": "json"}))
    response, body = await server.raw(ROOMS)
    assert (response.status, response.content_type) == (200, "application/json")
    assert int(response.headers["Content-Length"]) == len(body)
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


async def test_an_answer_that_drips_comes_in_pieces_and_whole(simulator, weather) -> None:
    server = await simulator(weather({"kind": "drip", "seconds": 0.4}))
    headers = {"Authorization": aiohttp.encode_basic_auth("SK" + "1" * 32, "open sesame")}
    async with server.session.get(server.base + ROOMS, headers=headers) as response:
        pieces = [piece async for piece in response.content.iter_any()]
    assert len(pieces) > 2
    assert len(json.loads(b"".join(pieces))["rooms"]) == 50


async def test_a_client_that_leaves_amid_a_drip_harms_nobody_else(simulator, weather) -> None:
    server = await simulator(weather({"kind": "drip", "seconds": 0.5}))
    headers = {"Authorization": aiohttp.encode_basic_auth("SK" + "1" * 32, "open sesame")}
    async with server.session.get(server.base + ROOMS, headers=headers) as response:
        await response.content.readany()
        response.close()
    assert (await server.ask(ROOMS))[0].status == 200


async def test_a_dripping_answer_can_be_short_as_well_and_an_error_can_be_cut(simulator, weather) -> None:
    drip, short = {"kind": "drip", "seconds": 0.1}, {"kind": "truncated", "how": "short"}
    server = await simulator(weather(drip, short))
    with pytest.raises(aiohttp.ClientPayloadError):
        await server.raw(ROOMS)
    server = await simulator(weather({"status": 500}, {"kind": "truncated", "how": "json"}))
    response, body = await server.raw(ROOMS)
    assert response.status == 500
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


async def test_the_clock_for_rehearsals_is_out_of_the_weather(simulator, weather) -> None:
    server = await simulator(weather({"kind": "reset"}, {"status": 500}, {"kind": "html"}))
    assert (await server.ask("/-/clock", login=None))[0].status == 200
