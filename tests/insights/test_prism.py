"""Prism, an independent server made from Twilio's OpenAPI document, as the other side of the client."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest

from alertd.errors import AlertdError, SourceError

RM, PA = "RM" + "a" * 32, "PA" + "a" * 32
LONG_AGO = datetime(2015, 1, 1, tzinfo=UTC)


async def test_the_examples_of_the_document_are_read(prism, client_of, listed):
    with prism(mode="mock") as base_url:
        client = client_of(base_url)
        (room,) = await listed(client, created_after=LONG_AGO)
        assert (room.room_sid, room.room_type, room.create_time.year) == (RM, "go", 2015)
        assert await client.fetch_room(RM) is not None
        (who,) = await client.list_participants(RM)
        assert (who.participant_sid, who.end_reason) == (PA, "disconnected_via_api")
        assert await client.fetch_participant(RM, PA) is not None
        assert client.faults == {}


async def test_every_filter_is_as_the_document_wants_it(prism, client_of, listed):
    with prism(mode="mock") as base_url:
        rooms = await listed(
            client_of(base_url, tries=1),
            created_after=LONG_AGO,
            created_before=datetime(2026, 3, 2, 12, 0, 0, 5, tzinfo=UTC),
            room_type=["group", "group_small", "peer_to_peer", "go"],
            codec=["VP8", "H264", "VP9"],
            room_name="a b&c+d",
            page_size=1000,
        )
        assert len(rooms) == 1


async def test_a_filter_the_document_forbids_is_refused_without_a_retry(prism, client_of, listed, clock):
    with prism(mode="mock") as base_url:
        with pytest.raises(SourceError, match="HTTP 422"):
            await listed(client_of(base_url), created_after=LONG_AGO, page_size=5000)
        assert clock.waits == []


async def test_made_up_answers_do_no_harm(prism, client_of, listed):
    # They follow the schema but not its sense: lists under keys of their own, links to random hosts, SIDs of any kind.
    with prism(mode="dynamic") as base_url:
        client = client_of(base_url, tries=1)
        with pytest.raises(SourceError, match="the link to the next page"):
            await listed(client, created_after=LONG_AGO)
        for ask in (client.fetch_room(RM), client.list_participants(RM), client.fetch_participant(RM, PA)):
            with contextlib.suppress(AlertdError):
                await ask
