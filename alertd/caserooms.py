"""Which settled rooms a test means: summaries as Twilio would show them, settled by a look at each whole minute."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, count
from typing import Any, NamedTuple

import msgspec

from alertd.config.casetables import FARTHEST, CaseTable, EntryTable, OwnParticipantKeys, OwnRoomKeys
from alertd.engine.errortable import by_code, by_reason
from alertd.engine.records import Participant, Room, SettledRoom
from alertd.engine.settle import Final, settle
from alertd.engine.windows import MINUTE

USUAL_DURATION = 600
"""Seconds that a room lasts, where a test does not say."""
USUAL_ROOM: dict[str, Any] = {
    "room_type": "group",
    "room_status": "completed",
    "created_method": "api",
    "end_reason": "room_ended_via_api",
    "max_participants": 50,
    "concurrent_participants": 0,
    "codecs": ("VP8", "opus"),
    "media_region": "us1",
    "edge_location": "ashburn",
    "total_recording_duration_sec": 0,
    "recording_enabled": False,
}
USUAL_SDK = {"name": "twilio-video.js", "sdk_version": "2.28.1"}
USUAL_ENDING = "disconnected_via_api"


class _Stretch(NamedTuple):
    """When a room lasted, in seconds since the epoch."""

    started: int
    ended: int


def settled_rooms(case: CaseTable, settle_timeout: int) -> list[SettledRoom]:
    """All rooms of the case, each known from the look that found it final, in the order in which they stand there."""
    numbers = count(1)
    begin = int(case.start.timestamp())
    return [room for entry in case.rooms for room in _series(entry, begin, settle_timeout, numbers)]


def _series(entry: EntryTable, begin: int, settle_timeout: int, numbers: Iterator[int]) -> Iterator[SettledRoom]:
    for place in range(entry.times):
        stretch = _stretch(entry.room, begin + place * (entry.every or 0))
        yield _settled(entry, stretch, next(numbers), settle_timeout)


def _stretch(table: OwnRoomKeys, begin: int) -> _Stretch:
    ended = begin + table.ended
    if table.started is not None:
        return _Stretch(begin + table.started, ended)
    lasted = table.duration if table.duration is not None else _written(table).get("duration_sec")
    return _Stretch(ended - (USUAL_DURATION if lasted is None else min(max(lasted, 0), FARTHEST)), ended)


def _settled(entry: EntryTable, stretch: _Stretch, number: int, settle_timeout: int) -> SettledRoom:
    """The room as the first look that finds it final sees it."""
    final = _summary(entry, stretch, number)
    unfinished = msgspec.structs.replace(final, processing_state="in_progress")
    complete_at = stretch.ended + entry.room.settled
    now = -(-stretch.ended // MINUTE) * MINUTE
    while True:
        shown = unfinished if entry.room.partial or now < complete_at else final
        outcome = settle(shown, now, settle_timeout)
        if isinstance(outcome, Final):
            break
        now += MINUTE
    return SettledRoom(
        account=entry.room.account,
        room=shown,
        participants=_participants(entry, stretch, number, shown),
        ended=outcome.ended,
        known_at=now,
        partial=outcome.partial,
    )


def _summary(entry: EntryTable, stretch: _Stretch, number: int) -> Room:
    people = sum(one.count for one in entry.participants)
    lasted = stretch.ended - stretch.started
    made_up = {
        "room_name": f"room {number}",
        "max_concurrent_participants": people,
        "unique_participants": people,
        "unique_participant_identities": people,
        "duration_sec": lasted,
        "total_participant_duration_sec": lasted * people,
        "processing_state": "complete",
    }
    return Room(
        room_sid=f"RM{number:032x}",
        create_time=_moment(stretch.started),
        end_time=_moment(stretch.ended),
        **(USUAL_ROOM | made_up | _written(entry.room)),
    )


def _participants(entry: EntryTable, stretch: _Stretch, number: int, room: Room) -> tuple[Participant, ...]:
    alike = chain.from_iterable([one] * one.count for one in entry.participants)
    return tuple(_participant(one, stretch, f"{number:020x}{place:012x}", room) for place, one in enumerate(alike))


def _participant(table: OwnParticipantKeys, stretch: _Stretch, digits: str, room: Room) -> Participant:
    joined = stretch.started + table.joined
    left = stretch.ended if table.left is None else stretch.started + table.left
    written = _written(table)
    made_up: dict[str, Any] = {
        "participant_identity": f"person {digits.lstrip('0')}",
        "duration_sec": max(0, left - joined),
        "status": "disconnected",
        "codecs": room.codecs,
        "media_region": room.media_region,
        "edge_location": room.edge_location,
    }
    return Participant(
        participant_sid=f"PA{digits}",
        join_time=_moment(joined),
        leave_time=_moment(left),
        **(made_up | _ending(written) | written | {"publisher_info": _sdk(written)}),
    )


def _ending(written: dict[str, Any]) -> dict[str, Any]:
    """End reason and error code, of which one follows from the other where Twilio has both."""
    if "error_code" in written:
        error = by_code(written["error_code"]) if written["error_code"] else None
        return {"end_reason": error.end_reason if error else (None if written["error_code"] else USUAL_ENDING)}
    error = by_reason(written["end_reason"]) if written.get("end_reason") else None
    return {"end_reason": USUAL_ENDING, "error_code": error.code if error else None}


def _sdk(written: dict[str, Any]) -> dict[str, Any] | None:
    """The publisher info; one of another SDK has no version that is not written."""
    if "publisher_info" not in written:
        return USUAL_SDK
    sent: dict[str, Any] | None = written["publisher_info"]
    return None if sent is None else {"name": USUAL_SDK["name"]} | sent


def _written(table: OwnRoomKeys | OwnParticipantKeys) -> dict[str, Any]:
    """The fields of Twilio's that stand in the file, null among them."""
    own = OwnRoomKeys if isinstance(table, OwnRoomKeys) else OwnParticipantKeys
    return {name: getattr(table, name) for name in table.model_fields_set - set(own.model_fields)}


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
