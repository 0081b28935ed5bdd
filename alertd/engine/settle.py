"""Is this room final, partial, or when to look again; and which list calls cover what is still open."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from alertd.engine.records import Room, epoch, spelled

LONGEST_ROOM = 24 * 3600
"""No room lasts longer (Twilio's limits: maximum room and participant duration)."""
RETENTION = 7 * 86400
"""How long Twilio keeps summaries."""


NARROW = 2 * 3600
"""How far most looks reach back, in seconds: behind the start of nearly all rooms that just ended."""
WIDE_EVERY = 600
"""Seconds between looks that reach back over the longest rooms."""


@dataclass(frozen=True, slots=True)
class Open:
    """Not final yet: look again at `look_again_at` (seconds since the epoch); `why` says what is missing.

    `ended` is the event time, None while the room goes on.
    """

    look_again_at: int
    why: str
    ended: int | None = None


@dataclass(frozen=True, slots=True)
class Final:
    """Nothing more will be added, or (`partial`) nothing more is waited for; `ended` is the event time."""

    ended: int
    partial: bool
    why: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """One list call: rooms created from `after` to before `before` (None: no end), seconds since the epoch."""

    after: int
    before: int | None


def settle(room: Room, now: int, settle_timeout: int) -> Open | Final:
    """Whether the room is final at `now`.

    Complete means processing_state `complete` of a completed room (Twilio: no further information will be added);
    `timeout` is Twilio's own giving up. Any other state is waited for until `settle_timeout` past the room's end.
    """
    state = spelled(room.processing_state or "")
    ended = event_time(room, now)
    if ended is None:
        return Open(now + 60, "in progress")
    if state == "complete":
        return Final(ended, partial=False, why="complete")
    if state == "timeout":
        return Final(ended, partial=True, why="Twilio gave up processing")
    if now >= ended + settle_timeout:
        return Final(ended, partial=True, why=f"still {state or 'without a state'} after the settle timeout")
    return Open(_next_look(now, ended, settle_timeout), state or "no state", ended)


def event_time(room: Room, now: int) -> int | None:
    """When the room ended, or None while it goes on; a completed one without end time at start plus duration."""
    ended = epoch(room.end_time)
    if ended is not None:
        return ended
    status = spelled(room.room_status or "")
    created = epoch(room.create_time)
    if status == "completed" or (status != "in_progress" and spelled(room.processing_state or "") == "timeout"):
        return min(now, created + (room.duration_sec or 0)) if created is not None else now
    if created is not None and now > created + LONGEST_ROOM + 3600:
        return created + LONGEST_ROOM  # no room lasts longer: Twilio lost its end
    return None


def _next_look(now: int, ended: int, settle_timeout: int) -> int:
    """Soon at first, rarer later, and once at the very time-out; most rooms settle within ten minutes."""
    age = now - ended
    pause = 60 if age < 900 else 120
    return min(now + pause, ended + settle_timeout)


def is_wide_due(now: int, wide_at: int | None) -> bool:
    """Whether this look must reach back over the longest rooms; most rooms are short, so most looks need not."""
    return wide_at is None or not 0 <= now - wide_at < WIDE_EVERY


def stretches(now: int, look_back: int, seen_until: int | None) -> list[Stretch]:
    """The list calls that cover every room that may have ended since `seen_until` (None: never looked).

    Filters work on the start of a room, so each look reaches `look_back` behind the last one: a day and more for a
    wide look, since a room that ends now may have started a day ago, NARROW for those between; what is longer is found
    by the next wide one. Nothing older than Twilio keeps is asked for.
    """
    last = now if seen_until is None else min(now, seen_until)
    return [Stretch(max(last - look_back, now - RETENTION), None)]


class OpenRoom(msgspec.Struct, frozen=True, kw_only=True):
    """A room that was listed but is not final: `listed_at` is when it was first seen, `ended` None while it goes on."""

    account: str
    room_sid: str
    listed_at: int
    ended: int | None
    look_again_at: int
    why: str
