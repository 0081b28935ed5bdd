"""Evaluating brings alerts up to the present from what is stored, whatever happened in between."""

from __future__ import annotations

import asyncio
import random

import pytest

from alertd.collect import Collector
from alertd.engine.kinds import Count, Rate
from alertd.errors import SourceError, StoreError
from alertd.evaluate import Evaluator
from alertd.store import open_store

HOUR = 3600


@pytest.fixture
def world(twilio, store, clock, policy_of):
    """Lets minutes pass for a policy, looking and evaluating `every` so many; `evaluator` may be replaced, as by a
    restart."""

    class World:
        def __init__(self, *rules, store=store, **parts) -> None:
            self.store = store
            self.policy = policy_of(*rules, **parts)
            self.collector = Collector(
                twilio, store, clock, look_back=25 * HOUR, settle_timeout=1800, every=60, holder="test"
            )
            self.restart()

        def restart(self) -> None:
            self.evaluator = Evaluator(self.store, self.policy, clock, lambda _, value: value)

        async def pass_minutes(self, minutes: int, *, looking: bool = True, every: int = 1) -> None:
            for _ in range(0, minutes, every):
                clock.reading += 60 * every
                if looking:
                    await self.collector.look()
                await self.evaluator.turn()

        async def events(self) -> list[tuple[str, int]]:
            return [(event.event, event.at) for event in await self.store.events()]

        async def events_of(self, alertname: str) -> list[str]:
            return [event.event for event in await self.store.events() if event.labels["alertname"] == alertname]

    return World


async def test_an_incident_fires_once_and_resolves_once(world, twilio, store, clock, losing_media):
    scene, begin = world(losing_media()), clock.now()
    for minute in range(240):
        twilio.add(minute + 1, ended=begin + 60 * minute, failed=5 if 60 <= minute < 100 else 0)
        if minute % 3 == 2:
            await scene.pass_minutes(3, every=3)
    assert [name for name, _ in await scene.events()] == ["firing", "resolved"]
    sent = list(reversed(await store.deliveries()))
    assert [(entry.status, entry.reason) for entry in sent] == [
        ("firing", "first notification"),
        ("resolved", "all alerts resolved"),
    ]


async def test_restarting_before_every_turn_changes_nothing(world, twilio, store, clock, losing_media, tmp_path):
    scene, begin = world(losing_media()), clock.now()
    for minute in range(200):
        twilio.add(minute + 1, ended=begin + 60 * minute, failed=5 if 60 <= minute < 90 else 0)
        if minute % 4 == 3:
            scene.restart()
            await scene.pass_minutes(4, every=4)
    assert [name for name, _ in await scene.events()] == ["firing", "resolved"]


async def test_what_was_over_while_alertd_was_down_is_told_once_as_late(world, twilio, store, clock, losing_media):
    scene, begin = world(losing_media()), clock.now()
    for minute in range(600):
        twilio.add(minute + 1, ended=begin + 60 * minute, failed=6 if 200 <= minute < 240 else 0)
    twilio.unlisted |= {f"RM{number:032x}" for number in range(1000)}
    await scene.pass_minutes(60)
    clock.reading = begin + 590 * 60
    twilio.unlisted.clear()
    scene.restart()
    await scene.pass_minutes(5)
    (event,) = await store.events()
    assert (event.event, event.late) == ("late", True)
    assert 200 <= (event.starts_at - begin) / 60 <= 215
    assert 240 <= (event.ends_at - begin) / 60 <= 300
    (entry,) = await store.deliveries()
    assert (entry.reason, entry.status) == ("late", "resolved")


async def test_an_alert_does_not_resolve_while_alertd_is_blind(world, twilio, store, clock, losing_media):
    rule = losing_media(kind=Count(at_least=1, over=600), keep_firing_for=1800)
    scene = world(rule)
    scene.policy = type(scene.policy)(
        rules=scene.policy.rules,
        tree=scene.policy.tree,
        integrations=scene.policy.integrations,
        accounts=("production",),
    )
    scene.restart()
    twilio.add(1, ended=clock.now() - 300, failed=1)
    await scene.pass_minutes(2)
    assert await scene.events_of("MediaLost") == ["firing"]
    await scene.pass_minutes(300, looking=False, every=5)
    assert await scene.events_of("MediaLost") == ["firing"]
    await scene.pass_minutes(60)
    assert await scene.events_of("MediaLost") == ["firing", "resolved"]
    assert await scene.events_of("AlertdPollFailing") == ["firing", "resolved"], "blindness is told, whatever its cause"


async def test_rooms_that_could_not_be_read_are_no_recovery(world, twilio, store, clock, losing_media):
    scene = world(losing_media(kind=Count(at_least=1), keep_firing_for=900), accounts=("production",))
    for minute in range(120):
        sid = twilio.add(minute + 1, ended=clock.now(), failed=1)
        if minute > 1:
            twilio.broken[f"{sid}/Participants"] = SourceError("503 for the fifth time")
        if minute % 2:
            await scene.pass_minutes(2, every=2)
    assert await scene.events_of("MediaLost") == ["firing"]
    assert await scene.events_of("AlertdPollFailing") == ["firing"]


