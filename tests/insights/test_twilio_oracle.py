"""The same server asked by Twilio's own library and by us: both see the same rooms and participants."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

import pytest
from aiohttp import web
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

KEY, SECRET = "SK" + "1" * 32, "the-secret-of-the-key"
AFTER = datetime(2026, 3, 1, tzinfo=UTC)


class Loopback(TwilioHttpClient):
    """Sends what the library addresses to insights.twilio.com to a loopback server instead."""

    def __init__(self, url: str) -> None:
        super().__init__(timeout=10)
        self.session.trust_env = False
        self._netloc = urlsplit(url).netloc

    def request(self, method, url, *args, **kwargs):
        parts = urlsplit(url)
        assert parts.hostname in ("insights.twilio.com", "127.0.0.1")
        local = urlunsplit(("http", self._netloc, parts.path, parts.query, ""))
        return super().request(method, local, *args, **kwargs)


@pytest.fixture
async def library(analyzer):
    """Twilio's library, pointed at the scripted server."""
    http = Loopback(analyzer.url)
    yield Client(KEY, SECRET, account_sid="AC" + "a" * 32, http_client=http, environment={"_": "_"})
    http.session.close()


@pytest.fixture
def paged(analyzer, room, participant):
    """Makes the server serve 25 rooms and 7 participants in pages of 10 and 3; returns them."""
    rooms = [room(media_region=region, room_name=f"visit {n}") for n, region in enumerate(["us1", None, "gll"] * 8)]
    people = [participant(error_code=code) for code in (None, 0, 53405, 53001, 53205, 20104, 1)]

    async def serve(request: web.Request) -> web.StreamResponse:
        start = int(request.query.get("PageToken", "0"))
        kind, everything, size = ("participants", people, 3) if "Participants" in request.path else ("rooms", rooms, 10)
        last = request.path.rstrip("/").rpartition("/")[2]
        if last.startswith(("RM", "PA")):
            return web.json_response(next(x for x in rooms + people if last in (x.get(f"{kind[:-1]}_sid"), None)))
        more = start + size < len(everything)
        then = f"{analyzer.url}{request.path}?PageToken={start + size}" if more else None
        meta = {"key": kind, "page_size": size, "next_page_url": then}
        return web.json_response({"meta": meta, kind: everything[start : start + size]})

    analyzer.will(serve)
    return rooms, people


def same(ours, theirs) -> bool:
    """Whether each field of ours has the value that the library's instance has."""
    values = {name: getattr(theirs, name) for name in ours.__struct_fields__}
    codecs = values.pop("codecs")
    mine = {name: getattr(ours, name) for name in values}
    return mine == values and list(ours.codecs) == codecs


async def test_both_list_the_same_rooms_over_all_pages(library, client, listed, paged):
    theirs = await asyncio.to_thread(library.insights.v1.rooms.list, created_after=AFTER)
    ours = await listed(client, created_after=AFTER)
    assert len(ours) == len(theirs) == 24
    assert all(same(mine, other) for mine, other in zip(ours, theirs, strict=True))


async def test_both_list_the_same_participants(library, client, paged):
    sid = paged[0][0]["room_sid"]
    theirs = await asyncio.to_thread(library.insights.v1.rooms(sid).participants.list)
    ours = await client.list_participants(sid)
    assert len(ours) == len(theirs) == 7
    assert all(same(mine, other) for mine, other in zip(ours, theirs, strict=True))


async def test_both_fetch_the_same_room_and_participant(library, client, paged):
    room_sid, who_sid = paged[0][3]["room_sid"], paged[1][2]["participant_sid"]
    context = library.insights.v1.rooms(room_sid)
    assert same(await client.fetch_room(room_sid), await asyncio.to_thread(context.fetch))
    theirs = await asyncio.to_thread(context.participants(who_sid).fetch)
    assert same(await client.fetch_participant(room_sid, who_sid), theirs)


async def test_both_ask_for_the_same_thing(library, client, listed, analyzer):
    analyzer.will(analyzer.rooms())
    filters = {
        "created_after": AFTER,
        "created_before": datetime(2026, 3, 2, tzinfo=UTC),
        "room_type": ["group", "go"],
        "codec": ["VP8", "H264"],
        "room_name": "a b&c+d",
        "page_size": 1000,
    }
    await asyncio.to_thread(library.insights.v1.rooms.list, **filters)
    await listed(client, **filters)
    theirs, ours = analyzer.asked
    assert ours.path == theirs.path
    assert sorted(ours.query.items()) == sorted(theirs.query.items())
    for header in ("Authorization", "Accept"):
        assert ours.headers[header] == theirs.headers[header]
