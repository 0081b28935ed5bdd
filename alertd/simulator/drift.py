"""What no document mentions: new keys and words in the summaries of drifted rooms, and values of wrong types."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

import msgspec

NEW_REGION = "xx9"
_ROOM_FIELDS = ("duration_sec", "room_name", "room_sid", "end_time")
_PERSON_FIELDS = ("duration_sec", "participant_identity", "participant_sid", "join_time")


def drifted_room(row: dict[str, Any]) -> dict[str, Any]:
    """The room summary with keys and words that are new; `archived` is how a settled room stands, whatever it was."""
    row |= {
        "quality": {"score": 4.2, "labels": ["good", None]},
        "retention_tier": 2,
        "media_region": row["media_region"] and NEW_REGION,
    }
    if row["processing_state"] in ("complete", "timeout"):
        row["room_status"] = "archived"
    elif row["end_time"] is not None:
        row["processing_state"] = "enriching"
    return row


def drifted_person(row: dict[str, Any]) -> dict[str, Any]:
    """The participant summary with keys and words that are new."""
    return row | {
        "network": {"loss": 0.01, "hops": [1, 2, None]},
        "role": "host",
        "media_region": NEW_REGION,
        "publisher_info": row["publisher_info"] | {"hardware": {"cores": 8}},
    }


def malformed(row: bytes, chance: random.Random) -> bytes:
    """The summary, a room's or a participant's, with one value of a type that it never has."""
    record = msgspec.json.decode(row)
    field = chance.choice(_ROOM_FIELDS if "room_name" in record else _PERSON_FIELDS)
    record[field] = _mistyped(field, record[field])
    return msgspec.json.encode(record)


def _mistyped(field: str, value: object) -> object:
    if field.endswith("_sid"):
        return None
    if field.endswith("_sec"):
        return f"{value} s"
    if field.endswith("_time"):
        return datetime.fromisoformat(str(value)).timestamp() if value else 0
    return [value]
