"""Other rules take effect between two turns: those that count the same go on, new ones are as if always there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from alertd.engine.conditions import EVERYTHING, Condition, parse_condition
from alertd.engine.kinds import Absent, Anomaly, Count, Distinct, Metric, NewValue, Rate, Spike
from alertd.engine.outcome import Policy
from alertd.engine.records import Participant, Room, SettledRoom
from alertd.engine.rules import Rule
from alertd.errors import StoreError
from alertd.evaluate import Evaluator
from alertd.replay import Replay

BEGIN = 1_772_452_800
MINUTE = 60


def condition(data: dict[str, Any]) -> Condition:
    found = parse_condition(data).condition
    assert found is not None
    return found


LOST, OTHERS = condition({"error_code": 53405}), condition({"error_code": [53405, 53001]})
GONE, SOME = condition({"duration_sec": "< 20"}), condition({"media_region": "ie1"})


def room(number: int, ended: float, *, settled: float = 8, failed: int = 0, code: int = 53405) -> SettledRoom:
    """A room of five that ended so many minutes after BEGIN."""
    at = BEGIN + round(ended * MINUTE)
    people = [
        Participant(
            participant_sid=f"PA{number * 10 + place:032x}",
            participant_identity=f"person {number % 7} {place}",
            error_code=code if place < failed else None,
            duration_sec=5 if place < failed else 600,
            media_region=("ie1", "us1")[number % 2],
            leave_time=datetime.fromtimestamp(at, UTC),
        )
        for place in range(5)
    ]
    summary = Room(room_sid=f"RM{number:032x}", duration_sec=600)
    known_at = at + round(settled * MINUTE)
    return SettledRoom(account="production", room=summary, participants=tuple(people), ended=at, known_at=known_at)


def an_evening() -> list[SettledRoom]:
    """Four hours with two times of trouble; some rooms settle very late."""
    dice, rooms = random.Random(5), []
    for number in range(1, 240):
        failed = 3 if 50 <= number < 70 or 130 <= number < 150 else int(dice.random() < 0.03)
        settled, code = dice.choice([3, 8, 8, 25, 180]), dice.choice([53405, 53405, 53001])
        rooms.append(room(number, number + dice.random(), settled=settled, failed=failed, code=code))
    return rooms


def rule(alert: str, kind: Any, **parts: Any) -> Rule:
    return Rule(**({"alert": alert, "kind": kind, "match": LOST, "keep_firing_for": 900} | parts))


MANY = rule("Many", Count(at_least=6), by=("account", "media_region"))
SHARE = rule("Share", Rate(above=0.08, min=20))
FEW = rule("Few", Rate(above=0.5, min=20), match=OTHERS)
SLOW = rule("Short", Metric(field="duration_sec", agg="p50", below=100, over=1800, min=10), match=EVERYTHING)
BEFORE = (MANY, SHARE, SLOW, FEW, rule("Quiet", Absent(fewer_than=3, over=3600), match=EVERYTHING))
CHANGES: dict[str, tuple[Rule, ...]] = {
    "a rule is added": (*BEFORE, rule("More", Count(at_least=3), match=GONE)),
    "a rule is added that counts what others do": (*BEFORE, rule("More", Count(at_least=3), match=OTHERS)),
    "a rule of a new population is added": (*BEFORE, rule("There", Count(at_least=3), among=SOME, by=())),
    "rules that keep books are added": (
        *BEFORE,
        rule("Odd", Anomaly(windows=(900,), baseline=5400, lag=900)),
        rule("New", NewValue(field="error_code", seen_in=86400)),
        rule("Different", Distinct(field="media_region", above=1)),
    ),
    "a rule that looks back farther is added": (*BEFORE, rule("Sudden", Spike(against=7200, over=1800))),
    "a rule is removed": (MANY, *BEFORE[2:]),
    "all rules are removed": (),
    "a label is changed": (replace(MANY, labels={"severity": "page"}), *BEFORE[1:]),
    "an annotation is changed": (replace(MANY, annotations={"summary": lambda _: "Look!"}), *BEFORE[1:]),
    "a limit is changed": (MANY, replace(SHARE, kind=Rate(above=0.3, min=20)), *BEFORE[2:]),
    "a condition is changed": (replace(MANY, match=GONE), *BEFORE[1:]),
    "a population is changed": (replace(MANY, among=SOME), *BEFORE[1:]),
    "groups are changed": (replace(MANY, by=("media_region",)), *BEFORE[1:]),
    "groups are those of another rule": (replace(MANY, by=("account",)), *BEFORE[1:]),
    "a window is changed": (MANY, replace(SHARE, kind=Rate(above=0.08, min=20, over=7200)), *BEFORE[2:]),
    "a metric is changed": (*BEFORE[:2], replace(SLOW, match=LOST), *BEFORE[3:]),
}
NOTHING_NEW = (
    "a rule is added that counts what others do",
    "groups are those of another rule",
    "a rule is removed",
    "all rules are removed",
    "a label is changed",
    "an annotation is changed",
    "a limit is changed",
)


class Watched:
    """A ledger that counts the rooms it reads row by row, or cannot read any."""

    def __init__(self, ledger: Replay) -> None:
        self.ledger, self.read, self.broken = ledger, 0, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    async def visible(self, *asked: int) -> AsyncIterator[list[SettledRoom]]:
        async for batch in self.ledger.visible(*asked):
            if self.broken:
                raise StoreError("the disk is gone")
            self.read += len(batch)
            await asyncio.sleep(0)
            yield batch


@pytest.fixture
def world(clock, policy_of):
    """An evaluator over an evening's rooms, by the rules of before."""

    class World:
        def __init__(self) -> None:
            self.ledger = Watched(Replay(an_evening(), begin=BEGIN))
            clock.reading = BEGIN
            self.start(BEFORE)

        def start(self, rules: tuple[Rule, ...]) -> None:
            self.evaluator = Evaluator(self.ledger, self.policy(rules), clock, lambda _, value: value)

        def policy(self, rules: tuple[Rule, ...]) -> Policy:
            return policy_of(*rules, accounts=("production",))

        async def until(self, minute: int) -> None:
            while clock.reading < BEGIN + minute * MINUTE:
                clock.reading += MINUTE
                await self.evaluator.turn()

        @property
        def told(self):
            return self.ledger.events, self.ledger.notifications

    return World


