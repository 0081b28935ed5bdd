"""Rooms that are not final, the stretches in which an account was seen, and which starts were listed."""

from __future__ import annotations

from alertd.engine.coverage import Seen
from alertd.engine.outcome import Sight


async def test_an_open_room_keeps_when_it_was_first_listed_and_takes_what_is_new(store, open_room, sid):
    await store.note_open("production", [open_room(1, listed_at=100, look_again_at=160)])
    again = open_room(1, listed_at=500, ended=450, look_again_at=560, why="processing")
    await store.note_open("production", [again, open_room(2)])
    rooms = await store.open_rooms("production")
    assert rooms[sid(1)] == open_room(1, listed_at=100, ended=450, look_again_at=560, why="processing")
    assert set(rooms) == {sid(1), sid(2)}


async def test_an_open_room_keeps_when_it_started_and_takes_it_when_it_is_told_later(store, open_room, sid):
    await store.note_open("production", [open_room(1), open_room(2, started=70)])
    assert [room.started for room in (await store.open_rooms("production")).values()] == [None, 70]
    await store.note_open("production", [open_room(1, started=60)])
    assert (await store.open_rooms("production"))[sid(1)].started == 60


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


async def test_rooms_that_go_on_are_told_by_the_minute_of_their_start_until_they_are_open_settled_or_a_day_old(
    store, open_room, settling, sid
):
    day = 25 * 3600
    await store.note_going("a", {sid(1): 600, sid(2): 659, sid(3): 660}, now=700)
    await store.note_going("a", {sid(2): 659, sid(4): 720}, now=730)  # told twice
    await store.note_going("b", {sid(1): 600}, now=730)
    assert (await store.snapshot(730)).going == {"a": {10: 2, 11: 1, 12: 1}, "b": {10: 1}}
    await store.note_open("a", [open_room(1, account="a", ended=740)])
    await store.settle([settling(3, account="a", ended=750)], now=760)
    assert (await store.snapshot(760)).going == {"a": {10: 1, 12: 1}, "b": {10: 1}}
    await store.note_going("a", {sid(3): 660}, now=760)  # by a look that began before it settled
    assert (await store.snapshot(760)).going == {"a": {10: 1, 12: 1}, "b": {10: 1}}
    await store.note_going("a", {}, now=660 + day)
    assert (await store.snapshot(660 + day)).going == {"a": {12: 1}, "b": {10: 1}}


async def test_what_settled_of_late_is_told_once_for_each_room_with_its_start(store, settling):
    for at in (1000, 2900, 2950):
        await store.settle([settling(at, ended=at - 100)], now=at)
    await store.settle([settling(2900, ended=2800, room_name="another")], now=3000)  # a changed summary is no new room
    told = (await store.snapshot(3000)).settled
    assert sorted((account, settled) for account, _, settled in told) == [("production", 2900), ("production", 2950)]


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


def part(start: int, end: int, at: int | None, rooms: int = 0) -> Seen:
    return Seen(started_from=start, started_until=end, seen_at=at, rooms=rooms)


async def test_what_was_listed_comes_back_as_it_was_oldest_first(store):
    known = (part(100, 200, 250, rooms=7), part(200, 300, None), part(300, 400, 401, rooms=200_000))
    await store.cover("production", tuple(reversed(known)))
    assert await store.coverage("production") == known


async def test_what_was_listed_takes_the_place_of_what_was_known_before(store):
    await store.cover("production", (part(100, 200, 250), part(200, 300, None)))
    await store.cover("production", (part(150, 350, 350),))
    assert await store.coverage("production") == (part(150, 350, 350),)
    await store.cover("production", ())
    assert await store.coverage("production") == ()


async def test_what_was_listed_is_that_of_one_account(store):
    await store.cover("a", (part(100, 200, 250),))
    await store.cover("b", (part(100, 900, 950), part(900, 950, None)))
    await store.cover("a", (part(100, 300, 350),))
    assert await store.coverage("a") == (part(100, 300, 350),)
    assert await store.coverage("b") == (part(100, 900, 950), part(900, 950, None))
    assert await store.coverage("nobody") == ()


async def test_another_program_sees_at_once_what_was_listed(store, neighbour):
    await store.cover("production", (part(100, 200, 250),))
    assert await neighbour.coverage("production") == (part(100, 200, 250),)


async def test_as_many_parts_as_a_week_leaves_are_kept(store):
    known = tuple(part(at, at + 100, at + 1000, rooms=3) for at in range(0, 30_000, 100))
    await store.cover("production", known)
    assert await store.coverage("production") == known


async def test_a_decision_knows_what_has_been_listed_of_each_account(store):
    part = Seen(started_from=100, started_until=400, seen_at=400, rooms=3)
    later = Seen(started_from=400, started_until=460, seen_at=470)
    await store.cover("b", (part, later))
    await store.cover("a", (part,))
    assert (await store.snapshot(500)).coverage == {"a": (part,), "b": (part, later)}
