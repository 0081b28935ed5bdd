"""Room and Participant: what Twilio's Video Log Analyzer says, with its own field names; anything may be missing.

Enumerations are open (Twilio adds values without notice), so they are plain text here; unknown keys are ignored.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A whole number that databases can hold; anything beyond is an unreadable value."""


class Room(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A room summary; times are UTC datetimes, durations whole seconds."""

    room_sid: str
    account_sid: str | None = None
    room_name: str | None = None
    create_time: datetime | None = None
    end_time: datetime | None = None
    room_type: str | None = None
    room_status: str | None = None
    created_method: str | None = None
    end_reason: str | None = None
    status_callback: str | None = None
    status_callback_method: str | None = None
    max_participants: Whole | None = None
    max_concurrent_participants: Whole | None = None
    unique_participants: Whole | None = None
    unique_participant_identities: Whole | None = None
    concurrent_participants: Whole | None = None
    codecs: tuple[str, ...] | None = None
    media_region: str | None = None
    edge_location: str | None = None
    duration_sec: Whole | None = None
    total_participant_duration_sec: Whole | None = None
    total_recording_duration_sec: Whole | None = None
    processing_state: str | None = None
    recording_enabled: bool | None = None


class Participant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A participant summary; `publisher_info` and `properties` are whatever the SDK sent."""

    participant_sid: str
    participant_identity: str | None = None
    join_time: datetime | None = None
    leave_time: datetime | None = None
    duration_sec: Whole | None = None
    status: str | None = None
    codecs: tuple[str, ...] | None = None
    end_reason: str | None = None
    error_code: Whole | None = None
    media_region: str | None = None
    edge_location: str | None = None
    publisher_info: dict[str, Any] | None = None
    properties: dict[str, Any] | None = None


class SettledRoom(msgspec.Struct, frozen=True, kw_only=True):
    """A room that is final here, with all its participants: the engine's unit of input.

    `ended` is its event time, `known_at` when it settled here, `replaced_at` when a changed summary took its place,
    all in seconds since the epoch; `partial` says that it was given up before Twilio called it complete.
    """

    account: str
    room: Room
    participants: tuple[Participant, ...]
    ended: int
    known_at: int
    replaced_at: int | None = None
    partial: bool = False

    @property
    def started(self) -> int:
        """When the room started: its create time, else its duration before its end; never after its end."""
        created = epoch(self.room.create_time)
        if created is None:
            created = self.ended - (self.room.duration_sec or 0)
        return min(created, self.ended)


def epoch(moment: datetime | None) -> int | None:
    """Whole seconds since the epoch of a datetime (one without a zone is taken as UTC, as Twilio means it)."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        return int((moment - datetime(1970, 1, 1)).total_seconds())  # noqa: DTZ001 - naive on purpose, on both sides
    return int(moment.timestamp())


def spelled(value: str) -> str:
    """The one spelling that comparisons use: lower case, `_` for `-`, since Twilio mixes both (`in-progress`)."""
    return value.lower().replace("-", "_")
