"""What the client asks for, how it walks through the pages, and where it refuses to go."""

from __future__ import annotations

import base64
import gzip
import logging
from datetime import UTC, datetime, timedelta, timezone

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from alertd import __version__
from alertd.errors import SourceError

RM, PA = "RM" + "0" * 31 + "1", "PA" + "0" * 31 + "1"
SECRET = "the-secret-of-the-key"


async def test_rooms_come_page_by_page_and_one_by_one_with_all_participants(analyzer, client, room, participant):
    first, second, people = room(), room(), [participant() for _ in range(3)]
    analyzer.will(
        analyzer.rooms(first, then=f"{analyzer.url}/v1/Video/Rooms?PageToken=b"),
        analyzer.rooms(second),
        analyzer.json(first),
        analyzer.participants(*people[:2], then="?PageToken=c"),
        analyzer.participants(people[2]),
        analyzer.json(people[0]),
    )
    pages = [page async for page in client.list_rooms(created_after=datetime(2026, 3, 1, tzinfo=UTC))]
    assert [[read.room_sid for read in page] for page in pages] == [[first["room_sid"]], [second["room_sid"]]]
    assert await client.fetch_room(first["room_sid"]) == pages[0][0]
    everyone = await client.list_participants(RM)
    assert [who.participant_sid for who in everyone] == [who["participant_sid"] for who in people]
    assert await client.fetch_participant(RM, PA) == everyone[0]
    room_path = "/v1/Video/Rooms"
    assert analyzer.paths == [
        room_path,
        room_path,
        f"{room_path}/{first['room_sid']}",
        f"{room_path}/{RM}/Participants",
        f"{room_path}/{RM}/Participants",
        f"{room_path}/{RM}/Participants/{PA}",
    ]


async def test_a_request_carries_basic_credentials_our_name_and_asks_for_json(analyzer, client):
    analyzer.will(analyzer.participants())
    await client.list_participants(RM)
    (request,) = analyzer.asked
    word, _, coded = request.headers["Authorization"].partition(" ")
    assert (word, base64.b64decode(coded).decode()) == ("Basic", "SK" + "1" * 32 + ":" + SECRET)
    assert request.headers["User-Agent"] == f"alertd/{__version__}"
    assert request.headers["Accept"] == "application/json"
    assert request.query["PageSize"] == "1000"


async def test_the_filters_are_sent_as_twilio_spells_them(analyzer, client, listed):
    analyzer.will(analyzer.rooms())
    cest = timezone(timedelta(hours=2))
    await listed(
        client,
        created_after=datetime(2026, 3, 1, 12, 0, 0, 900_000, tzinfo=cest),
        created_before=datetime(2026, 3, 2, 12, 0, 0, 1, tzinfo=UTC),
        room_type=["group", "go"],
        codec=["VP8"],
        room_name="a b&c+d/ü",
        page_size=7,
    )
    (request,) = analyzer.asked
    assert sorted(request.query.items()) == [
        ("Codec", "VP8"),
        ("CreatedAfter", "2026-03-01T10:00:00Z"),
        ("CreatedBefore", "2026-03-02T12:00:01Z"),
        ("PageSize", "7"),
        ("RoomName", "a b&c+d/ü"),
        ("RoomType", "go"),
        ("RoomType", "group"),
    ]


async def test_a_page_token_is_handed_back_as_it_came(analyzer, client, listed):
    token = "PA%2B1%2F2%3D%3D%26x"
    analyzer.will(analyzer.rooms(then=f"{analyzer.url}/v1/Video/Rooms?PageToken={token}&Page=1"), analyzer.rooms())
    await listed(client)
    assert analyzer.asked[1].query["PageToken"] == "PA+1/2==&x"


async def test_a_base_url_may_have_a_path(analyzer, client_of):
    analyzer.will(analyzer.participants())
    await client_of(analyzer.url + "/proxied/").list_participants(RM)
    assert analyzer.paths == [f"/proxied/v1/Video/Rooms/{RM}/Participants"]


