"""Bodies that are late, endless, broken, torn or about something else: none of them hangs or hurts."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest
from aiohttp import web

from alertd.errors import SourceError

RM = "RM" + "0" * 31 + "1"


@pytest.fixture
def body_of(participant):
    """The JSON of a page of so many participants."""

    def build(people=1):
        page = {"meta": {"next_page_url": None}, "participants": [participant() for _ in range(people)]}
        return json.dumps(page).encode()

    return build


def dripping(status=200, piece=b" "):
    """Answers that go on for ever, a piece at a time."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        while True:
            await response.write(piece)
            await asyncio.sleep(0.005)

    return answer


def torn(body, **headers):
    """Answers whose connection is reset in the middle of the body."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(body)), **headers})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        await asyncio.sleep(0.005)  # what was written is on its way
        request.transport.abort()
        return response

    return answer


def packed(body, **headers):
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": "gzip", **headers})

    return answer


async def test_a_body_that_drips_for_ever_is_a_time_out(analyzer, client_of):
    analyzer.will(dripping())
    with pytest.raises(SourceError, match=r"no complete answer within the time-out \(tried 2 times\)"):
        await client_of(analyzer.url, timeout=0.1, tries=2).list_participants(RM)


async def test_an_error_whose_explanation_drips_for_ever_still_counts(analyzer, client_of):
    analyzer.will(dripping(503))
    with pytest.raises(SourceError, match="HTTP 503"):
        await client_of(analyzer.url, timeout=0.1, tries=1).list_participants(RM)


async def test_a_body_without_end_stops_at_the_cap(analyzer, client_of):
    analyzer.will(dripping(piece=b" " * 100_000))
    with pytest.raises(SourceError, match="larger than 1000000 bytes"):
        await client_of(analyzer.url, max_body=1_000_000).list_participants(RM)


async def test_a_server_that_only_says_continue_is_a_time_out(client_of):
    """Informational answers may come first, but not for ever."""

    async def go_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not reader.at_eof():
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.005)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(go_on, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(SourceError, match=r"no complete answer|the connection broke"):
            await client_of(f"http://127.0.0.1:{port}", timeout=0.2, tries=1).list_participants(RM)


@pytest.mark.parametrize("packing", ["plain", "gzip"])
async def test_a_reset_in_the_middle_is_tried_again(analyzer, client, clock, body_of, packing):
    body, headers = body_of(200), {}
    if packing == "gzip":
        body, headers = gzip.compress(body), {"Content-Encoding": "gzip"}
    analyzer.will(torn(body, **headers), analyzer.raw(body_of()))
    assert len(await client.list_participants(RM)) == 1
    assert (len(analyzer.asked), len(clock.waits)) == (2, 1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-4],
        lambda whole: b"this is not gzip at all",
        lambda whole: whole[:40] + b"\0" * 40 + whole[80:],
    ],
    ids=["half", "without its length", "not gzip", "garbled"],
)
async def test_a_gzip_that_is_cut_or_spoiled_is_tried_again_or_read_never_half_believed(
    analyzer, client, body_of, spoil
):
    whole = gzip.compress(body_of(200))
    analyzer.will(packed(spoil(whole)), packed(whole))
    assert len(await client.list_participants(RM)) == 200


@pytest.mark.parametrize("body", [b"", b" ", b"<html>" + b"x" * 10_000_000], ids=["empty", "blank", "10 MB of HTML"])
async def test_a_200_without_json_is_tried_again_and_then_said_so(analyzer, client, clock, body):
    analyzer.will(analyzer.raw(body, "text/html"))
    with pytest.raises(SourceError, match=r"not JSON, or was cut short \(tried 5 times\)") as caught:
        await client.list_participants(RM)
    assert len(clock.waits) == 4
    assert len(str(caught.value)) < 300


async def test_an_error_page_of_10_mb_is_not_read_to_its_end(analyzer, client_of):
    analyzer.will(analyzer.raw(b"<html>" + b"x" * 10_000_000, "text/html", 502), analyzer.participants())
    assert await client_of(analyzer.url, max_in_flight=1).list_participants(RM) == []


async def test_the_same_room_twice_on_a_page_and_again_on_the_next_breaks_nothing(analyzer, client, listed, room):
    twice = room()
    analyzer.will(analyzer.rooms(twice, twice, then="?PageToken=b"), analyzer.rooms(twice, room()))
    assert len({found.room_sid for found in await listed(client)}) == 2
    assert client.faults == {}


@pytest.mark.parametrize("status", [201, 204, 206])
async def test_a_success_that_is_no_200_is_not_taken_for_one(analyzer, client, clock, status):
    analyzer.will(analyzer.raw(b"", status=status))
    with pytest.raises(SourceError, match=f"HTTP {status}"):
        await client.list_participants(RM)
    assert clock.waits == []
