"""Builders for the engine's records: a test names only what matters to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from alertd.engine.conditions import Condition, compile_condition, parse_condition
from alertd.engine.fields import Extractor
from alertd.engine.records import Participant, Room, SettledRoom

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
