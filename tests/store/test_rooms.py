"""Settled rooms: counted once, known from one instant on, replaced when they change, never known in hindsight."""

from __future__ import annotations

import asyncio

from alertd.engine.outcome import Outcome
from alertd.engine.ticks import Change
from alertd.store import Store, Stored, digest


def told(changes: list[Change]) -> list[tuple[int, int, int]]:
    """Instant, number of the room, sign."""
    return [(change.at, int(change.room.room.room_sid[-8:], 16), change.sign) for change in changes]


async def shown(store: Store, at: int, ended_after: int = 0) -> list[int]:
    """Numbers of the rooms that were visible at an instant."""
    return [int(room.room.room_sid[-8:], 16) async for batch in store.visible(at, ended_after) for room in batch]


async def test_a_settled_room_comes_back_whole(store, settling):
    room = settling(7, people=3, ended=900, room_name="<!channel>\x00é", media_region="au1")
    assert await store.settle([room], now=1000) == 1
    (change,) = await store.changes(after=0, upto=1000)
    assert (change.at, change.sign) == (1000, 1)
    assert (change.room.room, change.room.participants) == (room.room, room.participants)
    assert (change.room.account, change.room.ended, change.room.known_at) == ("production", 900, 1000)
    assert not change.room.partial


async def test_a_sid_of_any_shape_comes_back_as_it_was(store, settling):
    odd = ["RM" + "A" * 32, "RMshort", "", "0123456789abcde", "0123456789abcd", "x" * 300, "RM\x00\x00"]
    await store.settle([settling(room_sid=sid) for sid in odd], now=10)
    assert {change.room.room.room_sid for change in await store.changes(0, 10)} == set(odd)
    assert set(await store.stored("production", odd)) == set(odd)


async def test_a_room_is_counted_once_however_often_it_settles(store, settling):
    room = settling(1, people=4)
    assert await store.settle([room, room], now=1000) == 1
    assert await store.settle([room], now=1060) == 0
    assert told(await store.changes(0, 2000)) == [(1000, 1, 1)]
    counts = await store.counts()
    assert (counts["rooms"], counts["participants"]) == (1, 4)


async def test_the_same_sid_in_two_accounts_is_two_rooms(store, settling):
    assert await store.settle([settling(1, account="a"), settling(1, account="b")], now=5) == 2
    assert [change.room.account for change in await store.changes(0, 5)] == ["a", "b"]


async def test_a_changed_summary_takes_the_old_ones_place(store, settling):
    await store.settle([settling(1, people=2, duration_sec=10)], now=1000)
    assert await store.settle([settling(1, people=5, duration_sec=99)], now=1100) == 1
    changes = await store.changes(0, 1100)
    assert told(changes) == [(1000, 1, 1), (1100, 1, -1), (1100, 1, 1)]
    assert [len(change.room.participants) for change in changes] == [2, 2, 5]
    assert [change.room.replaced_at for change in changes] == [None, 1100, None]
    counts = await store.counts()
    assert (counts["rooms"], counts["participants"]) == (1, 5)


async def test_the_past_still_shows_what_was_known_then(store, settling):
    await store.settle([settling(1, duration_sec=10)], now=1000)
    await store.settle([settling(1, duration_sec=99), settling(2)], now=1100)
    (before,) = [room async for batch in store.visible(1099, 0) for room in batch]
    assert (before.room.duration_sec, before.replaced_at) == (10, None)
    assert await shown(store, 1100) == [1, 2]
    assert await shown(store, 999) == []


async def test_a_room_replaced_within_its_first_second_was_never_seen(store, settling):
    await store.settle([settling(1, duration_sec=10)], now=1000)
    await store.settle([settling(1, duration_sec=99)], now=1000)
    (change,) = await store.changes(0, 2000)
    assert (change.sign, change.room.room.duration_sec) == (1, 99)


async def test_a_clock_set_back_shows_one_summary_at_a_time(store, settling):
    for now, duration in ((1000, 10), (1001, 20), (900, 10), (900, 30)):
        await store.settle([settling(1, duration_sec=duration)], now=now)
    await store.settle([settling(2)], now=900)
    assert told(await store.changes(0, 2000)) == [(900, 2, 1), (1000, 1, 1), (1001, 1, -1), (1001, 1, 1)]
    assert [await shown(store, at) for at in (900, 1000, 1001)] == [[2], [1, 2], [1, 2]]


async def test_nothing_becomes_known_at_or_before_what_was_read(store, settling):
    await store.settle([settling(1)], now=1000)
    assert told(await store.changes(0, 1060)) == [(1000, 1, 1)]
    await store.settle([settling(2)], now=1030)
    assert told(await store.changes(0, 1060)) == [(1000, 1, 1)]
    assert told(await store.changes(1060, 1120)) == [(1061, 2, 1)]


