"""How simulated things are identified: SIDs that look random, of which a room's still says where to find it."""

from __future__ import annotations

import re
from hashlib import blake2b

_ACCOUNT = re.compile(r"AC[0-9a-f]{32}")
_ROOM = re.compile(r"RM([0-9a-f]{12})([0-9a-f]{20})")


def digest(*parts: object, size: int = 16) -> str:
    """A stable fingerprint of the parts, 2 x `size` hex digits."""
    return blake2b("/".join(map(str, parts)).encode(), digest_size=size).hexdigest()


def portion(*parts: object) -> float:
    """A number from 0 to below 1 that looks random, always the same for the same parts."""
    return int(digest(*parts, size=6), 16) / 2**48


def account_sid(api_key: str) -> str:
    """The account that an API key belongs to; an account SID used as a key is its own account."""
    return api_key if _ACCOUNT.fullmatch(api_key) else "AC" + digest("account", api_key)


def room_sid(key: str, chunk: int, number: int) -> str:
    """The SID of the room with this number in this chunk of time; both below 2**24.

    The place stands in the first 12 digits, masked by the other 20, so that a room can be found by its SID alone.
    """
    tail = digest(key, chunk, number, size=10)
    return f"RM{(chunk << 24 | number) ^ _mask(key, tail):012x}{tail}"


def room_place(key: str, sid: str) -> tuple[int, int] | None:
    """Chunk and number of the room with this SID, if there is such a room; None if the text is not a room SID."""
    found = _ROOM.fullmatch(sid)
    if found is None:
        return None
    return divmod(int(found[1], 16) ^ _mask(key, found[2]), 1 << 24)


def _mask(key: str, tail: str) -> int:
    return int(digest(key, tail, size=6), 16)
