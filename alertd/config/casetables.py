"""What a file of tests may say: its tables, their keys with defaults and meaning, and what each value must be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field, create_model, field_validator, model_validator

from alertd.config.forms import Name, Pause
from alertd.config.reading import Written
from alertd.engine.errortable import Ambiguous, Resolved, reason_named
from alertd.engine.records import Participant, Room, Whole
from alertd.settings import Duration, Table

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""When a case begins that does not say: on a Monday, in no time zone's night of a clock change."""
FARTHEST = 90 * 86400
"""The longest offset in a case, in seconds."""
OPEN_MAPPINGS = ("publisher_info", "properties")
MADE_UP: Mapping[str, str] = {
    "room_sid": "SIDs are made up, the same in every run",
    "participant_sid": "SIDs are made up, the same in every run",
    "create_time": "write started, an offset from the start of the case, or duration",
    "end_time": "write ended, an offset from the start of the case",
    "join_time": "write joined, how long after the room's start",
    "leave_time": "write left, how long after the room's start",
}
"""Fields of Twilio's that a test says in another way, and how."""


def _moment(value: object) -> object:
    """A time of day in a zone, from text or as TOML has it; one without a zone is UTC."""
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime):
        raise ValueError("write a time like 2026-03-02T12:00:00Z")  # noqa: TRY004 - pydantic collects ValueErrors
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _not_too_far(seconds: int) -> int:
    if seconds > FARTHEST:
        raise ValueError("must be at most 90d")
    return seconds