async def test_an_empty_page_in_between_does_not_end_the_listing(analyzer, client, listed, room):
    analyzer.will(analyzer.rooms(then="?PageToken=b"), analyzer.rooms(room()))
    assert len(await listed(client)) == 1


async def test_gzipped_answers_are_read(analyzer, client, participant):
    async def packed(request: web.Request) -> web.Response:
        plain = await analyzer.participants(participant())(request)
        return web.Response(body=gzip.compress(plain.body), headers={"Content-Encoding": "gzip"})

    analyzer.will(packed)
    assert len(await client.list_participants(RM)) == 1


async def test_a_client_for_a_plain_http_address_elsewhere_cannot_be_made(client_of):
    with pytest.raises(ValueError, match=r"account production: base_url: plain http"):
        client_of("http://insights.twilio.com")


async def test_a_link_to_another_server_is_refused_and_that_server_never_asked(
    analyzer, other_server, client, listed, room
):
    other_server.will(other_server.rooms())
    analyzer.will(analyzer.rooms(room(), then=f"{other_server.url}/v1/Video/Rooms?PageToken=b"))
    with pytest.raises(SourceError, match=other_server.url):
        await listed(client)
    assert other_server.asked == []


async def test_the_rooms_before_a_refused_link_have_been_given(analyzer, client, room):
    analyzer.will(analyzer.rooms(room(), then="https://evil.example/"))
    pages = client.list_rooms(created_after=datetime(2026, 3, 1, tzinfo=UTC))
    assert len(await anext(pages)) == 1
    with pytest.raises(SourceError, match=r"evil\.example"):
        await anext(pages)


async def test_a_redirect_is_not_followed_and_its_target_never_asked(analyzer, other_server, client, listed):
    other_server.will(other_server.rooms())
    analyzer.will(analyzer.raw(b"", status=307, Location=other_server.url + "/v1/Video/Rooms"))
    with pytest.raises(SourceError, match=r"redirect to 127\.0\.0\.1, which is not followed"):
        await listed(client)
    assert (len(analyzer.asked), other_server.asked) == (1, [])


@pytest.mark.parametrize("back_to", ["same", "first"])
async def test_a_listing_that_leads_back_to_a_page_seen_is_stopped(analyzer, client, listed, back_to):
    first = "/v1/Video/Rooms?PageSize=1000&CreatedAfter=2026-03-01T00:00:00Z"
    then = {"same": "?PageToken=b", "first": first}[back_to]
    analyzer.will(analyzer.rooms(then="?PageToken=b"), analyzer.rooms(then=then))
    with pytest.raises(SourceError, match="back to a page already seen"):
        await listed(client)
    assert len(analyzer.asked) == 2


async def test_a_listing_without_end_is_stopped_at_the_page_cap(analyzer, client_of, listed):
    async def another(request: web.Request) -> web.Response:
        return await analyzer.rooms(then=f"?PageToken={len(analyzer.asked)}")(request)

    analyzer.will(another)
    with pytest.raises(SourceError, match="more than 5 pages in one listing"):
        await listed(client_of(analyzer.url, max_pages=5))
    assert len(analyzer.asked) == 5


