"""A replay gives out what the store would, and the evaluator decides over it what it decided live."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertd.config import load_rules
from alertd.engine.outcome import Sight
from alertd.engine.records import Participant, Room, SettledRoom
from alertd.evaluate import Evaluator
from alertd.replay import Replay, play
from alertd.store import Settling

BEGIN = 1_772_452_800
HORIZON = 40
RULES = """
rules:
  - alert: ManyLost
    match: {error_code: 53405}
    count: {at_least: 6, over: 20m}
    keep_firing_for: 10m
    for: 2m
  - alert: ShareLost
    match: {error_code: 53405}
    by: [account, media_region]
    rate: {above: 5%, over: 1h, min: 20}
  - alert: Quiet
    absent: {fewer_than: 20, over: 1h}
"""
examples = count(1)
histories = st.dictionaries(  # who became known when: (ended, version); a version that is known already is no news
    st.tuples(st.integers(0, 3), st.integers(0, HORIZON)),
    st.tuples(st.integers(0, HORIZON), st.integers(0, 2)),
    max_size=9,
)


def room(number: int, ended: int, known_at: int, *, version: int = 0, failed: int = 0, **parts) -> SettledRoom:
    summary = Room(
        room_sid=f"RM{number:032x}",
        create_time=datetime.fromtimestamp(ended - 600, UTC),
        end_time=datetime.fromtimestamp(ended, UTC),
        duration_sec=version,
        processing_state="complete",
    )
    people = tuple(
        Participant(
            participant_sid=f"PA{number * 100 + place:032x}",
            media_region=("ie1", "us1")[number % 2],
            error_code=53405 if place < failed else None,
        )
        for place in range(8)
    )
    known = {"account": "production", "room": summary, "participants": people}
    return SettledRoom(**(known | {"ended": ended, "known_at": known_at} | parts))


def as_settling(settled: SettledRoom) -> Settling:
    return Settling(account=settled.account, room=settled.room, participants=settled.participants, ended=settled.ended)


async def all_visible(ledger, *asked: int) -> list[SettledRoom]:
    return [room async for batch in ledger.visible(*asked) for room in batch]


def by_end(rooms: list[SettledRoom]) -> list[SettledRoom]:
    return sorted(rooms, key=lambda one: (one.ended, one.account, one.room.room_sid))


@pytest.mark.timeout(300)  # thousands of queries, on a machine that may be busy
@given(history=histories, dice=st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_it_gives_out_what_the_store_gives_out(store, history, dice):
    base = next(examples) * 1000  # each example has a stretch of time and an account of its own
    account, current, rooms = f"account {base}", {}, []
    for (number, known_at), (ended, version) in sorted(history.items(), key=lambda item: item[0][1]):
        one = room(number, base + ended, base + known_at, version=version, account=account)
        if current.get(number) != one.room:
            current[number] = one.room
            rooms.append(one)
        await store.settle([as_settling(one)], now=one.known_at)
    dice.shuffle(rooms)
    replay = Replay(rooms)

    edges = [-1, *sorted({known_at for _, known_at in history}), HORIZON]
    for after in edges:
        assert await replay.next_change(base + after) == await store.next_change(base + after)
        for upto in ((after + HORIZON) // 2, HORIZON):
            asked = (base + after, base + upto)
            assert await replay.changes(*asked) == await store.changes(*asked, close=False)
    for at in edges:
        for after, upto in [(-1, HORIZON), (HORIZON // 4, HORIZON // 2)]:
            asked = (base + at, base + after, base + upto)
            stored = [one for one in await all_visible(store, *asked) if one.account == account]
            assert by_end(await all_visible(replay, *asked)) == by_end(stored)


async def test_rooms_come_by_their_end_in_batches():
    dice = random.Random(1)
    replay = Replay([room(number, BEGIN + dice.randrange(5000), BEGIN) for number in range(450)])
    batches = [batch async for batch in replay.visible(BEGIN, 0)]
    assert [len(batch) for batch in batches] == [200, 200, 50]
    ends = [one.ended for batch in batches for one in batch]
    assert ends == sorted(ends)


async def test_of_two_versions_known_at_one_instant_the_last_given_counts():
    replay = Replay([room(1, BEGIN, BEGIN + 60, version=1), room(1, BEGIN, BEGIN + 60, version=2)])
    (change,) = await replay.changes(0, BEGIN + 60)
    assert (change.sign, change.room.room.duration_sec) == (1, 2)


async def test_a_room_that_was_replaced_ceases_though_what_replaced_it_is_not_given():
    replay = Replay([room(1, BEGIN, BEGIN + 60, replaced_at=BEGIN + 120)])
    assert [(change.at - BEGIN, change.sign) for change in await replay.changes(0, BEGIN + 900)] == [(60, 1), (120, -1)]
    assert await all_visible(replay, BEGIN + 120, 0) == []
    assert (replay.first, replay.last) == (BEGIN + 60, BEGIN + 120)


def rules_of(folder, text: str = RULES):
    (folder / "rules.yaml").write_text(text)
    return load_rules([folder / "rules.yaml"]).rules


def an_afternoon() -> list[SettledRoom]:
    """Four hours: trouble in one region, a while without rooms, rooms that settle late or change afterwards."""
    dice, rooms = random.Random(7), []
    for number in range(280):
        ended = BEGIN + number * 50 + dice.randrange(60)
        if 7500 < ended - BEGIN < 11_000:
            continue
        trouble = 1800 < ended - BEGIN < 3600 and number % 2 == 0
        failed = dice.randrange(2, 6) if trouble else int(dice.random() < 0.01)
        known_at = (ended + dice.choice([120, 300, 480, 600, 1500])) // 60 * 60
        rooms.append(room(number, ended, known_at, failed=failed))
        if dice.random() < 0.05:
            rooms.append(room(number, ended, known_at + 60 * dice.randrange(1, 60), version=1, failed=failed + 1))
    return rooms


def going_on(rooms: list[SettledRoom], now: int) -> dict[str, int]:
    """What a look finds that has begun and is not settled: by sid, when it started."""
    first = {one.room.room_sid: one for one in sorted(rooms, key=lambda one: -one.known_at)}
    return {sid: one.started for sid, one in first.items() if one.started <= now < one.known_at}


@pytest.mark.timeout(300)  # hundreds of transactions, on a machine that may be busy
async def test_the_evaluator_decides_over_it_what_it_decided_live(store, clock, policy_of, tmp_path):
    rooms, end = an_afternoon(), BEGIN + 270 * 60
    policy = policy_of(*rules_of(tmp_path), accounts=("production",))
    evaluator = Evaluator(store, policy, clock, lambda _, value: value)
    by_instant: dict[int, list[Settling]] = {}
    for one in rooms:
        by_instant.setdefault(one.known_at, []).append(as_settling(one))
    for minute in range(270):
        if settling := by_instant.get(BEGIN + 60 * minute):
            await store.settle(settling, now=BEGIN + 60 * minute)
        if minute % 5 == 0:
            clock.reading = BEGIN + 60 * minute
            await store.note_going("production", going_on(rooms, BEGIN + 60 * minute), BEGIN + 60 * minute)
            await store.saw("production", int(clock.now()), 600)
            await evaluator.turn()
    await store.note_going("production", going_on(rooms, end), end)
    await store.saw("production", end, 600)
    clock.reading = end
    await evaluator.turn()

    seen = (Sight(account="production", seen_from=BEGIN, seen_until=end),)
    replay = Replay(rooms, begin=BEGIN, sights=seen)
    await play(replay, policy, lambda _, value: value, end)
    assert {(one.rule, one.event) for one in replay.events} >= {
        (rule, event) for rule in ("ManyLost", "ShareLost", "Quiet") for event in ("firing", "resolved")
    }
    assert replay.events == await store.events()
    assert sorted(one.id for one in replay.notifications) == sorted(one.id for one in await store.deliveries())


async def test_how_far_it_is_played_at_once_changes_nothing(policy_of, tmp_path):
    rooms, policy = an_afternoon(), policy_of(*rules_of(tmp_path), accounts=("production",))
    whole, pieces = Replay(rooms), Replay(rooms)
    await play(whole, policy, lambda _, value: value, BEGIN + 20_000)
    for end in (BEGIN + 3333, BEGIN + 4444, BEGIN + 12_345, BEGIN + 20_000):
        await play(pieces, policy, lambda _, value: value, end)
    assert whole.events == pieces.events != []
    assert whole.notifications == pieces.notifications


async def test_what_was_known_before_the_beginning_is_counted_but_not_decided(policy_of, losing_media, tmp_path):
    text = "rules: [{alert: ManyLost, match: {error_code: 53405}, count: {at_least: 4, over: 1h}}]"
    rooms = [room(1, BEGIN - 600, BEGIN - 300, failed=3), room(2, BEGIN, BEGIN + 120, failed=1)]
    replay = Replay(rooms, begin=BEGIN)
    decided = []
    await play(
        replay,
        policy_of(*rules_of(tmp_path, text)),
        lambda _, value: value,
        BEGIN + 300,
        lambda at, *_: decided.append(at),
    )
    assert [(one.event, one.at) for one in replay.events] == [("firing", BEGIN + 120)]
    assert decided == [BEGIN + 60 * minute for minute in range(1, 6)]


@pytest.mark.parametrize(("seen_until", "resolves"), [(BEGIN + 6000, True), (BEGIN + 120, False)])
async def test_nothing_recovers_in_an_account_that_was_not_seen(policy_of, tmp_path, seen_until, resolves):
    text = "rules: [{alert: Lost, match: {error_code: 53405}, count: {at_least: 1, over: 10m}, keep_firing_for: 20m}]"
    sights = [Sight(account="production", seen_from=BEGIN, seen_until=seen_until)]
    replay = Replay([room(1, BEGIN, BEGIN + 120, failed=1)], begin=BEGIN, sights=sights)
    policy = policy_of(*rules_of(tmp_path, text), accounts=("production",))
    await play(replay, policy, lambda _, value: value, BEGIN + 100 * 60)
    events = [one.event for one in replay.events if one.rule == "Lost"]
    assert events == ["firing", *(["resolved"] if resolves else [])]


async def test_a_rule_that_fails_is_told_as_the_daemon_would(policy_of, losing_media):
    def explode(variables: object) -> str:
        raise ValueError("no such thing")

    rule = losing_media(annotations={"summary": explode})
    rooms = [room(number, BEGIN + number, BEGIN + 300, failed=5) for number in range(20)]
    replay = Replay(rooms)
    await play(replay, policy_of(rule, accounts=("production",)), lambda _, value: value, BEGIN + 7200)
    assert "AlertdRuleFailing" in {one.labels["alertname"] for one in replay.events}


async def test_without_rooms_there_is_nothing_to_play(policy_of, losing_media):
    replay = Replay([], begin=BEGIN)
    await play(replay, policy_of(losing_media()), lambda _, value: value, BEGIN + 600)
    assert (replay.first, replay.last, replay.events) == (None, None, [])


SILENCE = """
rules:
  - alert: Silent
    absent: {fewer_than: 1, over: 15m}
"""


@pytest.mark.parametrize(("breaks_off", "fires"), [(False, True), (True, False)])
async def test_a_history_that_breaks_off_is_not_silent_at_its_end(policy_of, tmp_path, breaks_off, fires):
    """A room a minute for four hours; those that went on when it was written down are not in it."""
    rooms = [room(number, BEGIN + 60 * number, BEGIN + 60 * number + 600) for number in range(240)]
    replay = Replay(rooms, begin=BEGIN + 1800, breaks_off=breaks_off)
    policy = policy_of(*rules_of(tmp_path, SILENCE), accounts=("production",))
    await play(replay, policy, lambda _, value: value, BEGIN + 300 * 60)
    assert bool(replay.events) == fires
