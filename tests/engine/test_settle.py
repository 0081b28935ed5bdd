"""When a room is final, and when to look again."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest

from alertd.engine.coverage import LONGEST_ROOM
from alertd.engine.records import Room
from alertd.engine.settle import Final, Open, settle

NOW = 1_772_452_800
HALF_HOUR = 1800
ENDED = NOW - 600


def moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def room(state: str | None, status: str | None, ended: int | None, created: int | None = NOW - 3600, **more) -> Room:
    return Room(
        room_sid="RM1",
        processing_state=state,
        room_status=status,
        create_time=moment(created),
        end_time=moment(ended),
        **more,
    )


STATES = {
    "complete": "final",
    "Complete": "final",
    "timeout": "given up",
    "in_progress": "open",
    "in-progress": "open",
    "not_started": "open",
    "not-started": "open",
    "something_new": "open",
    None: "open",
}


@pytest.mark.parametrize(
    ("state", "status"), list(product(STATES, ["completed", "Completed", "in_progress", "in-progress", None, "new"]))
)
def test_a_room_that_has_ended_is_judged_by_its_processing_state(state, status):
    verdict = settle(room(state, status, ENDED), NOW, HALF_HOUR)
    if STATES[state] == "open":
        assert isinstance(verdict, Open)
        assert verdict.ended == ENDED
        assert NOW < verdict.look_again_at <= ENDED + HALF_HOUR
    else:
        assert isinstance(verdict, Final)
        assert (verdict.ended, verdict.partial) == (ENDED, STATES[state] == "given up")


@pytest.mark.parametrize(
    ("state", "status"), list(product(STATES, ["completed", "Completed", "in_progress", "in-progress", None, "new"]))
)
def test_a_room_without_an_end_goes_on_unless_its_status_or_twilio_says_otherwise(state, status):
    verdict = settle(room(state, status, None, duration_sec=3000), NOW, HALF_HOUR)
    over = (status or "").lower() == "completed" or (state == "timeout" and not (status or "").startswith("in"))
    assert verdict.ended == (NOW - 600 if over else None)
    assert isinstance(verdict, Final) == (over and STATES[state] != "open")


@pytest.mark.parametrize("state", ["in_progress", "not_started", None, "something_new"])
def test_what_never_becomes_complete_is_given_up_at_the_settle_timeout(state):
    ended = NOW - HALF_HOUR
    assert isinstance(settle(room(state, "completed", ended), NOW - 1, HALF_HOUR), Open)
    verdict = settle(room(state, "completed", ended), NOW, HALF_HOUR)
    assert isinstance(verdict, Final)
    assert verdict.partial
    assert "settle timeout" in verdict.why


def test_a_room_is_looked_at_every_minute_at_first_then_every_other_and_at_the_timeout_itself():
    def pause(age: int) -> int:
        verdict = settle(room("in_progress", "completed", NOW - age), NOW, HALF_HOUR)
        assert isinstance(verdict, Open)
        return verdict.look_again_at - NOW

    assert [pause(age) for age in (0, 899, 900, 1750, 1799)] == [60, 60, 120, 50, 1]


def test_an_end_in_the_future_is_kept_as_it_is_said_since_clocks_differ():
    verdict = settle(room("complete", "completed", NOW + 45), NOW, HALF_HOUR)
    assert verdict == Final(NOW + 45, partial=False, why="complete")
    waiting = settle(room("in_progress", "completed", NOW + 45), NOW, HALF_HOUR)
    assert isinstance(waiting, Open)
    assert waiting.look_again_at == NOW + 60


def test_a_completed_room_without_end_ended_after_its_duration_but_not_in_the_future():
    assert (
        settle(room("complete", "completed", None, NOW - 3600, duration_sec=1200), NOW, HALF_HOUR).ended == NOW - 2400
    )
    assert settle(room("complete", "completed", None, NOW - 3600, duration_sec=9999), NOW, HALF_HOUR).ended == NOW
    assert settle(room("complete", "completed", None, NOW - 3600), NOW, HALF_HOUR).ended == NOW - 3600
    assert settle(room("complete", "completed", None, None), NOW, HALF_HOUR).ended == NOW


def test_a_room_that_has_lasted_longer_than_any_room_can_has_lost_its_end():
    created = NOW - LONGEST_ROOM - 3600
    assert settle(room("in_progress", "in_progress", None, created), NOW, HALF_HOUR).ended is None
    verdict = settle(room("in_progress", "in_progress", None, created), NOW + 1, HALF_HOUR)
    assert isinstance(verdict, Final)
    assert (verdict.ended, verdict.partial) == (created + LONGEST_ROOM, True)
