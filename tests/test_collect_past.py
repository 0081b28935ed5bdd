"""The past is read newest first and once, whatever interrupts it; what cannot be read is said before it is too late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from alertd.collect import Collector
from alertd.engine.settle import FRESH
from alertd.errors import CircuitOpenError, CredentialsError, SourceError

MINUTE = 60
HOUR = 3600
DAY = 86400


@pytest.fixture
def collector_of(twilio, store, clock) -> Callable[..., Collector]:
    """Makes a collector of the account; keywords replace its settings."""

    def make(**settings: Any) -> Collector:
        usual = {"look_back": 25 * HOUR, "settle_timeout": 1800, "every": 60, "holder": "test"}
        return Collector(twilio, store, clock, **(usual | settings))

    return make


@pytest.fixture
def collector(collector_of) -> Collector:
    return collector_of()


@dataclass
class Lists:
    """How lists go: how many seconds each takes, and which fail, by the starts that they are asked for."""

    seconds: float = 0.0
    failing: Callable[[float, float], Exception | None] = lambda after, before: None


@pytest.fixture
def lists(twilio, clock) -> Lists:
    """Lets a test decide how Twilio's lists go."""
    answer, told = twilio.list_rooms, Lists()

    async def list_rooms(*, created_after, created_before=None) -> AsyncIterator[list[Any]]:
        clock.reading += told.seconds
        before = clock.now() if created_before is None else created_before.timestamp()
        if error := told.failing(created_after.timestamp(), before):
            raise error
        yield []  # Twilio answers with an empty page where there are no rooms
        async for page in answer(created_after=created_after, created_before=created_before):
            yield page

    twilio.list_rooms = list_rooms
    return told


