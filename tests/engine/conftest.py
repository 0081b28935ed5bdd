"""Builders for the engine's records: a test names only what matters to it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pytest

from alertd.engine.alerts import Alert
from alertd.engine.conditions import Condition, compile_condition, parse_condition
from alertd.engine.counting import Windows
from alertd.engine.coverage import Coverage
from alertd.engine.fields import Extractor, Show
from alertd.engine.groups import Notification
from alertd.engine.health import Trouble
from alertd.engine.outcome import Event, Outcome, Policy, Sight, Snapshot
from alertd.engine.records import Participant, Room, SettledRoom
from alertd.engine.rules import Rule
from alertd.engine.settle import OpenRoom
from alertd.engine.ticks import Change, missing, next_tick, step, still_needed
from alertd.engine.windows import Match, Series

Build = Callable[..., SettledRoom]

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def _settled_room(
    *participants: dict[str, Any], account: str = "production", partial: bool = False, **room: Any
) -> SettledRoom:
    people = [
        Participant(**({"participant_sid": f"PA{place:032x}"} | values)) for place, values in enumerate(participants)
    ]
    ended = int(NOON.timestamp())
    summary = Room(**({"room_sid": f"RM{7:032x}"} | room))
    return SettledRoom(
        account=account, room=summary, participants=tuple(people), ended=ended, known_at=ended + 480, partial=partial
    )


@pytest.fixture(scope="session")
def settled_room() -> Build:
    """Makes a settled room: a dict for each participant, keywords for the room, its account and `partial`."""
    return _settled_room


@pytest.fixture(scope="session")
def at() -> Callable[[int], datetime]:
    """Makes a moment: so many seconds after noon."""
    return lambda seconds: datetime.fromtimestamp(NOON.timestamp() + seconds, UTC)


def _holds(condition: Condition, settled: SettledRoom) -> bool:
    extractor = Extractor(condition.fields)
    (facts,) = extractor.facts(settled)
    answer = compile_condition(condition, extractor.index)(facts)
    assert isinstance(answer, bool)
    return answer


@pytest.fixture(scope="session")
def holds() -> Callable[[Condition, SettledRoom], bool]:
    """Whether a condition holds for the one participant of a room."""
    return _holds


@pytest.fixture(scope="session")
def matches() -> Callable[..., bool]:
    """Whether a mapping matches one participant, given by its values; `room` holds those of the room."""

    def judge(data: object, participant: dict[str, Any], room: dict[str, Any] | None = None) -> bool:
        parsed = parse_condition(data)
        assert parsed.mistakes == []
        assert parsed.condition is not None
        return _holds(parsed.condition, _settled_room(participant, **(room or {})))

    return judge


START = int(NOON.timestamp())
MINUTE = 60


def _call(
    ended: float,
    failed: int = 0,
    fine: int = 0,
    *,
    number: int = 0,
    settled: float = 8,
    replaced: float | None = None,
    lasted: float | None = None,
    account: str = "production",
    people: str = "",
    **values: Any,
) -> SettledRoom:
    begin = START + round(ended * MINUTE)
    number = number or zlib.crc32(repr((ended, failed, fine, settled, account, values)).encode())
    participants = [
        Participant(
            **(
                {
                    "participant_sid": f"PA{number:024x}{place:08x}",
                    "participant_identity": people or f"person {number} {place}",
                    "error_code": 53405 if place < failed else None,
                    "media_region": "us1",
                }
                | values
            )
        )
        for place in range(failed + fine)
    ]
    return SettledRoom(
        account=account,
        room=Room(
            room_sid=f"RM{number:032x}",
            room_name=f"meeting {number}",
            create_time=None if lasted is None else datetime.fromtimestamp(begin - round(lasted * MINUTE), UTC),
        ),
        participants=tuple(participants),
        ended=begin,
        known_at=begin + round(settled * MINUTE),
        replaced_at=None if replaced is None else begin + round(replaced * MINUTE),
    )


@pytest.fixture(scope="session")
def call() -> Build:
    """Makes a room that ended so many minutes after noon, with so many participants who lost media and who did not.

    It settles `settled` minutes after its end and is `replaced` so many after it; it began `lasted` minutes before it,
    or Twilio does not say when. Further keywords are values of all its participants. Rooms made alike are the same
    room, unless given a `number`.
    """
    return _call


@pytest.fixture(scope="session")
def series_of() -> Callable[..., Series]:
    """Makes a series of (minute, matched, total) rooms; their people are numbered, and those that match come first."""

    def make(*rooms: tuple[int, int, int]) -> Series:
        series = Series()
        for minute, matched, total in rooms:
            series.totals.fold(minute, total, frozenset(range(total)))
            if matched:
                series.match(minute, Match(matched, total, frozenset(range(matched))))
        return series

    return make


class Told(NamedTuple):
    """What one story came to: minutes count from noon, events are (minute, event, alert name)."""

    events: list[tuple[float, str, str]]
    sent: list[tuple[float, str, str, tuple[str, ...]]]
    history: list[Event]
    notifications: list[Notification]
    withheld: list[Notification]
    alerts: dict[str, Alert]
    errors: dict[str, str]

    @property
    def alert(self) -> Alert:
        """The only alert there is."""
        (alert,) = self.alerts.values()
        return alert


@dataclass(kw_only=True)
class Story:
    """Steps the engine from noon on through what rooms settle when, as a loop over a store does."""

    policy: Policy
    rooms: Sequence[SettledRoom]
    minutes: int
    restarts: Callable[[int], bool] = lambda _: False
    extra_ticks: Sequence[int] = ()
    troubles: tuple[Trouble, ...] = ()
    sights: tuple[Sight, ...] = ()
    open_rooms: tuple[OpenRoom, ...] = ()
    coverage: Mapping[str, Coverage] = field(default_factory=dict)
    show: Show = lambda _, value: value
    windows_of: Callable[[Sequence[Rule], Show], Windows] = Windows
    lists_going: bool = True
    policies: Mapping[int, Policy] = field(default_factory=dict)

    def tell(self) -> Told:
        snapshot = Snapshot(
            alerts={},
            groups={},
            troubles=self.troubles,
            sights=self.sights,
            open_rooms=self.open_rooms,
            coverage=dict(self.coverage),
        )
        windows, done, outcomes = self._windows(START, snapshot), START, []
        while (tick := self._next(done, snapshot)) is not None:
            if self.restarts(tick):
                snapshot = msgspec.json.decode(msgspec.json.encode(snapshot), type=Snapshot)
                windows = self._windows(done, snapshot)
            if tick in self.policies:
                self.policy = self.policies[tick]
                windows = self._windows(done, snapshot)
            snapshot = msgspec.structs.replace(snapshot, going=self._going(tick), taken_at=tick)
            changes = self._changes(done, tick)
            revisit = missing(windows, changes, tick, snapshot.alerts)
            if revisit is not None:
                for after, upto in revisit.stretches:
                    windows.recount(self._visible(done, after, upto), revisit)
                windows.revisited(revisit, tick // MINUTE)
            outcome, snapshot = step(tick, self.policy, windows, snapshot, changes)
            if outcome.questions:
                answers = dict.fromkeys((asked.fingerprint for asked in outcome.questions), None)
                outcome, snapshot = step(
                    tick, self.policy, windows, msgspec.structs.replace(snapshot, explained=answers), ()
                )
            outcomes.append(outcome)
            done = tick
        return _told(outcomes, snapshot)

    def _next(self, done: int, snapshot: Snapshot) -> int | None:
        moments = [room.known_at for room in self.rooms] + [room.replaced_at for room in self.rooms if room.replaced_at]
        coming = min((at for at in [*moments, *self.extra_ticks] if at > done), default=None)
        flush = min((group.flush_at for group in snapshot.groups.values()), default=None)
        return next_tick(done, START + self.minutes * MINUTE, coming, flush)

    def _changes(self, after: int, upto: int) -> list[Change]:
        came = [Change(room.known_at, room, 1) for room in self.rooms if after < room.known_at <= upto]
        went = [Change(room.replaced_at, room, -1) for room in self.rooms if after < (room.replaced_at or 0) <= upto]
        return sorted(came + went, key=lambda change: (change.at, change.room.room.room_sid, change.sign))

    def _going(self, at: int) -> dict[str, dict[int, int]]:
        """What looks each minute would have listed of rooms that are not settled."""
        found: dict[str, dict[int, int]] = {}
        first = {one.room.room_sid: one for one in sorted(self.rooms, key=lambda one: -one.known_at)}
        for room in first.values() if self.lists_going else ():
            if room.started <= at < room.known_at:
                minutes = found.setdefault(room.account, {})
                minutes[room.started // MINUTE] = minutes.get(room.started // MINUTE, 0) + 1
        return found

    def _visible(self, at: int, after: int, upto: int = 2**40) -> list[SettledRoom]:
        """The rooms that ended in `after` < minute ≤ `upto` as known at `at`."""
        known = [room for room in self.rooms if room.known_at <= at < (room.replaced_at or at + 1)]
        return [room for room in known if after < room.ended // MINUTE <= upto]

    def _windows(self, moment: int, snapshot: Snapshot) -> Windows:
        windows, needed = self.windows_of(self.policy.rules, self.show), still_needed(snapshot)
        for room in self._visible(moment, min([moment // MINUTE - windows.horizon, *needed.values()])):
            windows.fold(room)
        windows.begin()
        windows.forget(moment // MINUTE, needed)
        return windows


def _told(outcomes: list[Outcome], snapshot: Snapshot) -> Told:
    events = [event for outcome in outcomes for event in outcome.events]
    sent = [notification for outcome in outcomes for notification in outcome.notifications]
    return Told(
        [((one.at - START) / MINUTE, one.event, one.labels["alertname"]) for one in events],
        [
            (
                (one.at - START) / MINUTE,
                one.reason,
                one.status,
                tuple(f"{alert.labels['alertname']} {alert.status}" for alert in one.alerts),
            )
            for one in sent
        ],
        events,
        sent,
        [notification for outcome in outcomes for notification in outcome.withheld],
        snapshot.alerts,
        {key: message for outcome in outcomes for key, message in outcome.errors.items()},
    )


@pytest.fixture
def story(policy_of: Callable[..., Policy]) -> Callable[..., Told]:
    """Tells what becomes of rooms under rules: `story(rule, rooms=[…], minutes=120)`; keywords as in Story."""

    def tell(*rules: Rule, rooms: Sequence[SettledRoom] = (), minutes: int = 120, **parts: Any) -> Told:
        policy = parts.pop("policy", None) or policy_of(*rules)
        return Story(policy=policy, rooms=rooms, minutes=minutes, **parts).tell()

    return tell