@pytest.mark.parametrize("packing", ["identity", "gzip", "chunked"])
async def test_a_body_over_the_cap_is_given_up_however_it_is_packed(analyzer, client_of, listed, clock, packing):
    async def flood(request: web.Request) -> web.StreamResponse:
        body = b" " * 300_000
        if packing == "gzip":
            return web.Response(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
        if packing == "identity":
            return web.Response(body=body)
        response = web.StreamResponse()
        await response.prepare(request)
        for start in range(0, len(body), 10_000):
            await response.write(body[start : start + 10_000])
        return response

    analyzer.will(flood)
    with pytest.raises(SourceError, match="larger than 100000 bytes"):
        await listed(client_of(analyzer.url, max_body=100_000))
    assert clock.waits == []


@pytest.mark.parametrize("sid", ["", "RM1", "RM/../../Accounts", "RM" + "0" * 31 + "?", "PA" + "0" * 32])
async def test_what_is_not_a_room_sid_never_becomes_a_path(analyzer, client, sid):
    for ask in (client.fetch_room, client.list_participants, lambda bad: client.fetch_participant(bad, PA)):
        with pytest.raises(SourceError, match="not a room SID"):
            await ask(sid)
    assert analyzer.asked == []


async def test_what_is_not_a_participant_sid_never_becomes_a_path(analyzer, client):
    with pytest.raises(SourceError, match="not a participant SID"):
        await client.fetch_participant(RM, RM)
    assert analyzer.asked == []


async def test_one_bad_record_costs_the_page_nothing_else_and_each_path_is_logged_once(analyzer, client, listed, room):
    bad = room(end_time="half past eleven", room_name="Jane Doe")
    analyzer.will(
        analyzer.rooms(room(), bad, room(room_sid="x"), then="?PageToken=b"),
        analyzer.rooms(room(end_time="noon"), room()),
    )
    with capture_logs() as logs:
        rooms = await listed(client)
    assert len(rooms) == 4
    assert client.faults == {"rooms[].end_time": 2, "rooms[].room_sid": 1}
    warnings = [entry for entry in logs if entry["event"] == "malformed_value_left_out"]
    assert [(entry["path"], entry["account"]) for entry in warnings] == [
        ("rooms[].end_time", "production"),
        ("rooms[].room_sid", "production"),
    ]
    assert "Jane" not in str(logs)
    assert "half past" not in str(logs)


async def test_bad_values_of_a_single_record_are_counted_too(analyzer, client, room):
    analyzer.will(analyzer.json(room(room_sid=RM, codecs="VP8")))
    assert (await client.fetch_room(RM)).codecs is None
    assert client.faults == {"rooms[].codecs": 1}


@pytest.mark.parametrize(("date", "skew"), [("Mon, 02 Mar 2026 12:01:30 GMT", 90.0), ("nonsense", None)])
async def test_the_servers_clock_is_compared_with_ours(analyzer, client, date, skew):
    analyzer.will(analyzer.json({"meta": {}, "participants": []}, Date=date))
    assert client.clock_skew is None
    await client.list_participants(RM)
    assert client.clock_skew == skew


async def test_the_skew_is_known_even_from_a_refusal(analyzer, client):
    analyzer.will(analyzer.error(401, 20003, "Authenticate", Date="Mon, 02 Mar 2026 11:59:00 GMT"))
    with pytest.raises(SourceError):
        await client.list_participants(RM)
    assert client.clock_skew == -60.0


async def test_cookies_are_neither_kept_nor_sent(analyzer, client):
    analyzer.will(analyzer.json({"meta": {}, "participants": []}, Set_Cookie="a=b"), analyzer.participants())
    await client.list_participants(RM)
    await client.list_participants(RM)
    assert "Cookie" not in analyzer.asked[1].headers


async def test_a_proxy_in_the_environment_is_not_used(analyzer, other_server, client_of, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", other_server.url)
    monkeypatch.setenv("http_proxy", other_server.url)
    other_server.will(other_server.participants())
    analyzer.will(analyzer.participants())
    await client_of(analyzer.url).list_participants(RM)
    assert (len(analyzer.asked), len(other_server.asked)) == (1, 0)


async def test_the_secret_is_in_no_log_error_or_representation(analyzer, client, listed, caplog):
    caplog.set_level(logging.DEBUG)
    coded = base64.b64encode(f"SK{'1' * 32}:{SECRET}".encode()).decode()
    analyzer.will(
        analyzer.raw(b"", status=503), analyzer.json("{"), analyzer.error(400, 20001, "no"), analyzer.error(401, 1, "")
    )
    said = [repr(client)]
    with capture_logs() as logs:
        for _ in range(2):
            with pytest.raises(SourceError) as caught:
                await listed(client, room_name="Jane Doe")
            said += [
                str(caught.value),
                repr(caught.value),
                repr(caught.value.__cause__),
                repr(caught.value.__context__),
            ]
    said += [str(logs), caplog.text]
    for text in said:
        assert SECRET not in text
        assert coded not in text
        assert "Jane" not in text