async def test_nothing_becomes_known_at_or_before_what_was_committed(store, settling):
    assert await store.commit(Outcome(), expected=None, until=5000)
    await store.settle([settling(1)], now=1000)
    assert await store.next_change(0) == 5001


async def test_looking_over_the_past_closes_nothing(store, settling):
    assert await store.changes(0, 9999, close=False) == []
    await store.settle([settling(1)], now=1000)
    assert await store.next_change(0) == 1000


async def test_an_interval_holds_its_end_and_not_its_beginning(store, settling):
    for number, now in ((1, 100), (2, 101), (3, 160), (4, 161)):
        await store.settle([settling(number)], now=now)
    assert told(await store.changes(100, 160)) == [(101, 2, 1), (160, 3, 1)]


async def test_changes_come_in_order_of_instant_account_and_sid_ceasing_first(store, settling):
    await store.settle([settling(number, account=account) for account in "ba" for number in (2, 1)], now=50)
    await store.settle([settling(1, account="b", duration_sec=9), settling(2, account="a", duration_sec=9)], now=60)
    changes = await store.changes(0, 60)
    assert [(change.at, change.room.account, *told([change])[0][1:]) for change in changes] == [
        (50, "a", 1, 1),
        (50, "a", 2, 1),
        (50, "b", 1, 1),
        (50, "b", 2, 1),
        (60, "a", 2, -1),
        (60, "a", 2, 1),
        (60, "b", 1, -1),
        (60, "b", 1, 1),
    ]


async def test_the_next_change_is_a_room_that_came_or_went(store, settling):
    assert await store.next_change(0) is None
    await store.settle([settling(1)], now=100)
    await store.settle([settling(1, duration_sec=9)], now=200)
    assert [await store.next_change(after) for after in (0, 99, 100, 199, 200)] == [100, 100, 200, 200, None]


async def test_rooms_come_in_batches_by_when_they_ended(store, settling):
    await store.settle([settling(number, ended=2000 - number // 2) for number in range(450)], now=3000)
    batches = [batch async for batch in store.visible(3000, 1800)]
    ended = [room.ended for batch in batches for room in batch]
    assert [len(batch) for batch in batches] == [200, 200]
    assert ended == sorted(ended)
    assert ended[0] == 1801
    assert len(await shown(store, 3000, ended_after=0)) == 450


async def test_a_full_last_batch_is_followed_by_nothing(store, settling):
    await store.settle([settling(number) for number in range(200)], now=3000)
    assert [len(batch) async for batch in store.visible(3000, 0)] == [200]


async def test_what_is_stored_of_rooms_is_what_settled_last_that_settled_in_this_account(store, settling, sid):
    await store.settle([settling(1), settling(2, account="other")], now=100)
    await store.settle([settling(1, duration_sec=9)], now=200)
    known = await store.stored("production", [sid(1), sid(2), sid(3)])
    assert known == {sid(1): Stored(digest(settling(1, duration_sec=9).room), known_at=200, partial=False)}
    assert await store.stored("nobody", [sid(1)]) == {}


async def test_a_digest_changes_with_the_summary_but_not_with_its_spelling(settling):
    plain = digest(settling(1, processing_state="in_progress").room)
    assert plain == digest(settling(1, processing_state="in-progress", concurrent_participants=3).room)
    assert plain != digest(settling(1, processing_state="complete").room)
    assert plain != digest(settling(1, processing_state="in_progress", duration_sec=1).room)


async def test_more_rooms_than_a_statement_takes_values_settle_in_one_go(store, settling):
    many = [settling(number, people=0) for number in range(2500)]
    assert await store.settle(many, now=10) == 2500
    assert await store.settle(many, now=20) == 0
    assert len(await store.stored("production", [one.room.room_sid for one in many])) == 2500


async def test_two_programs_that_settle_the_same_rooms_at_once_count_each_once(store, neighbour, settling):
    batches = [[settling(number) for number in order] for order in (range(40), range(39, -1, -1))]
    stored = await asyncio.gather(*(where.settle(batch, now=9) for where in (store, neighbour) for batch in batches))
    assert sum(stored) == 40
    assert len(await store.changes(0, 9)) == 40


async def test_no_evaluation_misses_a_room_that_settles_while_it_reads(store, neighbour, settling):
    """One program settles rooms at a clock that stands still, another reads interval after interval."""

    async def settle_all() -> None:
        for number in range(60):
            await neighbour.settle([settling(number)], now=number // 4)

    async def read_all() -> list[Change]:
        found: list[Change] = []
        after = -1
        while not writing.done() or await store.next_change(after) is not None:
            found += await store.changes(after, after + 1)
            after += 1
        return found

    writing = asyncio.create_task(settle_all())
    found = await read_all()
    await writing
    assert sorted(number for _, number, _ in told(found)) == list(range(60))
