"""What the benchmarks' rooms look like on the wire: endless numbered rooms of ten, in Twilio's shape and size.

The shape is that of Twilio's OpenAPI document twilio_insights_v1; a list of ten participants takes about 9.4 KB.
"""

from __future__ import annotations

import json
import time

PEOPLE = 10
LASTS = 300
"""Seconds from a room's start to its end."""
SETTLES = 480
"""Seconds from its end until its summary is complete; only then do these rooms show in a listing."""
_BASE = "https://insights.twilio.com/v1/Video/Rooms"
_ACCOUNT = "AC" + "7" * 32
_SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC835  # odd, so that its multiples modulo 2**128 are all different
_BACK = pow(_SPREAD, -1, 1 << 128)

REGIONS = ("us1", "ie1", "de1", "au1", "sg1", "jp1")
EDGES = ("ashburn", "dublin", "frankfurt", "sydney", "singapore", "roaming")
VERSIONS = ("2.28.1", "2.27.0", "2.24.3", "2.31.0", "2.20.1")
FAILURES = (
    (53405, "media_connection_failed_or_media_activity_ceased"),
    (53001, "signaling_connection_disconnected"),
    (53205, "participant_duplicate_identity"),
    (20104, "access_token_expired_or_expiration_date_invalid"),
)


def room_sid(number: int) -> str:
    """The SID of a room: as scattered as Twilio's, which matters to every index."""
    return f"RM{_scattered(number + 1):032x}"


def room_number(sid: str) -> int:
    """The number of the room with this SID."""
    return int.from_bytes(bytes.fromhex(sid[2:])) * _BACK % (1 << 128) - 1


def _scattered(number: int) -> int:
    return number * _SPREAD % (1 << 128)


def stamp(moment: int) -> str:
    """ISO 8601 in UTC with whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def room_row(number: int, created: int) -> bytes:
    """The settled summary of a room as JSON."""
    sid, place = room_sid(number), number % len(REGIONS)
    return _ROOM % tuple(
        text.encode()
        for text in (
            sid,
            f"{number:08x}",
            stamp(created),
            stamp(created + LASTS),
            REGIONS[place],
            EDGES[place],
            sid,
            sid,
        )
    )


def people(number: int, created: int, address: str) -> bytes:
    """The one page of a room's participants as JSON; `address` is the URL that `meta` gives."""
    rows = b",".join(_person(number, nth, created) for nth in range(PEOPLE))
    meta = {"key": "participants", "page": 0, "page_size": 1000, "url": address, "first_page_url": address}
    return b'{"meta":%b,"participants":[%b]}' % (_dump(meta | {"previous_page_url": None, "next_page_url": None}), rows)


def _person(number: int, nth: int, created: int) -> bytes:
    """One participant in thirty fails, more rooms than not have none."""
    who = number * PEOPLE + nth + 1
    sid, room, place = f"PA{_scattered(who):032x}", room_sid(number), number % len(REGIONS)
    failed = (who * 7919) % 30 == 0
    code, reason = FAILURES[who % len(FAILURES)] if failed else (None, "disconnected_via_api")
    row = {
        "participant_sid": sid,
        "participant_identity": f"clinician-{_scattered(who) & 0xFFFFFFFFFF:010x}",
        "join_time": stamp(created + 3 * nth),
        "leave_time": stamp(created + LASTS - nth),
        "duration_sec": LASTS - 4 * nth,
        "account_sid": _ACCOUNT,
        "room_sid": room,
        "status": "completed",
        "codecs": ["VP8", "opus"],
        "end_reason": reason,
        "error_code": code,
        "error_code_url": f"https://www.twilio.com/docs/api/errors/{code}" if code else None,
        "media_region": REGIONS[place],
        "edge_location": EDGES[(place + nth // 7) % len(EDGES)],
        "properties": _PROPERTIES,
        "publisher_info": _PUBLISHER | {"sdk_version": VERSIONS[who % len(VERSIONS)]},
        "url": f"{_BASE}/{room}/Participants/{sid}",
    }
    return _dump(row)


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


_PROPERTIES = {
    "recordOnConnect": False,
    "numAudioTracks": 1,
    "numVideoTracks": 1,
    "numDataTracks": 0,
    "isAdhoc": False,
}
_PUBLISHER = {
    "name": "twilio-video.js",
    "sdk_type": "javascript",
    "platform_name": "Windows",
    "platform_version": "10.0",
    "browser_name": "Chrome",
    "browser_version": "128.0.6613.85",
}
_ROOM = _dump(
    {
        "account_sid": _ACCOUNT,
        "room_sid": "%b",
        "room_name": "consult-%b",
        "create_time": "%b",
        "end_time": "%b",
        "room_type": "group",
        "room_status": "completed",
        "status_callback": "https://example.com/hooks/video",
        "status_callback_method": "POST",
        "created_method": "api",
        "end_reason": "room_ended_via_api",
        "max_participants": 50,
        "unique_participants": PEOPLE,
        "unique_participant_identities": PEOPLE,
        "concurrent_participants": 0,
        "max_concurrent_participants": 50,
        "codecs": ["VP8", "opus"],
        "media_region": "%b",
        "duration_sec": LASTS,
        "total_participant_duration_sec": LASTS * PEOPLE,
        "total_recording_duration_sec": 0,
        "processing_state": "complete",
        "recording_enabled": False,
        "edge_location": "%b",
        "url": f"{_BASE}/%b",
        "links": {"participants": f"{_BASE}/%b/Participants"},
    }
)
