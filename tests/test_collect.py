"""Collecting misses no room, counts each once, and says so when it is blind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from alertd.collect import Collector
from alertd.errors import CredentialsError, NotFoundError, SourceError, StoreError

HOUR = 3600
Look = Callable[..., Any]


@pytest.fixture
def collector(twilio, store, clock) -> Collector:
    return Collector(twilio, store, clock, look_back=25 * HOUR, settle_timeout=1800, every=60, holder="test")


async def settled(store, upto: float) -> dict[str, Any]:
    changes = await store.changes(0, int(upto) + 10, close=False)
    return {change.room.room.room_sid: change.room for change in changes if change.sign > 0}


async def troubles(store, now: float) -> set[str]:
    return {trouble.kind for trouble in (await store.snapshot(int(now))).troubles if trouble.until is None}


async def test_a_complete_room_is_stored_with_all_its_participants(collector, twilio, store, clock):
    sid = twilio.add(1, ended=clock.now() - 600, failed=2)
    look = await collector.look()
    room = (await settled(store, clock.now()))[sid]
    assert (look.settled, room.partial, room.ended) == (1, False, int(clock.now()) - 600)
    assert [one.error_code for one in room.participants].count(53405) == 2


async def test_a_room_is_fetched_once_however_often_it_is_listed(collector, twilio, store, clock):
    sid = twilio.add(1, ended=clock.now() - 600)
    for _ in range(3):
        await collector.look()
        clock.reading += 60
    assert twilio.asked.count(f"{sid}/Participants") == 1
    assert (await store.counts())["rooms"] == 1


async def test_a_restart_does_not_fetch_a_settled_room_again(collector, twilio, store, clock):
    sid = twilio.add(1, ended=clock.now() - 600)
    await collector.look()
    again = Collector(twilio, store, clock, look_back=25 * HOUR, settle_timeout=1800, every=60, holder="test")
    assert (await again.look()).settled == 0
    assert twilio.asked.count(f"{sid}/Participants") == 1


@pytest.mark.parametrize("state", ["in_progress", "in-progress", "not_started", "something_new", None])
async def test_a_room_whose_summary_is_not_final_waits(collector, twilio, store, clock, state):
    sid = twilio.add(1, ended=clock.now() - 600, processing_state=state)
    look = await collector.look()
    assert (look.settled, look.waiting) == (0, 1)
    twilio.add(1, ended=clock.now() - 600)
    assert (await collector.look()).settled == 1
    assert not (await settled(store, clock.now()))[sid].partial


async def test_a_room_that_never_settles_is_given_up_as_partial(collector, twilio, store, clock):
    sid = twilio.add(1, ended=clock.now() - 1799, processing_state="in_progress")
    assert (await collector.look()).settled == 0
    clock.reading += 1
    look = await collector.look()
    assert (look.settled, look.given_up) == (1, 1)
    assert (await settled(store, clock.now()))[sid].partial


async def test_a_room_that_twilio_itself_gave_up_is_partial_at_once(collector, twilio, store, clock):
    sid = twilio.add(1, ended=clock.now() - 60, processing_state="timeout")
    await collector.look()
    assert (await settled(store, clock.now()))[sid].partial


async def test_a_room_given_up_that_completes_after_all_is_read_again(collector, twilio, store, clock):
    sid = twilio.add(1, ended=clock.now() - 2000, processing_state="in_progress")
    await collector.look()
    twilio.add(1, ended=clock.now() - 2000, failed=3)
    clock.reading += 60
    assert (await collector.look()).settled == 1
    room = (await settled(store, clock.now()))[sid]
    assert not room.partial
    assert sum(one.error_code == 53405 for one in room.participants) == 3
    assert (await store.counts())["rooms"] == 1


async def test_a_room_in_progress_is_left_alone_until_it_ends(collector, twilio, store, clock):
    start = datetime.fromtimestamp(clock.now() - 23 * HOUR, UTC)
    sid = twilio.add(1, ended=None, room_status="in-progress", processing_state="in-progress", create_time=start)
    look = await collector.look()
    assert (look.settled, look.waiting) == (0, 0)
    assert (await store.snapshot(0)).going == {"production": {int(start.timestamp()) // 60: 1}}
    twilio.add(1, ended=clock.now() + HOUR, create_time=start)
    clock.reading += 1.5 * HOUR
    await collector.look()
    assert (await store.snapshot(0)).going == {}
    assert sid in await settled(store, clock.now())


async def test_a_room_listed_late_and_out_of_order_is_found(collector, twilio, store, clock):
    late = twilio.add(1, ended=clock.now() - 1500)
    twilio.unlisted.add(late)
    twilio.add(2, ended=clock.now() - 300)
    await collector.look()
    twilio.unlisted.clear()
    clock.reading += 60
    await collector.look()
    assert late in await settled(store, clock.now())


async def test_an_open_room_that_is_listed_no_more_is_read_by_itself(collector, twilio, store, clock):
    sid = twilio.add(1, ended=clock.now() - 600, processing_state="in_progress")
    await collector.look()
    twilio.add(1, ended=clock.now() - 600)
    twilio.unlisted.add(sid)
    clock.reading += 120
    await collector.look()
    assert sid in twilio.asked
    assert sid in await settled(store, clock.now())


async def test_in_a_small_account_long_rooms_are_found_as_soon_as_short_ones(collector, twilio, store, clock):
    await collector.look()
    clock.reading += 60
    long = twilio.add(1, ended=clock.now() - 30, create_time=datetime.fromtimestamp(clock.now() - 20 * HOUR, UTC))
    short = twilio.add(2, ended=clock.now() - 30)
    await collector.look()
    assert set(await settled(store, clock.now())) == {short, long}


async def test_after_days_of_downtime_the_look_reaches_back_to_what_was_missed(collector, twilio, store, clock):
    await collector.look()
    missed = twilio.add(1, ended=clock.now() + 2 * HOUR)
    clock.reading += 3 * 24 * HOUR
    await collector.look()
    assert missed in await settled(store, clock.now())


async def test_a_vanished_room_is_reported_as_lost(collector, twilio, store, clock):
    sid = twilio.add(1, ended=clock.now() - 600, processing_state="in_progress")
    await collector.look()
    del twilio.rooms[sid]
    clock.reading += 300
    look = await collector.look()
    assert (look.lost, look.waiting) == (0, 1), "404 may only mean not yet"
    clock.reading += 1800
    look = await collector.look()
    assert (look.lost, look.waiting) == (1, 0)
    assert "lost" in await troubles(store, clock.now())


async def test_one_unreadable_room_holds_up_no_other_and_is_tried_again(collector, twilio, store, clock):
    bad = twilio.add(1, ended=clock.now() - 600)
    good = twilio.add(2, ended=clock.now() - 600)
    twilio.broken[f"{bad}/Participants"] = SourceError("503 for the fifth time")
    look = await collector.look()
    assert (look.settled, look.unread) == (1, 1)
    assert set(await settled(store, clock.now())) == {good}
    twilio.broken.clear()
    clock.reading += 60
    await collector.look()
    assert set(await settled(store, clock.now())) == {good, bad}


async def test_participants_that_stay_unfound_make_the_room_partial_and_lost(collector, twilio, store, clock):
    sid = twilio.add(1, ended=clock.now() - 600)
    twilio.broken[f"{sid}/Participants"] = NotFoundError("not found")
    assert (await collector.look()).settled == 0
    clock.reading += 3600
    look = await collector.look()
    assert (look.settled, look.lost) == (1, 1)
    assert (await settled(store, clock.now()))[sid].participants == ()


@pytest.mark.parametrize(
    ("error", "kind"), [(SourceError("no route to host"), "poll"), (CredentialsError("401 (20003)"), "credentials")]
)
async def test_blindness_is_said_and_taken_back(collector, twilio, store, clock, error, kind):
    twilio.broken["rooms"] = error
    assert (await collector.look()).error
    assert await troubles(store, clock.now()) == {kind}
    assert await store.sights() == ()
    twilio.broken.clear()
    clock.reading += 3600
    assert not (await collector.look()).error
    assert await troubles(store, clock.now()) == set()


async def test_a_refused_key_is_asked_about_less_and_less_often(collector, twilio, clock):
    twilio.broken["rooms"] = CredentialsError("401 (20003)")
    for _ in range(60):
        await collector.look()
        clock.reading += 60
    assert 6 <= twilio.asked.count("rooms") <= 12


async def test_a_clock_set_back_after_a_refusal_keeps_nobody_waiting(collector, twilio, store, clock):
    clock.reading += 20 * 24 * HOUR
    twilio.broken["rooms"] = CredentialsError("401 (20003)")
    await collector.look()
    twilio.broken.clear()
    clock.reading -= 20 * 24 * HOUR
    look = await collector.look()
    assert (look.skipped, look.error) == (False, "")


async def test_one_room_that_is_refused_holds_up_no_other(collector, twilio, store, clock):
    for number in range(60):
        twilio.add(number + 1, ended=clock.now() - 600)
    third = f"RM{60:032x}/Participants"
    twilio.broken[third] = CredentialsError("403")
    look = await collector.look()
    assert (look.error, look.settled, look.unread) == ("", 59, 1)
    twilio.broken.clear()
    clock.reading += 3600
    await collector.look()
    assert (await store.counts())["rooms"] == 60


async def test_clock_skew_and_malformed_records_are_troubles_of_their_own(collector, twilio, store, clock):
    twilio.clock_skew = 300.0
    twilio.faults["rooms[].end_time"] += 2
    await collector.look()
    assert await troubles(store, clock.now()) == {"clock", "records"}
    twilio.clock_skew = 1.0
    clock.reading += 60
    await collector.look()
    assert await troubles(store, clock.now()) == set()


async def test_two_alertd_do_not_look_at_the_same_account_at_once(collector, twilio, store, clock):
    other = Collector(twilio, store, clock, look_back=25 * HOUR, settle_timeout=1800, every=60, holder="other")
    await collector.look()
    assert (await other.look()).skipped
    clock.reading += 120
    assert not (await other.look()).skipped


async def test_trouble_that_another_alertd_told_is_taken_back_by_whoever_looks_next(collector, twilio, store, clock):
    other = Collector(twilio, store, clock, look_back=25 * HOUR, settle_timeout=1800, every=60, holder="other")
    await collector.look()
    clock.reading += 120
    twilio.broken["rooms"] = SourceError("no route to host")
    await other.look()
    assert await troubles(store, clock.now()) == {"poll"}
    twilio.broken.clear()
    clock.reading += 120
    await collector.look()
    assert await troubles(store, clock.now()) == set()


async def test_a_stored_room_that_only_seemed_to_be_open_again_is_not_waited_for_for_ever(
    collector, twilio, store, clock
):
    ended = clock.now() - 300
    sid = twilio.add(1, ended=ended)
    await collector.look()
    twilio.add(1, ended=ended, processing_state="in_progress")
    clock.reading += 60
    assert (await collector.look()).waiting == 1
    twilio.add(1, ended=ended)
    clock.reading += 60
    assert (await collector.look()).waiting == 0
    clock.reading += 8 * 24 * HOUR
    await collector.look()
    assert sid not in twilio.asked


async def test_what_twilio_dropped_while_alertd_was_down_is_said_once_and_an_account_new_here_misses_nothing(
    collector, store, clock
):
    await collector.look()
    assert await troubles(store, clock.now()) == set()
    clock.reading += 9 * 24 * HOUR
    gap = (await collector.look()).gap
    assert (
        "ended between 2026-03-02 12:00:00 and 2026-03-04 12:00:00 UTC were not all read before Twilio forgot them"
        in gap
    )
    assert await troubles(store, clock.now()) == {"lost"}
    clock.reading += 60
    assert not (await collector.look()).gap
    assert await troubles(store, clock.now()) == set()


async def test_an_account_of_which_hardly_a_room_can_be_read_does_not_count_as_seen(collector, twilio, store, clock):
    sids = [twilio.add(number + 1, ended=clock.now() - 60) for number in range(3)]
    twilio.broken |= {f"{sid}/Participants": SourceError("503") for sid in sids[1:]}
    assert (await collector.look()).blind
    assert await store.sights() == ()
    assert await troubles(store, clock.now()) == {"poll"}
    twilio.broken.clear()
    clock.reading += 60
    assert not (await collector.look()).blind
    assert len(await store.sights()) == 1


async def test_a_database_that_fails_between_rooms_is_named_as_it_is(twilio, store, clock):
    class Failing:
        """The store, which takes no open room."""

        def __getattr__(self, name):
            return getattr(store, name)

        async def note_open(self, *_):
            raise StoreError("the database is locked")

    sid = twilio.add(1, ended=clock.now() - 600)
    twilio.broken[f"{sid}/Participants"] = SourceError("503")
    collector = Collector(twilio, Failing(), clock, look_back=25 * HOUR, settle_timeout=1800, every=60, holder="test")
    with pytest.raises(StoreError, match="locked"):
        await collector.look()


async def test_a_gap_is_said_even_if_it_is_longer_than_anything_is_kept(collector, store, clock):
    await collector.look()
    clock.reading += 40 * 24 * HOUR
    await store.prune(int(clock.now()), 35 * 24 * HOUR)
    assert (await collector.look()).gap


async def test_judging_waits_for_the_first_look_and_for_the_first_after_a_gap(collector, twilio, clock):
    assert collector.catching_up
    await collector.look()
    assert not collector.catching_up
    during = []
    listing = twilio.list_rooms

    def noting(**parts):
        during.append(collector.catching_up)
        return listing(**parts)

    twilio.list_rooms = noting
    clock.reading += 60
    await collector.look()
    clock.reading += 3600
    await collector.look()
    assert during == [False, True]


async def test_judging_does_not_wait_for_ever(collector, clock):
    clock.reading += 301
    assert not collector.catching_up
