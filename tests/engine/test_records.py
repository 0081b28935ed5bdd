"""Records keep what Twilio says, whatever is missing or new in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.engine.records import Participant, Room, epoch, spelled


@given(st.integers(0, 4_000_000_000), st.integers(-14, 14))
def test_a_moment_is_the_same_in_every_time_zone(seconds, hours):
    assert epoch(datetime.fromtimestamp(seconds, timezone(timedelta(hours=hours)))) == seconds


def test_a_moment_without_a_zone_is_utc_as_twilio_means_it():
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert epoch(noon.replace(tzinfo=None)) == epoch(noon) == 1772452800


def test_parts_of_seconds_are_dropped_and_no_moment_is_none():
    assert epoch(datetime(2026, 3, 2, 12, 0, 0, 999_999, tzinfo=UTC)) == 1772452800
    assert epoch(None) is None


@pytest.mark.parametrize("written", ["in-progress", "In_Progress", "in_progress"])
def test_the_spellings_of_one_state_compare_as_one(written):
    assert spelled(written) == "in_progress"


def test_everything_but_the_sid_may_be_missing_or_null():
    fields = {field.name: None for field in msgspec.structs.fields(Room) if field.name != "room_sid"}
    assert msgspec.convert({"room_sid": "RM1", **fields}, Room) == Room(room_sid="RM1")
    fields = {field.name: None for field in msgspec.structs.fields(Participant) if field.name != "participant_sid"}
    assert msgspec.convert({"participant_sid": "PA1", **fields}, Participant) == Participant(participant_sid="PA1")


def test_keys_and_values_that_nobody_knew_of_are_no_trouble():
    sent = b'{"room_sid": "RM1", "room_type": "hologram", "new_key": {"a": [1]}}'
    assert msgspec.json.decode(sent, type=Room) == Room(room_sid="RM1", room_type="hologram")


def test_a_number_that_no_database_can_hold_is_refused():
    with pytest.raises(msgspec.ValidationError, match="duration_sec"):
        msgspec.json.decode(b'{"room_sid": "RM1", "duration_sec": 9223372036854775808}', type=Room)