@pytest.mark.parametrize("minute", [62, 151])
@pytest.mark.parametrize("change", CHANGES)
async def test_it_goes_on_as_one_would_that_was_started_with_the_new_rules(world, change, minute):
    fresh = world()
    await fresh.until(minute)
    fresh.start(CHANGES[change])
    await fresh.until(260)

    adopting = world()
    await adopting.until(minute)
    adopting.ledger.read = 0
    await adopting.evaluator.adopt(adopting.policy(CHANGES[change]))
    read = adopting.ledger.read
    await adopting.until(260)
    assert adopting.told == fresh.told
    assert (read == 0) == (change in NOTHING_NEW)


async def test_alerts_of_a_rule_that_is_removed_are_over_at_the_next_turn(world):
    scene = world()
    await scene.until(66)
    before = len(scene.ledger.events)
    assert "Many" in {event.rule for event in scene.ledger.events}
    await scene.evaluator.adopt(scene.policy(BEFORE[1:]))
    await scene.until(67)
    gone = [event for event in scene.ledger.events[before:] if event.rule == "Many"]
    assert {(event.event, event.reason) for event in gone} == {("resolved", "its rule was removed")}


@pytest.mark.parametrize("minute", [0, 62, 100])
async def test_adopting_twice_between_two_turns_comes_to_the_second(world, minute):
    once = world()
    await once.until(minute)
    once.start(CHANGES["groups are changed"])
    await once.until(200)
    twice = world()
    await twice.until(minute)
    await twice.evaluator.adopt(twice.policy(CHANGES["a condition is changed"]))
    await twice.evaluator.adopt(twice.policy(CHANGES["groups are changed"]))
    await twice.until(200)
    assert twice.told == once.told


async def test_adopting_and_going_back_comes_to_nothing(world):
    calm = world()
    await calm.until(200)
    scene = world()
    for minute in range(10, 200, 10):
        await scene.until(minute)
        await scene.evaluator.adopt(scene.policy(CHANGES["a rule of a new population is added"]))
        await scene.evaluator.adopt(scene.policy(BEFORE))
    await scene.until(200)
    assert scene.told == calm.told


async def test_rules_that_are_taken_out_and_in_again_count_as_if_they_had_stayed(world):
    """What they would have told meanwhile is not made up for; from then on all is as it would be."""
    fresh = world()
    await fresh.until(60)
    fresh.start(BEFORE[1:])
    await fresh.until(140)
    fresh.start(BEFORE)
    await fresh.until(260)
    scene = world()
    await scene.until(60)
    await scene.evaluator.adopt(scene.policy(BEFORE[1:]))
    await scene.until(140)
    await scene.evaluator.adopt(scene.policy(BEFORE))
    await scene.until(260)
    assert scene.told == fresh.told


@pytest.mark.parametrize("change", ["a condition is changed", "groups are changed", "a rule is removed"])
async def test_adopting_while_a_turn_is_under_way_counts_from_the_next_on(world, clock, change):
    fresh = world()
    await fresh.until(90)
    clock.reading += 30 * MINUTE
    await fresh.evaluator.turn()
    fresh.start(CHANGES[change])
    await fresh.until(200)

    scene = world()
    await scene.until(90)
    clock.reading += 30 * MINUTE
    await asyncio.gather(scene.evaluator.turn(), scene.evaluator.adopt(scene.policy(CHANGES[change])))
    await scene.until(200)
    assert scene.told == fresh.told


async def test_what_cannot_be_counted_is_not_adopted_and_all_goes_on_as_before(world):
    calm = world()
    await calm.until(200)
    scene = world()
    await scene.until(62)
    scene.ledger.broken = True
    with pytest.raises(StoreError):
        await scene.evaluator.adopt(scene.policy(CHANGES["a condition is changed"]))
    scene.ledger.broken = False
    scene.ledger.read = 0
    await scene.until(200)
    assert scene.told == calm.told


async def test_an_alert_without_traffic_is_held_against_all_rooms_since_it_was_elevated(clock, policy_of):
    """Hours after the trouble too few rooms have come, taken together, to call it over; the next one is enough."""
    rooms = [room(number, number, failed=3) for number in range(1, 20)]
    rooms += [room(100 + number, 60 + 30 * number) for number in range(1, 10)]
    share = replace(SHARE, kind=Rate(above=0.08, over=1800, min=30))
    other = replace(share, match=OTHERS)
    told = []
    for adopting in (False, True):
        ledger = Replay(rooms, begin=BEGIN)
        evaluator = Evaluator(ledger, policy_of(share), clock, lambda _, value: value)
        for minute in range(0, 400, 5):
            clock.reading = BEGIN + minute * MINUTE
            await evaluator.turn()
            if minute == 220 and adopting:
                await evaluator.adopt(policy_of(other))
            elif minute == 220:
                evaluator = Evaluator(ledger, policy_of(other), clock, lambda _, value: value)
        told.append([(event.event, event.at, event.reason) for event in ledger.events])
    assert [event for event, _, _ in told[0]] == ["firing", "resolved"]
    assert told[0][1][1] > BEGIN + 220 * MINUTE
    assert told[1] == told[0]
