"""Where an alert's matches come from is asked when it begins or is told late, and once more; never without end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from alertd.engine.alerts import Alert
from alertd.engine.conditions import EVERYTHING
from alertd.engine.kinds import Absent, Count, Distinct, Rate
from alertd.engine.outcome import Sight
from alertd.engine.questions import DAYS, MOST_ROOMS, REFRESH_AFTER, question
from alertd.engine.records import SettledRoom
from alertd.errors import StoreError
from alertd.evaluate import MOST_EXPLAINED, Evaluator
from alertd.replay import Replay

NOON = 1_772_452_800
MINUTE = NOON // 60
DAY = 24 * 60


@pytest.fixture
def alert(make_sample):
    """Makes an alert that saw an hour of 40 rooms; keywords replace what stands in it, or in its sample."""

    def make(state: str = "firing", rooms: int = 40, window: int = 3600, position: int = 0, **parts: Any) -> Alert:
        seen = parts.pop("sample", make_sample(rooms=rooms, window=window, position=position))
        known = {"fingerprint": "f" * 16, "rule": "MediaLost", "labels": {"account": "production"}, "state": state}
        return Alert(**(known | {"sample": seen, "starts_at": NOON} | parts))

    return make


# When


def test_it_is_asked_when_the_alert_begins_to_fire_from_whatever_it_was(alert, losing_media):
    for before in ("inactive", "pending", "resolved"):
        asked = question(losing_media(), alert(before), alert(), NOON)
        assert asked is not None
        assert (asked.fingerprint, asked.labels) == ("f" * 16, {"account": "production"})
        assert (asked.after, asked.upto) == (MINUTE - 60, MINUTE)


def test_nothing_is_asked_while_it_does_not_fire(alert, losing_media):
    for before, after in [
        ("inactive", "pending"),
        ("pending", "inactive"),
        ("firing", "resolved"),
        ("pending", "pending"),
    ]:
        assert question(losing_media(), alert(before), alert(after), NOON) is None


def test_what_is_told_late_is_explained_by_the_window_in_which_it_was(alert, losing_media):
    late = alert("resolved", late=True, changed_at=NOON, ends_at=NOON - 7200)
    asked = question(losing_media(), alert("inactive"), late, NOON)
    assert asked is not None
    assert (asked.after, asked.upto) == (MINUTE - 180, MINUTE - 120)
    assert question(losing_media(), late, late, NOON + 60) is None, "that was told before"


def test_it_is_asked_once_more_after_a_quarter_of_an_hour(alert, losing_media):
    rule, fires = losing_media(), alert(explained_at=NOON)
    assert question(rule, fires, fires, NOON + REFRESH_AFTER - 1) is None
    assert question(rule, fires, fires, NOON + REFRESH_AFTER) is not None
    again = alert(explained_at=NOON + REFRESH_AFTER)
    assert question(rule, again, again, NOON + REFRESH_AFTER + 60) is None
    assert question(rule, again, again, NOON + 10 * REFRESH_AFTER) is None


def test_a_tick_between_two_minutes_does_not_ask_sooner(alert, losing_media):
    rule, fires = losing_media(), alert(explained_at=NOON + 10, starts_at=NOON + 10)
    assert question(rule, fires, fires, NOON + REFRESH_AFTER + 20) is None
    assert question(rule, fires, fires, NOON + REFRESH_AFTER + 60) is not None


def test_one_that_was_never_explained_is_not_asked_about_afterwards(alert, losing_media):
    """Such as one that began under an older alertd."""
    fires = alert()
    assert question(losing_media(), fires, fires, NOON + REFRESH_AFTER) is None


@pytest.mark.parametrize("change", [{"sample": None}, {"sample": "nobody"}])
def test_nothing_is_asked_where_nothing_matches(alert, losing_media, make_sample, change):
    if change["sample"] == "nobody":
        change = {"sample": make_sample(matched=0)}
    assert question(losing_media(), alert("inactive"), alert(**change), NOON) is None


@pytest.mark.parametrize("kind", [Absent(fewer_than=3), Distinct(field="sdk_version", above=3)])
def test_nothing_is_asked_where_everybody_matches(alert, losing_media, kind):
    assert question(losing_media(kind=kind, match=EVERYTHING), alert("inactive"), alert(), NOON) is None


# About what


def test_a_window_that_ended_before_the_tick_is_asked_about_where_it_lies(alert, losing_media):
    asked = question(losing_media(), alert("inactive"), alert(window=900, position=1200), NOON)
    assert asked is not None
    assert (asked.after, asked.upto) == (MINUTE - 35, MINUTE - 20)


def test_what_is_usual_is_the_same_time_of_the_seven_days_before(alert, losing_media):
    asked = question(losing_media(), alert("inactive"), alert(), NOON)
    assert asked is not None
    assert asked.before == tuple((MINUTE - 60 - day * DAY, MINUTE - day * DAY) for day in range(1, DAYS + 1))


def test_times_in_which_it_fired_are_not_usual(alert, losing_media):
    fired = ((MINUTE - 2 * DAY - 30, MINUTE - 2 * DAY + 30), (MINUTE - 5 * DAY - 300, MINUTE - 5 * DAY - 59))
    asked = question(losing_media(), alert("inactive"), alert(fired=fired), NOON)
    assert asked is not None
    assert [(MINUTE - upto) // DAY for _, upto in asked.before] == [1, 3, 4, 6, 7]


@pytest.mark.parametrize("rooms", [0, 1, 40, 3000, 3001, 50_000, 10_000_000])
@pytest.mark.parametrize("window", [300, 3600, 86400, 30 * 86400])
def test_however_many_rooms_there_are_some_thousand_are_looked_into(alert, losing_media, rooms, window):
    """Taken that rooms come evenly; a single minute is never cut in two."""
    asked = question(losing_media(), alert("inactive"), alert(rooms=rooms, window=window), NOON)
    assert asked is not None
    length, a_minute = window // 60, rooms / (window / 60)
    assert 0 < asked.upto - asked.after <= length
    assert (asked.upto - asked.after) * a_minute <= max(MOST_ROOMS, a_minute)
    usual = sum(upto - after for after, upto in asked.before)
    assert all(after < upto for after, upto in asked.before)
    assert usual * a_minute <= max(MOST_ROOMS, DAYS * a_minute)


# Who asks, gets an answer, and what comes of it


class Ledger:
    """A replay that counts which stretches are read, and of which the first so many readings fail."""

    def __init__(self, rooms: list[SettledRoom], failing: int = 0) -> None:
        self.replay, self.failing = Replay(rooms, begin=NOON - 60, sights=[_ALWAYS]), failing
        self.read: list[tuple[int, int, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.replay, name)

    async def visible(self, at: int, after: int, upto: int = 2**62) -> AsyncIterator[list[SettledRoom]]:
        if at >= NOON:  # not the windows' own reading at the start
            self.read.append((at, after, upto))
            if self.failing:
                self.failing -= 1
                raise StoreError("the disk is slow today")
        async for batch in self.replay.visible(at, after, upto):
            yield batch


_ALWAYS = Sight(account="production", seen_from=0, seen_until=2**62)


@pytest.fixture
def trouble(call):
    """An hour and a half of rooms; after half an hour participants in one region lose their media."""
    rooms = [call(minute, 0, 4, media_region="us1", number=minute + 1) for minute in range(90)]
    bad = [call(minute, 3, 1, media_region="ie1", number=500 + minute) for minute in range(30, 60)]
    return [msgspec.structs.replace(room, known_at=room.known_at // 60 * 60) for room in rooms + bad]


@pytest.fixture
def played(clock, policy_of):
    """Evaluates minute by minute after noon; a turn that fails is taken again in the next minute."""

    async def play(ledger: Ledger, *rules: Any, minutes: int = 120, every: int = 1) -> int:
        evaluator = Evaluator(ledger, policy_of(*rules, accounts=("production",)), clock, lambda _, value: value)
        failed = 0
        for minute in range(0, minutes, every):
            clock.reading = NOON + 60 * minute
            try:
                await evaluator.turn()
            except StoreError:
                failed += 1
        return failed

    return play


async def test_the_first_message_says_where_it_comes_from_even_if_nobody_waits(played, losing_media, trouble):
    ledger = Ledger(trouble)
    await played(ledger, losing_media(kind=Rate(above=0.05)))
    first = ledger.replay.notifications[0]
    (alert,) = first.alerts
    event = ledger.replay.events[0]
    assert (first.at, first.reason) == (event.at, "first notification")
    assert alert.explain is not None
    assert (alert.explain.slices[0].field, alert.explain.slices[0].value) == ("media_region", "ie1")
    assert (alert.explain.matched, alert.explain.total) == (alert.sample.matched, alert.sample.total)


async def test_rooms_are_read_when_it_begins_and_once_more(played, losing_media, trouble):
    ledger = Ledger(trouble)
    await played(ledger, losing_media(kind=Rate(above=0.05)))
    begun = ledger.replay.events[0].at
    assert sorted({at - begun for at, _, _ in ledger.read}) == [0, REFRESH_AFTER]
    assert len(ledger.read) == 2 * (1 + DAYS)


@pytest.mark.parametrize("failing", [1, 3])
async def test_rooms_that_cannot_be_read_fail_the_turn_and_the_next_one_decides_the_same(
    played, losing_media, trouble, failing
):
    calm, broken = Ledger(trouble), Ledger(trouble, failing)
    rule = losing_media(kind=Rate(above=0.05))
    assert await played(calm, rule) == 0
    assert await played(broken, rule) == failing
    assert broken.replay.events == calm.replay.events
    assert broken.replay.notifications == calm.replay.notifications


async def test_alerts_of_one_window_share_its_rooms_and_beyond_fifty_none_are_explained(played, losing_media, call):
    rooms = [call(10, 1, 0, people=f"person {number}", number=number, settled=30) for number in range(1, 81)]
    ledger = Ledger(rooms)
    await played(ledger, losing_media(kind=Count(at_least=1, over=3600), by=("participant_identity",)), minutes=45)
    explained = [one.explain for sent in ledger.replay.notifications[:1] for one in sent.alerts]
    assert len(explained) == len(rooms) > MOST_EXPLAINED
    assert sum(one is not None for one in explained) == MOST_EXPLAINED
    assert len(ledger.read) == 1 + DAYS