async def test_a_clock_that_was_set_back_is_said_to_be(world, clock, losing_media):
    scene, noon = world(losing_media()), clock.now()
    clock.reading = noon + 10 * HOUR
    await scene.evaluator.turn()
    clock.reading = noon
    with pytest.raises(StoreError, match=r"judged up to 2026-03-02 22:00:00 UTC.*says 2026-03-02 12:00:00 UTC"):
        await scene.evaluator.turn()
    clock.reading = noon + 10 * HOUR - 60
    await scene.evaluator.turn()


async def test_two_evaluators_on_one_store_decide_each_instant_once(world, twilio, store, clock, losing_media):
    scene, begin = world(losing_media(kind=Count(at_least=3))), clock.now()
    other = Evaluator(store, scene.policy, clock, lambda _, value: value)
    for minute in range(90):
        twilio.add(minute + 1, ended=begin + 60 * minute, failed=1 if minute >= 60 else 0)
        await scene.pass_minutes(1)
        await other.turn()
    assert [name for name, _ in await scene.events()] == ["firing"]
    assert len(await store.deliveries()) == 1


@pytest.mark.parametrize("seed", range(3))
async def test_evaluators_that_take_turns_decide_as_one_does(world, twilio, store, clock, losing_media, seed, tmp_path):
    """Rooms come late and change meanwhile; each evaluator catches up with what the other decided."""
    rules = (
        losing_media(kind=Count(at_least=3), keep_firing_for=600),
        losing_media(alert="Share", kind=Rate(above=0.05, min=10), keep_firing_for=600),
    )
    alone_store, dice = await open_store(f"sqlite:///{tmp_path / 'alone.db'}"), random.Random(seed)
    shared, alone = world(*rules), world(*rules, store=alone_store)
    known: list[tuple[int, float]] = []
    others = [shared.evaluator, Evaluator(store, shared.policy, clock, lambda _, value: value)]
    for minute in range(120):
        for nth in range(dice.randrange(3)):
            failed = dice.choice([0, 0, 4]) if minute % 70 < 20 else 0
            known.append((minute * 10 + nth + 1, clock.now() - dice.choice([30, 300, 3000, 3 * HOUR])))
            twilio.add(known[-1][0], ended=known[-1][1], failed=failed)
        if dice.random() < 0.1 and known:
            number, ended = dice.choice(known)
            twilio.add(number, ended=ended, failed=2, duration_sec=dice.randrange(HOUR))
        clock.reading += 60
        if dice.random() < 0.6:
            continue
        await alone.collector.look()
        await alone.evaluator.turn()
        await shared.collector.look()
        turns = dice.choice([others, others[::-1], others[:1], others[1:]])
        await asyncio.gather(*(evaluator.turn() for evaluator in turns))
    expected = await alone_store.events()
    await alone_store.close()
    assert len(expected) > 2
    assert await store.events() == expected


async def test_an_evaluator_that_loses_every_race_does_not_read_all_rooms_again(
    world, twilio, store, clock, losing_media
):
    class Counting:
        """The store, counting how often all rooms are read."""

        reads = 0

        def __getattr__(self, name):
            return getattr(store, name)

        def visible(self, at, *ended):
            self.reads += 1
            return store.visible(at, *ended)

    scene, counting = world(losing_media()), Counting()
    idle = Evaluator(counting, scene.policy, clock, lambda _, value: value)
    for minute in range(20):
        twilio.add(minute + 1, ended=clock.now())
        await scene.pass_minutes(1)
        await idle.turn()
    assert counting.reads == 1


async def test_a_rule_that_fails_is_a_trouble_by_name_until_it_works_again(world, twilio, store, clock, losing_media):
    def explode(variables: object) -> str:
        raise ValueError("line 1: no such thing")

    scene = world(losing_media(kind=Count(at_least=1), annotations={"summary": explode}))
    twilio.add(1, ended=clock.now() - 60, failed=1)
    await scene.pass_minutes(2)
    troubles = (await store.snapshot(int(clock.now()))).troubles
    assert [(one.kind, one.subject) for one in troubles] == [("rule", "MediaLost")]
    assert "no such thing" in troubles[0].message
    assert ("firing", "first notification") in [(one.status, one.reason) for one in await store.deliveries()]


async def test_rooms_settled_before_the_very_first_turn_count_once(world, twilio, store, clock, losing_media):
    scene = world(losing_media(kind=Count(at_least=3)))
    twilio.add(1, ended=clock.now() - 300, failed=2)
    await scene.collector.look()
    clock.reading += 5
    await scene.evaluator.turn()
    await scene.pass_minutes(5)
    assert await scene.events() == [], "two failures, not four"
    twilio.add(2, ended=clock.now() - 300, failed=1)
    await scene.pass_minutes(1)
    assert [name for name, _ in await scene.events()] == ["firing"]


async def test_a_turn_says_when_the_next_one_is_due(world, clock, losing_media):
    scene = world(losing_media())
    clock.reading += 7
    due = await scene.evaluator.turn()
    assert due == (int(clock.now()) // 60 + 1) * 60
