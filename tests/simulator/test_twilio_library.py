"""Twilio's own Python library reads the simulator without noticing a difference."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from alertd.insights.client import InsightsClient, open_session


class ToTheSimulator(TwilioHttpClient):
    """Sends what is meant for insights.twilio.com to the simulator."""

    def __init__(self, base: str) -> None:
        super().__init__(timeout=20)
        self.base = base
        self.session.trust_env = False

    def request(self, method, url, *args, **kwargs):
        asked = urlsplit(url)
        here = urlsplit(self.base)
        assert asked.netloc in {"insights.twilio.com", here.netloc}
        moved = urlunsplit((here.scheme, here.netloc, asked.path, asked.query, ""))
        return super().request(method, moved, *args, **kwargs)


@pytest.fixture
async def library(simulator):
    """The library's list of rooms, its client, and the simulator behind it."""
    server = await simulator(rooms_per_day=300)
    client = Client("SK" + "1" * 32, "open sesame", http_client=ToTheSimulator(server.base), environment={"_": "_"})
    yield client.insights.v1.rooms, client, server
    client.http_client.session.close()


SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_the_library_lists_every_room_across_pages(library) -> None:
    rooms, _, server = library
    listed = await asyncio.to_thread(rooms.list, created_after=SINCE, page_size=40)
    expected = await server.rooms(CreatedAfter="2026-03-01T12:00:00Z", PageSize="1000")
    assert [room.room_sid for room in listed] == [room["room_sid"] for room in expected]
    assert len(listed) > 200
    assert all(isinstance(room.create_time, datetime) for room in listed)


async def test_the_library_sends_filters_that_the_simulator_understands(library) -> None:
    rooms, _, _ = library
    listed = await asyncio.to_thread(
        rooms.list, room_type=["go", "group_small"], codec=["VP8", "H264"], created_after=SINCE, page_size=5
    )
    assert listed
    assert {str(room.room_type) for room in listed} <= {"go", "group_small"}


async def test_the_library_fetches_a_room_and_its_participants(library) -> None:
    rooms, _, _ = library
    listed = await asyncio.to_thread(rooms.list, created_after=SINCE, page_size=100)
    full = next(room for room in listed if (room.unique_participants or 0) > 2 and room.processing_state == "complete")
    fetched = await asyncio.to_thread(rooms(full.room_sid).fetch)
    assert (fetched.room_name, fetched.end_time, fetched.duration_sec) == (
        full.room_name,
        full.end_time,
        full.duration_sec,
    )
    people = await asyncio.to_thread(rooms(full.room_sid).participants.list, page_size=2)
    assert len(people) == full.unique_participants
    assert sum(person.duration_sec for person in people) == full.total_participant_duration_sec
    one = await asyncio.to_thread(rooms(full.room_sid).participants(people[0].participant_sid).fetch)
    assert one.participant_identity == people[0].participant_identity
    assert isinstance(one.leave_time, datetime)


async def test_the_library_understands_a_missing_room(library) -> None:
    rooms, _, _ = library
    with pytest.raises(TwilioRestException) as caught:
        await asyncio.to_thread(rooms("RM" + "0" * 32).fetch)
    assert (caught.value.status, caught.value.code) == (404, 20404)
    assert "was not found" in caught.value.msg


async def test_the_library_is_refused_with_a_wrong_secret_and_a_page_too_large(library) -> None:
    rooms, client, _ = library
    with pytest.raises(TwilioException) as caught:
        await asyncio.to_thread(rooms.list, limit=5000)
    assert caught.value.args[1].status_code == 400
    assert '"code":20007' in caught.value.args[1].text
    stranger = Client("SK" + "1" * 32, "wrong", http_client=client.http_client, environment={"_": "_"})
    with pytest.raises(TwilioRestException) as refused:
        await asyncio.to_thread(stranger.insights.v1.rooms("RM" + "0" * 32).fetch)
    assert (refused.value.status, refused.value.code) == (401, 20003)


async def test_alertds_client_and_the_library_read_the_same(library, clock) -> None:
    rooms, _, server = library
    listed = await asyncio.to_thread(rooms.list, created_after=SINCE, page_size=70)
    async with open_session() as session:
        ours = InsightsClient(
            session,
            account="simulated",
            base_url=server.base,
            api_key="SK" + "1" * 32,
            api_key_secret="open sesame",
            clock=clock,
        )
        read = [room async for page in ours.list_rooms(created_after=SINCE, page_size=70) for room in page]
        assert [alike(room) for room in read] == [alike(room) for room in listed]
        for place in range(0, len(read), 25):
            sid = read[place].room_sid
            assert alike(await ours.fetch_room(sid)) == alike(await asyncio.to_thread(rooms(sid).fetch))
            people = await asyncio.to_thread(rooms(sid).participants.list)
            assert [alike(one) for one in await ours.list_participants(sid)] == [alike(one) for one in people]


def alike(record: object) -> dict[str, object]:
    """What both sides say of a record, in one spelling."""
    names = ("room_sid", "room_name", "participant_sid", "participant_identity", "create_time", "end_time", "join_time")
    names += ("leave_time", "end_reason", "error_code", "media_region", "edge_location", "duration_sec", "codecs")
    values = {name: getattr(record, name, None) for name in (*names, "processing_state", "publisher_info")}
    if values["participant_sid"]:
        del values["room_sid"]  # alertd keeps participants with their room
    return {name: [*map(str, value or ())] if name == "codecs" else value for name, value in values.items()}
