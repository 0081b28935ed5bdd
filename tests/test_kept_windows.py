"""A start goes on from windows that were kept, or from rows if they are of no use; neither changes what is decided.

Nor does it that decisions which change nothing are not written down one by one.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from alertd.engine.counting import Counted, Windows
from alertd.engine.kinds import Anomaly, Count, Rate
from alertd.engine.outcome import Outcome, Policy
from alertd.engine.records import Participant, Room, SettledRoom
from alertd.errors import StoreError
from alertd.evaluate import KEEP_EVERY, MOST_UNWRITTEN, Evaluator
from alertd.replay import Replay
from alertd.store import Settling, open_store
from alertd.store.keeping import pack, unpack

BEGIN = 1_772_452_800
MINUTE, HOUR = 60, 3600


def room(number: int, ended: float, *, failed: int = 0, settled: float = 8, region: str = "ie1") -> SettledRoom:
    """A room of five that ended so many minutes after BEGIN."""
    at = BEGIN + round(ended * MINUTE)
    people = [
        Participant(
            participant_sid=f"PA{number * 10 + place:032x}",
            participant_identity=f"person {place}",
            error_code=53405 if place < failed else None,
            media_region=region,
            leave_time=datetime.fromtimestamp(at, UTC),
        )
        for place in range(5)
    ]
    summary = Room(room_sid=f"RM{number:032x}", room_name="a room", duration_sec=600)
    known_at = at + round(settled * MINUTE)
    return SettledRoom(account="production", room=summary, participants=tuple(people), ended=at, known_at=known_at)


def an_evening(minutes: int = 300, latest: int = 200) -> list[SettledRoom]:
    """Rooms of which some settle `latest` minutes late, with trouble in the second hour."""
    dice = random.Random(3)
    return [
        room(
            number,
            number + dice.random(),
            failed=3 if 60 <= number < 80 else 0,
            settled=dice.choice([3, 8, 8, 25, 25, latest]),
            region=dice.choice(["ie1", "us1"]),
        )
        for number in range(1, minutes)
    ]


class Watched:
    """A ledger that tells how many rooms it read row by row and how often it was written to; it can be made to fail."""

    def __init__(self, ledger: Replay) -> None:
        self.ledger, self.read, self.commits = ledger, 0, 0
        self.dice: random.Random | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    async def visible(self, *asked: int) -> AsyncIterator[list[SettledRoom]]:
        async for batch in self.ledger.visible(*asked):
            self.read += len(batch)
            yield batch

    async def commit(self, outcome: Outcome, *, expected: int | None, until: int) -> bool:
        self.commits += 1
        fate = self.dice.random() if self.dice else 1.0
        if fate < 0.1:
            raise StoreError("the power went before it was written")
        done = await self.ledger.commit(outcome, expected=expected, until=until)
        if fate < 0.2:
            raise StoreError("the power went after it was written")
        return done


class Drawer:
    """Keeps windows as a database does: as bytes."""

    def __init__(self) -> None:
        self.kept: tuple[int, bytes] | None = None
        self.kept_times = self.asked_times = 0
        self.full = False

    async def kept_counted(self, moment: int) -> tuple[int, Counted] | None:
        self.asked_times += 1
        if self.kept is None or self.kept[0] > moment:
            return None
        counted = unpack(self.kept[1])
        return counted and (self.kept[0], counted)

    async def keep_counted(self, at: int, counted: Counted) -> None:
        if self.full:
            raise StoreError("the disk is full")
        self.kept_times += 1
        self.kept = at, pack(counted)


def plain(_field: object, value: str) -> str:
    return value


@pytest.fixture
def policy(losing_media, policy_of) -> Policy:
    return policy_of(
        losing_media(kind=Count(at_least=5), keep_firing_for=1200, by=("account", "media_region")),
        losing_media(alert="Share", kind=Rate(above=0.05, min=20), keep_firing_for=900),
        losing_media(alert="People", kind=Count(at_least=4, of="identities", over=600), by=("room_name",)),
        accounts=("production",),
    )


@pytest.fixture
def world(clock, policy):
    """Lets time pass for a policy over rooms; `restart` is what a crash and a new start come to."""

    class World:
        def __init__(self, rooms, policy=policy) -> None:
            self.ledger, self.drawer, self.policy = Watched(Replay(rooms, begin=BEGIN)), Drawer(), policy
            clock.reading = BEGIN
            self.restart()

        def restart(self, show=plain, keeper=None) -> None:
            keeper = self.drawer if keeper is None else keeper
            self.evaluator = Evaluator(self.ledger, self.policy, clock, show, keeper=keeper)

        async def pass_minutes(self, minutes: int, every: int = 1) -> None:
            for _ in range(0, minutes, every):
                clock.reading += every * MINUTE
                await self.evaluator.turn()

        @property
        def told(self):
            return self.ledger.events, self.ledger.notifications

    return World


async def test_a_start_reads_only_the_rooms_that_are_news_since_they_were_kept(world):
    scene = world(an_evening(latest=30))
    await scene.pass_minutes(120, every=4)
    await scene.evaluator.keep()
    scene.ledger.read = 0
    scene.restart()
    await scene.pass_minutes(12)
    assert scene.ledger.read == 0
    scene.restart(keeper=Drawer())
    await scene.pass_minutes(1)
    assert scene.ledger.read > 80, "without them all rooms that rules look back to"


@pytest.mark.parametrize("seed", range(3))
async def test_starts_from_kept_windows_at_any_moment_change_nothing(world, seed):
    calm, dice = world(an_evening()), random.Random(seed)
    await calm.pass_minutes(360, every=5)
    restless = world(an_evening())
    for _ in range(72):
        if dice.random() < 0.1:
            await restless.evaluator.keep()
        if dice.random() < 0.3:
            restless.restart()
        await restless.pass_minutes(5, every=5)
    assert len(calm.ledger.events) >= 6
    assert restless.told == calm.told


async def test_windows_are_kept_every_ten_minutes_and_no_more_often(world):
    scene = world(an_evening())
    await scene.pass_minutes(121)
    assert scene.drawer.kept_times == 1 + 7200 // KEEP_EVERY


@pytest.mark.parametrize("spoilt", [b"", b"nothing of the kind", pack([])])
async def test_what_was_spoilt_is_counted_again_from_rows(world, spoilt):
    calm = world(an_evening())
    await calm.pass_minutes(200, every=5)
    scene = world(an_evening())
    await scene.pass_minutes(100, every=5)
    scene.ledger.read, scene.drawer.kept = 0, (BEGIN, spoilt)
    scene.restart()
    await scene.pass_minutes(100, every=5)
    assert scene.ledger.read > 50
    assert scene.told == calm.told


async def test_what_makes_a_turn_fail_is_not_tried_twice(world):
    """Bytes that are windows by their shape, but hold nonsense."""

    class Nonsense(Drawer):
        async def kept_counted(self, moment):
            at, counted = await super().kept_counted(moment)
            pasts = {name: past._replace(groups={("production",): None}) for name, past in counted.populations.items()}
            return at, counted._replace(populations=pasts)

    calm = world(an_evening())
    await calm.pass_minutes(200, every=5)
    scene = world(an_evening())
    await scene.pass_minutes(100, every=5)
    nonsense = Nonsense()
    nonsense.kept = scene.drawer.kept
    scene.restart(keeper=nonsense)
    with pytest.raises(AttributeError):
        await scene.pass_minutes(5, every=5)
    await scene.pass_minutes(5, every=5)
    assert nonsense.asked_times == 1
    await scene.pass_minutes(90, every=5)
    assert scene.told == calm.told


async def test_that_they_cannot_be_kept_stops_no_decision(world):
    calm = world(an_evening())
    await calm.pass_minutes(200, every=5)
    full = world(an_evening())
    full.drawer.full = True
    await full.pass_minutes(200, every=5)
    assert full.drawer.kept is None
    assert full.told == calm.told


async def test_who_wants_people_shown_otherwise_finds_none_shown_as_before(world):
    """Names of rooms are in labels, and identities in evidence: both were kept as they were shown then."""
    scene = world(an_evening())
    await scene.pass_minutes(75, every=5)
    await scene.evaluator.keep()
    assert b"a room" in _unzipped(scene.drawer)
    assert b"person 0" in _unzipped(scene.drawer)
    scene.restart(show=lambda field, _value: f"some {field.name}")
    await scene.pass_minutes(5, every=5)
    await scene.evaluator.keep()
    kept = _unzipped(scene.drawer)
    assert b"a room" not in kept
    assert b"person 0" not in kept
    assert b"some room.room_name" in kept


def _unzipped(drawer: Drawer) -> bytes:
    assert drawer.kept is not None
    return zlib.decompress(drawer.kept[1])


@pytest.mark.parametrize("started", [2489, 2497, 2511])
async def test_late_rooms_are_held_against_the_same_past_after_a_start(world, losing_media, policy_of, started):
    """The past by which they are judged lies farther back, and books keep it by the hour."""
    usual = [room(number, 5 * number, failed=int(number % 40 == 0)) for number in range(1, 500)]
    late = [room(1000 + number, 2300 + number, failed=3, settled=190 + number) for number in range(20)]
    anomaly = losing_media(kind=Anomaly(windows=(900, 1800), baseline=12 * HOUR, lag=HOUR, ratio=2.0))
    told = []
    for keeper in (None, Drawer()):
        scene = world(usual + late, policy_of(anomaly))
        await scene.pass_minutes(started, every=started)
        if keeper:
            scene.restart(keeper=keeper)
        await scene.pass_minutes(100, every=1)
        told.append(scene.told)
    assert {event.event for event in told[0][0]} == {"late"}
    assert told[1] == told[0]


@pytest.mark.parametrize("minutes", [5, 47, 200])
def test_books_forget_the_same_whenever_rooms_came_late_and_alertd_was_started(losing_media, minutes):
    rule = losing_media(kind=Anomaly(windows=(900, 1800), baseline=12 * HOUR, lag=HOUR))
    long_lived, started = Windows([rule], plain), Windows([rule], plain)
    for number in range(1, 500):
        for windows in (long_lived, started):
            windows.fold(room(number, 5 * number))
        long_lived.forget(BEGIN // MINUTE + 5 * number, {})
    late = room(1000, 1000, failed=3)
    for windows in (long_lived, started):
        windows.revisited(windows.missing([(late, 1)], {}), BEGIN // MINUTE + 2495)
        windows.fold(late)
    for minute in range(2500, 2500 + minutes + 1):
        long_lived.forget(BEGIN // MINUTE + minute, {})
    started.forget(BEGIN // MINUTE + 2500 + minutes, {})
    firsts = [[group.series.book.first for group in windows.groups(rule)] for windows in (long_lived, started)]
    assert firsts[0] == firsts[1] != [None]


# Decisions that change nothing


async def test_quiet_hours_are_written_down_once_an_hour_and_at_the_end(world):
    scene = world([room(number, number) for number in range(1, 600)])
    await scene.pass_minutes(620, every=620)
    assert await scene.ledger.evaluated_until() == BEGIN + 620 * MINUTE
    assert scene.ledger.commits <= 620 * MINUTE // MOST_UNWRITTEN + 1
    before = scene.ledger.commits
    await scene.pass_minutes(5)
    assert scene.ledger.commits == before + 5, "each turn says how far it came"


@pytest.mark.parametrize("seed", range(4))
async def test_crashes_before_and_after_writing_change_nothing(world, clock, seed):
    calm = world(an_evening())
    await calm.pass_minutes(400, every=20)
    scene = world(an_evening())
    scene.ledger.dice = random.Random(seed)
    failures = 0
    while clock.reading < BEGIN + 400 * MINUTE:
        try:
            await scene.pass_minutes(20, every=20)
        except StoreError:
            failures += 1
            scene.restart()
    scene.ledger.dice = None
    await scene.evaluator.turn()
    assert failures > 2
    assert scene.told == calm.told


async def test_two_evaluators_on_one_postgresql_decide_no_instant_twice(postgres_url, policy, clock, tmp_path):
    rooms = sorted(an_evening(140), key=lambda one: one.known_at)
    stores = [await open_store(postgres_url), await open_store(postgres_url)]
    alone = Replay([one for one in rooms if one.known_at <= BEGIN + 180 * MINUTE], begin=BEGIN - 1)
    try:
        pair = [Evaluator(store, policy, clock, plain, keeper=store) for store in stores]
        for minute in range(0, 181, 3):
            clock.reading = BEGIN + minute * MINUTE
            while rooms and rooms[0].known_at <= clock.reading:
                one = rooms.pop(0)
                await stores[0].settle([_settling(one)], now=one.known_at)
            await stores[0].saw("production", int(clock.reading), 600)
            await asyncio.gather(*(evaluator.turn() for evaluator in pair))
        for evaluator in pair:
            await evaluator.turn()
        events, sent = await stores[1].events(), await stores[1].deliveries(limit=1000)
    finally:
        for store in stores:
            await store.close()
    await Evaluator(alone, policy, clock, plain).turn()
    assert len(events) > 2
    assert events == alone.events
    assert {one.id for one in sent} == {one.id for one in alone.notifications}


def _settling(one: SettledRoom) -> Settling:
    return Settling(account=one.account, room=one.room, participants=one.participants, ended=one.ended)
