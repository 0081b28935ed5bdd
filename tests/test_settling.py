"""From listed rooms to stored ones: each read once, changes read again, and what fails costs no more than it must."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from alertd.engine.records import Room
from alertd.errors import CircuitOpenError, CredentialsError, NotFoundError, SourceError, StoreError
from alertd.settling import REMEMBERED, Look, Settler

MINUTE = 60
RECHECK = 600


@pytest.fixture
def settler_of(twilio, store, clock) -> Callable[..., Settler]:
    """Makes a settler of the account; `store` and `readers` replace what it works with."""

    def make(store=store, readers: int = 4) -> Settler:
        return Settler(twilio, store, clock, settle_timeout=1800, recheck=RECHECK, readers=readers)

    return make


@pytest.fixture
def settler(settler_of) -> Settler:
    return settler_of()


async def settle(settler: Settler, *pages: list[Room]) -> Look:
    look = Look(settler.account)
    async with settler.at_work(look, await settler.store.open_rooms(settler.account)) as intake:
        for page in pages:
            await intake.take(page)
        await intake.emptied()
    return look


def page(twilio) -> list[Room]:
    return list(twilio.rooms.values())


def reads(twilio, sid: str) -> int:
    return twilio.asked.count(f"{sid}/Participants")


async def history(store, clock) -> list[tuple[int, int]]:
    """Every change that the store knows of: the sign, and how many participants the room has."""
    changes = await store.changes(0, int(clock.now()) + 10, close=False)
    return [(change.sign, len(change.room.participants)) for change in changes]


async def test_a_room_that_is_twice_on_a_page_or_on_two_is_read_once(settler, twilio, store, clock):
    sid = twilio.add(1, ended=clock.now() - 600)
    other = twilio.add(2, ended=clock.now() - 600)
    look = await settle(settler, page(twilio) * 2, page(twilio))
    assert (look.listed, look.settled) == (6, 2)
    assert (reads(twilio, sid), reads(twilio, other)) == (1, 1)
    assert (await store.counts())["rooms"] == 2


async def test_a_room_that_changes_between_two_pages_is_read_once_in_this_look(settler, twilio, clock):
    sid = twilio.add(1, ended=clock.now() - 600)
    early = page(twilio)
    twilio.add(1, ended=clock.now() - 600, duration_sec=601)
    assert (await settle(settler, early, page(twilio))).settled == 1
    assert reads(twilio, sid) == 1


async def test_a_summary_that_changed_is_read_again_when_it_has_stood_and_takes_the_place_of_the_old(
    settler, twilio, store, clock
):
    ended = clock.now() - 600
    sid = twilio.add(1, ended=ended, of=2)
    await settle(settler, page(twilio))
    twilio.add(1, ended=ended, of=3, duration_sec=601)
    clock.reading += RECHECK - 1
    look = await settle(settler, page(twilio))
    assert (look.settled, reads(twilio, sid)) == (0, 1), "it may go on to change"
    clock.reading += 1
    look = await settle(settler, page(twilio))
    assert (look.settled, look.corrected, reads(twilio, sid)) == (1, 1, 2)
    assert await history(store, clock) == [(1, 2), (-1, 2), (1, 3)]
    clock.reading += 2 * RECHECK
    assert (await settle(settler, page(twilio))).settled == 0
    assert reads(twilio, sid) == 2


async def test_changes_in_quick_succession_are_read_once(settler, twilio, clock):
    ended = clock.now() - 600
    sid = twilio.add(1, ended=ended)
    for minute in range(15):
        await settle(settler, page(twilio))
        twilio.add(1, ended=ended, duration_sec=600 + min(minute, 7))
        clock.reading += MINUTE
    assert reads(twilio, sid) == 2


async def test_a_restart_in_between_reads_no_sooner_and_no_more(settler_of, twilio, clock):
    ended = clock.now() - 600
    sid = twilio.add(1, ended=ended)
    await settle(settler_of(), page(twilio))
    twilio.add(1, ended=ended, duration_sec=601)
    for _ in range(15):
        await settle(settler_of(), page(twilio))
        clock.reading += MINUTE
    assert reads(twilio, sid) == 2


async def test_a_room_that_had_been_given_up_is_read_again_at_once_when_it_changes(settler, twilio, store, clock):
    ended = clock.now() - 1800
    sid = twilio.add(1, ended=ended, processing_state="in_progress", of=1)
    assert (await settle(settler, page(twilio))).given_up == 1
    twilio.add(1, ended=ended, of=2)
    clock.reading += 1
    assert (await settle(settler, page(twilio))).corrected == 1
    assert reads(twilio, sid) == 2
    assert await history(store, clock) == [(1, 1), (-1, 1), (1, 2)]


async def test_a_room_that_goes_on_is_not_waited_for_and_one_that_has_ended_is(settler, twilio, store, clock):
    twilio.add(1, ended=None, room_status="in_progress", processing_state="in_progress")
    ended = twilio.add(2, ended=clock.now() - 60, processing_state="in_progress")
    assert (await settle(settler, page(twilio))).settled == 0
    (waiting,) = (await store.open_rooms("production")).values()
    assert (waiting.room_sid, waiting.ended, waiting.started) == (ended, clock.now() - 60, clock.now() - 660)
    assert waiting.look_again_at == clock.now() + MINUTE


async def test_a_room_that_was_waited_for_though_it_is_stored_is_waited_for_no_more(settler, twilio, store, clock):
    sid = twilio.add(1, ended=clock.now() - 300)
    await settle(settler, page(twilio))
    final = page(twilio)
    twilio.add(1, ended=clock.now() - 300, processing_state="in_progress")
    await settle(settler, page(twilio))
    assert set(await store.open_rooms("production")) == {sid}
    await settle(settler, final)
    assert await store.open_rooms("production") == {}
    assert reads(twilio, sid) == 1


async def test_twilios_clock_decides_when_a_room_is_given_up(settler, twilio, clock):
    twilio.clock_skew = 7200.0
    twilio.add(1, ended=clock.now() + 7200 - 1799, processing_state="in_progress")
    assert (await settle(settler, page(twilio))).settled == 0
    clock.reading += 1
    assert (await settle(settler, page(twilio))).given_up == 1


async def test_several_rooms_are_read_at_once_but_no_more_than_there_are_readers(settler_of, twilio, clock):
    for number in range(1, 21):
        twilio.add(number, ended=clock.now() - 600)
    reading, most = 0, 0
    answer = twilio.list_participants

    async def slowly(sid):
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        for _ in range(5):
            await asyncio.sleep(0)
        reading -= 1
        return await answer(sid)

    twilio.list_participants = slowly
    assert (await settle(settler_of(readers=3), page(twilio))).settled == 20
    assert most == 3


@pytest.mark.parametrize(
    "error", [SourceError("503 for the fifth time"), CredentialsError("403"), NotFoundError("404")]
)
async def test_a_room_that_cannot_be_read_holds_up_no_other_and_waits(settler, twilio, store, clock, error):
    bad, *good = [twilio.add(number, ended=clock.now() - 600) for number in range(1, 11)]
    twilio.broken[f"{bad}/Participants"] = error
    look = await settle(settler, page(twilio))
    assert (look.settled, look.unread, look.blind) == (9, 1, False)
    assert set(await store.open_rooms("production")) == {bad}
    twilio.broken.clear()
    clock.reading += MINUTE
    assert (await settle(settler, page(twilio))).settled == 1
    assert [reads(twilio, sid) for sid in (bad, *good)] == [2] + [1] * 9


async def test_an_outage_keeps_what_was_read_and_asks_for_nothing_more(settler_of, twilio, store, clock):
    sids = [twilio.add(number, ended=clock.now() - 600) for number in range(1, 101)]
    twilio.broken[f"{sids[40]}/Participants"] = CircuitOpenError("Twilio is left alone for a while")
    settler = settler_of(readers=1)
    with pytest.raises(CircuitOpenError, match="left alone"):
        await settle(settler, page(twilio))
    assert len(twilio.asked) == 41
    assert (await store.counts())["rooms"] == 40
    assert await store.open_rooms("production") == {}
    twilio.broken.clear()
    assert (await settle(settler, page(twilio))).settled == 60
    assert {reads(twilio, sid) for sid in sids[:40]} == {1}


class Full:
    """A store whose disk is full."""

    def __init__(self, store) -> None:
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def settle(self, *_):
        raise StoreError("the disk is full")

    async def note_open(self, *_):
        raise StoreError("the disk is full")


@pytest.mark.parametrize("state", ["complete", "in_progress"])
async def test_a_database_that_fails_ends_the_look_with_its_own_error(settler_of, twilio, store, clock, state):
    for number in range(1, 1001):
        twilio.add(number, ended=clock.now() - 600, processing_state=state, of=0)
    with pytest.raises(StoreError, match="disk is full"):
        await settle(settler_of(Full(store)), page(twilio), page(twilio))


async def broken_off(settler: Settler, page: list[Room], error: Exception) -> None:
    async with settler.at_work(Look(settler.account), {}) as intake:
        await intake.take(page)
        raise error


async def test_what_fails_around_the_reading_comes_out_as_it_is(settler, twilio, clock):
    twilio.add(1, ended=clock.now() - 600)
    with pytest.raises(SourceError, match="second page"):
        await broken_off(settler, page(twilio), SourceError("the second page did not come"))


async def test_no_reader_outlives_its_look_however_that_ends(settler, twilio, clock):
    twilio.add(1, ended=clock.now() - 600)
    reading = asyncio.Event()

    async def never(_):
        reading.set()
        await asyncio.Event().wait()

    twilio.list_participants = never
    before = asyncio.all_tasks()
    look = asyncio.create_task(settle(settler, page(twilio)))
    await reading.wait()
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    assert asyncio.all_tasks() == before


async def test_a_room_that_was_cut_off_is_not_forgotten(settler, twilio, store, clock):
    twilio.add(1, ended=clock.now() - 600)
    with pytest.raises(SourceError):
        await broken_off(settler, page(twilio), SourceError("the second page did not come"))
    await settle(settler, page(twilio))
    assert (await store.counts())["rooms"] == 1


async def test_only_so_many_summaries_are_remembered_and_the_oldest_go_first(settler, twilio, store, clock):
    settler.known |= {f"RM{number:032x}": b"" for number in range(10, REMEMBERED + 10)}
    sid = twilio.add(1, ended=clock.now() - 600)
    await settle(settler, page(twilio))
    assert len(settler.known) == REMEMBERED
    assert sid in settler.known
    assert f"RM{10:032x}" not in settler.known


async def test_what_was_forgotten_is_asked_of_the_database_and_not_of_twilio(settler, twilio, clock):
    sid = twilio.add(1, ended=clock.now() - 600)
    await settle(settler, page(twilio))
    settler.known.clear()
    clock.reading += 2 * RECHECK
    assert (await settle(settler, page(twilio))).settled == 0
    assert reads(twilio, sid) == 1