def start(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def asked(twilio) -> list[tuple[int, int | None]]:
    """The starts that lists have been asked for since the last time this was called, as seconds.

    A list begins a second early, should Twilio leave out the very instant that was named.
    """
    found = [(int(a.timestamp()) + 1, None if b is None else int(b.timestamp())) for a, b in twilio.lists]
    twilio.lists.clear()
    return found


async def settled(store, clock) -> set[str]:
    changes = await store.changes(0, int(clock.now()) + DAY, close=False)
    return {change.room.room.room_sid for change in changes if change.sign > 0}


async def troubles(store, clock) -> set[str]:
    return {trouble.kind for trouble in (await store.snapshot(int(clock.now()))).troubles if trouble.until is None}


async def test_the_first_look_goes_back_as_far_as_is_wanted_the_newest_first(collector_of, twilio, store, clock):
    now = int(clock.now())
    wanted = {twilio.add(hours, ended=now - hours * HOUR) for hours in (1, 20, 40, 71)}
    twilio.add(99, ended=now - 73 * HOUR)
    look = await collector_of(backfill=3 * DAY).look(whole=True)
    calls = asked(twilio)
    assert await settled(store, clock) == wanted
    assert calls[0] == (now - FRESH, None)
    assert all(newer[0] == older[1] for newer, older in pairwise(calls))
    assert calls[-1][0] == now - 3 * DAY
    assert (look.missing, look.missing_since, look.unlisted) == (0, None, 0)


async def test_who_wants_more_of_the_past_later_gets_it(collector_of, twilio, store, clock):
    old = twilio.add(1, ended=clock.now() - 5 * DAY)
    await collector_of().look(whole=True)
    assert await settled(store, clock) == set()
    clock.reading += MINUTE
    await collector_of(backfill=6 * DAY).look(whole=True)
    assert await settled(store, clock) == {old}


async def test_a_look_leaves_to_the_next_what_can_wait_but_not_one_that_is_to_see_the_whole(
    collector_of, twilio, clock, lists
):
    lists.seconds = 25
    now = int(clock.now())
    look = await collector_of().look()
    first, second, third, last = asked(twilio)
    assert (first[0], second[1], third[1]) == (now - FRESH, first[0], second[0]), "the newest first"
    assert last[0] == now - 25 * HOUR, "and one of the oldest, or looks that are always too short never come so far"
    assert look.missing > 20 * HOUR
    await collector_of().look(whole=True)
    assert len(asked(twilio)) > 15
    lists.seconds = 0
    assert (await collector_of().look()).missing == 0


async def test_what_may_lack_rooms_has_its_turn_before_what_is_but_gone_over_again(
    collector_of, twilio, store, clock, lists
):
    """After a day without a look the week is due to be listed again; each look ends long before all that is done."""
    began = clock.now()
    collector = collector_of(backfill=6 * DAY)
    await collector.look(whole=True)
    asked(twilio)
    clock.reading += 26 * HOUR
    lost = {twilio.add(hours, ended=began + hours * HOUR) for hours in range(1, 24, 4)}
    lists.seconds = 25
    await collector.look()
    assert asked(twilio)[-1][0] >= began - 26 * HOUR
    for _ in range(30):
        clock.reading += MINUTE
        await collector.look()
    assert await settled(store, clock) == lost


async def test_look_by_look_everything_is_seen_and_each_start_listed_once(collector_of, twilio, store, clock, lists):
    wanted = {twilio.add(hours, ended=clock.now() - hours * HOUR) for hours in range(1, 24)}
    began = int(clock.now())
    collector = collector_of()
    lists.seconds = 25
    calls, looks = [], 0
    while (await collector.look()).missing > 5 * MINUTE:
        calls += asked(twilio)
        looks += 1
        assert looks < 30
    assert await settled(store, clock) == wanted
    past = sorted(call for call in calls if call[1] is not None and call[1] < began - 2 * HOUR)
    assert all(older[1] <= newer[0] for older, newer in pairwise(past))


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_outage_halfway_costs_only_what_was_being_listed(collector_of, twilio, store, clock, lists, restarted):
    now = clock.now()
    wanted = {twilio.add(hours, ended=now - hours * HOUR) for hours in range(1, 24)}
    lists.failing = lambda after, before: CircuitOpenError("left alone") if after < now - 12 * HOUR else None
    collector = collector_of()
    look = await collector.look()
    assert look.error
    assert await troubles(store, clock) == {"poll"}
    reached = asked(twilio)[-1][0]
    assert 11 * HOUR < now - reached <= 12 * HOUR
    lists.failing = lambda after, before: None
    clock.reading += MINUTE
    look = await (collector_of() if restarted else collector).look()
    again = asked(twilio)
    assert again[0][1] is None
    assert again[1][1] == reached
    assert (look.missing, look.error, await troubles(store, clock)) == (0, "", set())
    assert await settled(store, clock) == wanted
    assert {twilio.asked.count(f"{sid}/Participants") for sid in wanted} == {1}


async def test_whoever_is_killed_halfway_goes_on_from_there(collector_of, twilio, store, clock):
    now = clock.now()
    answer, hanging = twilio.list_rooms, asyncio.Event()

    async def list_rooms(*, created_after, created_before=None):
        if created_after < start(now - 12 * HOUR):
            hanging.set()
            await asyncio.Event().wait()
        async for page in answer(created_after=created_after, created_before=created_before):
            yield page

    twilio.list_rooms = list_rooms
    look = asyncio.create_task(collector_of().look())
    await hanging.wait()
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    reached = asked(twilio)[-1][0]
    twilio.list_rooms = answer
    clock.reading += MINUTE
    look = await collector_of().look()
    assert asked(twilio)[1][1] == reached
    assert look.missing == 0


async def test_what_was_being_filled_is_not_forgotten_over_a_long_downtime(collector_of, twilio, store, clock, lists):
    now = clock.now()
    running = twilio.add(1, ended=now + HOUR, create_time=start(now - 20 * HOUR))
    lists.failing = lambda after, before: CircuitOpenError("left alone") if after < now - 12 * HOUR else None
    await collector_of().look()
    lists.failing = lambda after, before: None
    clock.reading += 3 * DAY
    await collector_of().look(whole=True)
    assert await settled(store, clock) == {running}


async def test_after_downtime_what_was_missed_is_read_by_itself(collector, twilio, store, clock):
    await collector.look(whole=True)
    began = clock.now()
    clock.reading += 3 * DAY
    missed = {twilio.add(hours, ended=began + hours * HOUR) for hours in range(1, 72, 7)}
    look = await collector.look()
    assert await settled(store, clock) == missed
    assert (look.missing, look.gap, await troubles(store, clock)) == (0, "", set())
    assert len(await store.sights()) == 2


async def test_an_outage_while_reading_keeps_what_was_read_and_leaves_the_stretch_to_be_listed(
    collector_of, twilio, store, clock
):
    sids = [twilio.add(number, ended=clock.now() - 600) for number in range(1, 61)]
    twilio.broken[f"{sids[30]}/Participants"] = CircuitOpenError("left alone")
    look = await collector_of(readers=1).look()
    assert (look.settled, twilio.asked.count("rooms")) == (30, 1)
    assert "left alone" in look.error
    assert await store.coverage("production") == ()
    assert await store.sights() == ()
    twilio.broken.clear()
    clock.reading += MINUTE
    assert (await collector_of().look()).settled == 30
    assert await store.coverage("production")


async def test_a_room_that_cannot_be_read_does_not_keep_its_start_from_counting_as_listed(
    collector, twilio, store, clock
):
    bad = twilio.add(1, ended=clock.now() - 600)
    twilio.add(2, ended=clock.now() - 600)
    twilio.broken[f"{bad}/Participants"] = SourceError("503 for the fifth time")
    look = await collector.look(whole=True)
    assert (look.unread, look.missing, look.waiting) == (1, 0, 1)


async def test_a_single_room_that_is_refused_holds_up_no_other(collector, twilio, store, clock):
    bad = twilio.add(1, ended=clock.now() - 600, processing_state="in_progress")
    await collector.look(whole=True)
    twilio.unlisted.add(bad)
    twilio.broken[bad] = CredentialsError("403")
    clock.reading += 2 * HOUR
    good = twilio.add(2, ended=clock.now() - 60)
    look = await collector.look()
    assert (look.error, look.unread, look.settled, look.missing) == ("", 0, 1, 0)
    assert await settled(store, clock) == {good}
    assert await troubles(store, clock) == set()


async def test_what_always_fails_holds_up_nothing_else_and_is_said_before_twilio_forgets_it(
    collector, twilio, store, clock, lists
):
    await collector.look(whole=True)
    bad = clock.now() + 5 * HOUR
    lists.failing = lambda after, before: SourceError("500") if after <= bad < before else None
    clock.reading += 30 * HOUR
    look = await collector.look(whole=True)
    assert "500" in look.error
    assert await troubles(store, clock) == {"coverage"}
    assert 0 < look.missing <= HOUR
    assert look.missing_since <= bad
    for day in range(2, 6):
        good = twilio.add(day, ended=clock.now() + 12 * HOUR)
        clock.reading += DAY
        await collector.look(whole=True)
        assert good in await settled(store, clock)
    assert await troubles(store, clock) == {"coverage"}
    clock.reading = bad + 6 * DAY + HOUR
    await collector.look(whole=True)
    assert await troubles(store, clock) == {"coverage"}
    clock.reading = bad + 7 * DAY + HOUR
    look = await collector.look(whole=True)
    assert "were not all read before Twilio forgot them" in look.gap
    assert await troubles(store, clock) == {"coverage", "lost"}
    lists.failing = lambda after, before: None
    await collector.look(whole=True)
    for _ in range(2):
        clock.reading += 11 * MINUTE  # what failed is left alone for a while
        look = await collector.look(whole=True)
    assert (look.missing, look.gap, await troubles(store, clock)) == (0, "", set())


async def test_what_fails_slowly_holds_up_nothing_older(collector, twilio, store, clock, lists):
    await collector.look(whole=True)
    clock.reading += 4 * DAY
    bad = clock.now() - 30 * HOUR
    older = twilio.add(1, ended=bad - 3 * HOUR)

    def failing(after: float, before: float) -> Exception | None:
        if after <= bad < before:
            clock.reading += 150
            return SourceError("no answer within the time-out")
        return None

    lists.failing = failing
    for _ in range(5):
        await collector.look()
        clock.reading += MINUTE
    assert older in await settled(store, clock)


@pytest.mark.parametrize("error", [SourceError("the second page is unreadable"), CircuitOpenError("left alone")])
async def test_what_was_listed_before_a_list_failed_is_read_and_the_rest_is_not_taken_for_seen(
    collector, twilio, store, clock, error
):
    for number in range(1, 51):
        twilio.add(number, ended=clock.now() - 600)
    answer = twilio.list_rooms

    async def list_rooms(**wanted):
        async for page in answer(**wanted):
            yield page
        raise error

    twilio.list_rooms = list_rooms
    look = await collector.look()
    assert (look.settled, look.error) == (50, str(error))
    assert await store.coverage("production") == ()


async def test_judging_goes_on_after_the_first_look_even_if_that_took_a_while(collector, clock, lists):
    lists.seconds = 5
    await collector.look(whole=True)
    assert not collector.catching_up


async def test_judging_waits_while_the_first_look_is_not_through(collector_of, twilio, clock, lists):
    collector = collector_of()
    lists.seconds = 25
    await collector.look()
    assert collector.catching_up
    lists.seconds = 0
    await collector.look()
    assert not collector.catching_up


async def test_a_room_whose_start_nobody_told_is_read_once_a_look(collector, twilio, store, clock):
    sid = twilio.add(1, ended=clock.now() - 600, processing_state="in_progress", create_time=None)
    await collector.look(whole=True)
    twilio.unlisted.add(sid)
    twilio.broken[sid] = SourceError("503 for the fifth time")
    clock.reading += 2 * DAY
    await collector.look(whole=True)
    assert twilio.asked.count(sid) == 1


@pytest.mark.parametrize("hours", [-3, 3])
async def test_a_clock_of_ones_own_that_is_hours_off_misses_nothing(collector, twilio, store, clock, hours):
    """Twilio's clock is `hours` off ours, until somebody sets ours right."""
    twilio.clock_skew = hours * HOUR
    wanted = set()
    for number in range(1, 31):
        now = clock.now() + twilio.clock_skew
        wanted.add(twilio.add(number, ended=now + 300, create_time=start(now - number % 20 * HOUR), of=1))
        if number == 15:
            clock.reading += twilio.clock_skew
            twilio.clock_skew = 0.0
        await collector.look()
        clock.reading += 8 * MINUTE
    look = await collector.look()
    assert await settled(store, clock) == wanted
    assert (look.gap, look.lost, look.unlisted) == ("", 0, 0)


async def test_rooms_that_go_on_for_hours_and_are_listed_only_at_their_end_are_all_found(
    collector, twilio, store, clock
):
    began = clock.now()
    lasting = {twilio.add(hours, ended=began + hours * HOUR, create_time=start(began)): hours for hours in range(1, 24)}
    twilio.unlisted |= lasting.keys()
    for minutes in range(0, 25 * 60, 30):
        twilio.unlisted -= {sid for sid, hours in lasting.items() if hours * 60 + 10 <= minutes}
        await collector.look()
        clock.reading += 30 * MINUTE
    assert await settled(store, clock) == lasting.keys()


async def test_a_list_that_always_fails_is_narrowed_to_where_it_fails(collector, twilio, store, clock, lists):
    bad = clock.now() - 5 * HOUR
    lists.failing = lambda after, before: SourceError("500") if after <= bad < before else None
    around = [
        twilio.add(n, ended=clock.now() - 60, create_time=datetime.fromtimestamp(bad + side * HOUR, UTC))
        for n, side in enumerate((-2, -0.5, 0.5, 2), start=1)
    ]
    for _ in range(120):
        await collector.look()
        clock.reading += MINUTE
    assert set(around) <= await settled(store, clock)
    look = await collector.look()
    assert 0 < look.missing < 600
    assert look.missing_since <= bad
    assert await troubles(store, clock) == {"coverage"}


async def test_rooms_that_stay_unreadable_blind_no_account_and_are_asked_for_less_and_less(
    collector, twilio, store, clock
):
    bad = [twilio.add(n, ended=clock.now() - 60) for n in (1, 2, 3)]
    twilio.broken |= {f"{sid}/Participants": SourceError("500") for sid in bad}
    assert (await collector.look()).blind, "it may be the account"
    for n in range(10, 130):
        clock.reading += MINUTE
        twilio.add(n, ended=clock.now() - 60)
        assert not (await collector.look()).blind
    assert (await store.counts())["rooms"] == 120
    assert max(twilio.asked.count(f"{sid}/Participants") for sid in bad) < 40
    assert await troubles(store, clock) == {"settling"}


async def test_nothing_is_lost_by_a_downtime_that_twilio_remembers(collector, twilio, store, clock):
    await collector.look()
    clock.reading += 6 * DAY + 3 * HOUR
    look = await collector.look(whole=True)
    assert (look.gap, look.missing, await troubles(store, clock)) == ("", 0, set())


async def test_whoever_waits_for_another_alertd_judges_when_that_one_has_caught_up(collector_of, store, clock):
    looks = []
    one, other = collector_of(holder="one"), collector_of(holder="other", looked=looks.append)
    assert await store.take_lease("look/production", "one", int(clock.now()), 600)
    await other.look()
    assert [look.skipped for look in looks] == [True], "that nobody here has to look is known, too"
    assert other.catching_up
    await one.look(whole=True)
    await other.look()
    assert not other.catching_up
    await one.release()
    await other.look()
    assert not looks[-1].skipped
