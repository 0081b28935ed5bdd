"""Evaluating brings alerts up to the present from what is stored, whatever happened in between."""

from __future__ import annotations

import pytest

from alertd.collect import Collector
from alertd.engine.rules import Count
from alertd.evaluate import Evaluator

HOUR = 3600


@pytest.fixture
def world(twilio, store, clock, policy_of):
    """Lets minutes pass for a policy, looking and evaluating in each; `evaluator` may be replaced, as by a restart."""

    class World:
        def __init__(self, *rules) -> None:
            self.policy = policy_of(*rules)
            self.collector = Collector(
                twilio, store, clock, look_back=25 * HOUR, settle_timeout=1800, every=60, holder="test"
            )
            self.restart()

        def restart(self) -> None:
            self.evaluator = Evaluator(store, self.policy, clock, lambda _, value: value)

        async def pass_minutes(self, minutes: int, *, looking: bool = True) -> None:
            for _ in range(minutes):
                clock.reading += 60
                if looking:
                    await self.collector.look()
                await self.evaluator.turn()

        async def events(self) -> list[tuple[str, int]]:
            return [(event.event, event.at) for event in await store.events()]

    return World


async def test_an_incident_fires_once_and_resolves_once(world, twilio, store, clock, losing_media):
    scene, begin = world(losing_media()), clock.now()
    for minute in range(240):
        twilio.add(minute + 1, ended=begin + 60 * minute, failed=5 if 60 <= minute < 100 else 0)
        await scene.pass_minutes(1)
    assert [name for name, _ in await scene.events()] == ["firing", "resolved"]
    sent = list(reversed(await store.deliveries()))
    assert [(entry.status, entry.reason) for entry in sent] == [
        ("firing", "first notification"),
        ("resolved", "all alerts resolved"),
    ]


async def test_restarting_at_every_minute_changes_nothing(world, twilio, store, clock, losing_media, tmp_path):
    scene, begin = world(losing_media()), clock.now()
    for minute in range(200):
        twilio.add(minute + 1, ended=begin + 60 * minute, failed=5 if 60 <= minute < 90 else 0)
        scene.restart()
        await scene.pass_minutes(1)
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
    assert [name for name, _ in await scene.events()] == ["firing"]
    await scene.pass_minutes(300, looking=False)
    assert [name for name, _ in await scene.events()] == ["firing"]
    await scene.pass_minutes(60)
    assert [name for name, _ in await scene.events()] == ["firing", "resolved"]


async def test_two_evaluators_on_one_store_decide_each_instant_once(world, twilio, store, clock, losing_media):
    scene, begin = world(losing_media(kind=Count(at_least=3))), clock.now()
    other = Evaluator(store, scene.policy, clock, lambda _, value: value)
    for minute in range(90):
        twilio.add(minute + 1, ended=begin + 60 * minute, failed=1 if minute >= 60 else 0)
        await scene.pass_minutes(1)
        await other.turn()
    assert [name for name, _ in await scene.events()] == ["firing"]
    assert len(await store.deliveries()) == 1


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