Offset = Annotated[Duration, AfterValidator(_not_too_far)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
Number = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
"""A whole number as records hold it: pydantic does not read the bounds of msgspec."""


def _fields(record: type[msgspec.Struct]) -> dict[str, Any]:
    """The record's own fields as keys of a table, all of them optional."""
    fields = {field.name: field.type for field in msgspec.structs.fields(record)}
    types = {Whole | None: Number | None}
    return {name: (types.get(kind, kind), None) for name, kind in fields.items() if name not in MADE_UP}


class OwnRoomKeys(Table):
    """When a room ended and settled; offsets count from the start of the case, and move on in a series."""

    account: Name = Field("production", description="The account it belongs to.")
    ended: Offset = Field(0, description="When it ended.")
    settled: Offset = Field(480, description="How long after `ended` its summary becomes complete.")
    started: Offset | None = Field(None, description="When it started.")
    duration: Offset | None = Field(None, description="How long it lasted, instead of `started`. Default: 10m.")
    partial: bool = Field(False, description="Whether its summary never becomes complete, so that it is given up.")

    @model_validator(mode="after")
    def _starts_once(self) -> Self:
        if self.started is not None and self.duration is not None:
            raise ValueError("write started or duration, not both")
        if self.started is not None and self.started > self.ended:
            raise ValueError("started is after ended")
        return self


class OwnParticipantKeys(Table):
    """How many of the same, and when they came and went, counted from the start of their room."""

    count: int = Field(1, ge=1, le=10_000, description="How many participants of this kind the room has.")
    joined: Offset = Field(0, description="When they joined.")
    left: Offset | None = Field(None, description="When they left. Default: when the room ended.")

    @model_validator(mode="before")
    @classmethod
    def _fold(cls, data: object) -> object:
        """`publisher_info.name: x` means `publisher_info: {name: x}`, and `sdk_version` is short as in rules."""
        if not isinstance(data, dict):
            return data
        folded: dict[str, Any] = {}
        for name, value in data.items():
            key = "publisher_info.sdk_version" if name == "sdk_version" else str(name)
            home, dot, inner = key.partition(".")
            if dot and home in OPEN_MAPPINGS:
                folded[home] = _mapping(folded.get(home)) | {inner: _sent(inner, value)}
            elif key in OPEN_MAPPINGS and isinstance(value, dict):
                folded[key] = _mapping(folded.get(key)) | {inner: _sent(inner, item) for inner, item in value.items()}
            else:
                folded[key] = value
        return folded

    @field_validator("end_reason", check_fields=False)
    @classmethod
    def _whole_reason(cls, value: str | None) -> str | None:
        """A shortened end reason means what it means in a rule; one that is not listed stays as it is."""
        named = reason_named(value) if value else None
        if isinstance(named, Ambiguous):
            complaint = f'"{value}" may be {" or ".join(named.candidates)}; write more of it'
            raise ValueError(complaint)  # noqa: TRY004 - pydantic collects ValueErrors
        return named.reason if isinstance(named, Resolved) else value


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _sent(name: str, value: object) -> object:
    """A value as an SDK sends it: versions are text, as they are written."""
    if isinstance(value, dict):
        return {key: _sent(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sent(name, item) for item in value]
    if name.lower().endswith("version") and isinstance(value, int | float) and not isinstance(value, bool):
        return value.text if isinstance(value, Written) else str(value)
    return float(value) if isinstance(value, Written) else value


RoomTable = create_model("RoomTable", __base__=OwnRoomKeys, **_fields(Room))
ParticipantTable = create_model("ParticipantTable", __base__=OwnParticipantKeys, **_fields(Participant))


class EntryTable(Table):
    """A room, or a series of rooms that are alike."""

    every: Pause | None = Field(None, description="How far apart the rooms of a series are.")
    times: int = Field(1, ge=1, le=100_000, description="How many rooms there are.")
    room: RoomTable = Field(RoomTable(), description="When it ended, and fields of its summary.")
    participants: tuple[ParticipantTable, ...] = Field(
        (ParticipantTable(count=2),), description="Who took part. Default: two whose call ended as calls do."
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.every is None) != (self.times == 1):
            raise ValueError("a series needs both every and times (more than 1), a single room neither")
        if (self.every or 0) * self.times > FARTHEST:
            raise ValueError("a series must not be longer than 90d")
        return self


class AlertTable(Table):
    """An alert that is expected."""

    alert: str = Field(description="Name of its rule.")
    labels: dict[str, str] = Field({}, description="Labels it must have; it may have others.")
    state: Literal["pending", "firing", "resolved"] = Field("firing", description="Its state.")


class ExpectTable(Table):
    """Which alerts there are at one moment: exactly these, but for resolved ones, which need not be listed."""

    at: Offset = Field(description="The moment: an offset from the start of the case.")
    alerts: tuple[AlertTable, ...] = Field(description="The alerts.")


class NotificationTable(Table):
    """A notification that is expected."""

    receiver: str | None = Field(None, description="Who is told. Left out: anybody.")
    status: Literal["firing", "resolved"] = Field("firing", description="Whether any of its alerts fires.")
    reason: str | None = Field(None, description="Why it is sent. Left out: for any reason.")
    alerts: tuple[str, ...] = Field(
        description="The names of its alerts, each as often as there are such alerts in it."
    )


class CaseTable(Table):
    """One test."""

    name: str = Field(min_length=1, description="What it shows.")
    start: Moment = Field(NOON, description="When it begins; offsets count from here.")
    rooms: tuple[EntryTable, ...] = Field((), description="The rooms that are known in it.")
    expect: tuple[ExpectTable, ...] = Field((), description="Which alerts there are, and when.")
    expect_notifications: tuple[NotificationTable, ...] | None = Field(
        None, description="All that is sent in the case, in order. Left out: whatever."
    )

    @model_validator(mode="after")
    def _expects(self) -> Self:
        if not self.expect and self.expect_notifications is None:
            raise ValueError("expects nothing; write expect or expect_notifications")
        return self


class CaseFile(Table):
    """A file of tests for rules."""

    rules: str = Field(description="The rule file or folder, relative to this file.")
    config: str | None = Field(
        None,
        description="A configuration, relative to this file, for its routes and receivers and collect.settle_timeout.",
    )
    tests: tuple[CaseTable, ...] = Field(min_length=1, description="The tests.")
