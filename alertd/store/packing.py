"""How domain values become bytes in a row and come back: sids, room bodies, digests, hashed names."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TypeVar

import msgspec

from alertd.engine.records import Participant, Room, spelled

_SID = re.compile(r"RM[0-9a-f]{32}")
_ODD = b"\xff"
_T = TypeVar("_T")

TYPICAL = (
    b'"properties":{},"error_code":53405,"publisher_info":{"name":"twilio-video-android","name":"twilio-video-ios",'
    b'"name":"twilio-video.js","sdk_version":"2.2","sdk_type":"javascript","platform_name":"Windows","platform_name":"'
    b'iOS","platform_name":"Android","platform_name":"macOS","browser_name":"Safari","browser_name":"Firefox",'
    b'"browser_name":"Chrome","browser_version":"1"}}"status":"connected","end_reason":"room_ended_via_api",'
    b'"end_reason":"participant_connection_expired","end_reason":"media_connection_failed_or_media_activity_ceased",'
    b'"end_reason":"signaling_connection_disconnected","end_reason":"disconnected_via_api","edge_location":"frankfurt",'
    b'"edge_location":"dublin","media_region":"de1","media_region":"ie1","codecs":["VP8","H264","opus"],"'
    b'[{"room_sid":"RM","account_sid":"AC","room_name":"","create_time":"202","end_time":"202","room_type":"go",'
    b'"room_type":"group_small","room_type":"group","room_status":"completed","created_method":"sdk","created_method":'
    b'"ad_hoc","created_method":"api","end_reason":"timeout","end_reason":"room_ended_via_api","status_callback":"https:'
    b'//","status_callback_method":"POST","max_participants":50,"max_concurrent_participants":50,'
    b'"unique_participants":2,"unique_participant_identities":2,"concurrent_participants":0,"codecs":["VP8","opus"],'
    b'"media_region":"us1","edge_location":"ashburn","duration_sec":60,"total_participant_duration_sec":120,'
    b'"total_recording_duration_sec":0,"processing_state":"complete","recording_enabled":false},[{"participant_sid":'
    b'"PA","participant_identity":"","join_time":"202","leave_time":"202","duration_sec":60,"status":"disconnected",'
    b'"codecs":["VP8","opus"],"end_reason":"disconnected_via_api","media_region":"us1","edge_location":"ashburn",'
    b'"publisher_info":{"name":"twilio-video.js","sdk_version":"2.28.1"}}]]'
)
"""What room bodies mostly say (zlib refers to it instead of storing it: a third less, half for small rooms).

Stored bodies can be read with these very bytes only: to change them is to migrate every room.
"""


class Body(msgspec.Struct, frozen=True, array_like=True):
    """A room summary and all its participants, as one room's row keeps them."""

    room: Room
    participants: tuple[Participant, ...]


_bodies = msgspec.json.Decoder(Body)


def pack_sid(sid: str) -> bytes:
    """The 16 bytes that the hex digits behind `RM` spell.

    Any other text becomes UTF-8 behind one mark 0xFF (which UTF-8 never holds), or two lest it be 16 bytes long.
    """
    if _SID.fullmatch(sid):
        return bytes.fromhex(sid[2:])
    odd = _ODD + sid.encode("utf-8", "replace")
    return _ODD + odd if len(odd) == 16 else odd


def unpack_sid(packed: bytes) -> str:
    """The text that `pack_sid` took."""
    return f"RM{packed.hex()}" if len(packed) == 16 else packed.lstrip(_ODD).decode()


def pack_body(room: Room, participants: tuple[Participant, ...]) -> bytes:
    """JSON, then zlib at its fastest: rooms and their participants repeat each other, so they shrink sevenfold."""
    packer = zlib.compressobj(level=1, zdict=TYPICAL)
    return packer.compress(msgspec.json.encode(Body(room, participants))) + packer.flush()


def unpack_body(packed: bytes) -> Body:
    """What `pack_body` took."""
    return _bodies.decode(zlib.decompressobj(zdict=TYPICAL).decompress(packed))


def digest(room: Room) -> bytes:
    """8 bytes that change when the summary of a settled room does.

    Left out is `concurrent_participants` (how many are there just now); the two spellings of a state are one.
    """
    steady = msgspec.structs.replace(
        room,
        concurrent_participants=None,
        processing_state=spelled(room.processing_state or ""),
        room_status=spelled(room.room_status or ""),
    )
    return blake2b(msgspec.json.encode(steady), digest_size=8).digest()


def hashed(*words: str) -> bytes:
    """16 bytes that stand for a key of any length and any characters, so that an index can hold it."""
    return blake2b(msgspec.json.encode(words), digest_size=16).digest()


def slices(items: Sequence[_T], size: int = 1000) -> Iterator[Sequence[_T]]:
    """The items in runs of at most `size`: a statement takes some 32,000 values in either database."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
