"""Rooms that are not final, and the stretches in which an account was seen."""

from __future__ import annotations

from alertd.engine.decide import Sight


async def test_an_open_room_keeps_when_it_was_first_listed_and_takes_what_is_new(store, open_room, sid):
    await store.note_open("production", [open_room(1, listed_at=100, look_again_at=160)])
    again = open_room(1, listed_at=500, ended=450, look_again_at=560, why="processing")
    await store.note_open("production", [again, open_room(2)])
    rooms = await store.open_rooms("production")
    assert rooms[sid(1)] == open_room(1, listed_at=100, ended=450, look_again_at=560, why="processing")
    assert set(rooms) == {sid(1), sid(2)}


async def test_open_rooms_are_those_of_one_account(store, open_room, sid):
    await store.note_open("a", [open_room(1, account="a")])
    await store.note_open("b", [open_room(1, account="b"), open_room(2, account="b")])
    assert set(await store.open_rooms("a")) == {sid(1)}
    assert await store.open_rooms("nobody") == {}
    assert [room.account for room in (await store.snapshot(0)).open_rooms] == ["a", "b", "b"]


async def test_a_room_that_settles_is_no_longer_open(store, open_room, settling, sid):
    await store.note_open("production", [open_room(1), open_room(2)])
    await store.settle([settling(1)], now=200)
    assert set(await store.open_rooms("production")) == {sid(2)}


async def test_a_room_that_settles_again_unchanged_is_no_longer_open_either(store, open_room, settling):
    await store.settle([settling(1)], now=200)
    await store.note_open("production", [open_room(1)])
    assert await store.settle([settling(1)], now=300) == 0
    assert await store.open_rooms("production") == {}


async def test_a_room_that_vanished_is_forgotten_in_its_account_only(store, open_room, sid):
    for account in ("a", "b"):
        await store.note_open(account, [open_room(1, account=account), open_room(2, account=account)])
    await store.drop_open("a", [sid(1), sid(9)])
    await store.drop_open("nobody", [sid(1)])
    assert set(await store.open_rooms("a")) == {sid(2)}
    assert set(await store.open_rooms("b")) == {sid(1), sid(2)}


async def test_what_twilio_writes_as_a_state_is_kept_whatever_it_is(store, open_room, sid):
    await store.note_open("production", [open_room(1, why="half\x00done")])
    assert (await store.open_rooms("production"))[sid(1)].why == "half\ufffddone"


async def test_noting_no_room_changes_nothing(store):
    await store.note_open("production", [])
    assert await store.open_rooms("production") == {}


async def test_polls_without_a_gap_are_one_sight_and_a_gap_begins_another(store):
    for at in (100, 160, 220, 400, 460):
        await store.saw("production", at, gap=90)
    assert await store.sights() == (
        Sight(account="production", seen_from=100, seen_until=220),
        Sight(account="production", seen_from=400, seen_until=460),
    )


async def test_each_account_is_seen_for_itself(store):
    await store.saw("b", 100, gap=60)
    await store.saw("a", 150, gap=60)
    assert [(sight.account, sight.seen_from) for sight in await store.sights()] == [("a", 150), ("b", 100)]


async def test_a_clock_set_back_takes_no_sight_away(store):
    await store.saw("production", 500, gap=60)
    await store.saw("production", 400, gap=60)
    assert await store.sights() == (Sight(account="production", seen_from=500, seen_until=500),)
