"""What the Video Log Analyzer says of a call at a given moment: summaries that grow until they are settled.

Shapes are those of Twilio's OpenAPI document for insights.twilio.com (`insights.v1.video_room_summary`). How much an
unfinished summary shows is nowhere documented; here totals and codecs come last, and participants appear one by one.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from alertd.simulator.calls import Call, Session, Totals
from alertd.simulator.drift import drifted_person, drifted_room

ROOMS_PATH = "/v1/Video/Rooms"
_encoder = msgspec.json.Encoder()


def listed(call: Call, now: float) -> bool:
    """Whether the API knows the call's room at `now`: as a rule from its start until a week after its end."""
    return call.shown_from <= now < call.gone_from


def is_over(call: Call, now: float) -> bool:
    """Whether the room has ended at `now`."""
    return call.ended <= now


def room_row(call: Call, now: float, base: str, hyphenated: float) -> bytes:
    """The room summary at `now` as JSON; `base` is the address that URLs begin with, `hyphenated` as in room_summary.

    A summary that will not change any more is kept with the call as it is written.
    """
    final = now >= call.settled and now >= call.changed_at
    if final and call.final_row is not None and call.final_row[0] == base:
        return call.final_row[1]
    row = _encoder.encode(room_summary(call, now, base, hyphenated))
    if final:
        call.final_row = (base, row)
    return row


def room_summary(call: Call, now: float, base: str, hyphenated: float) -> dict[str, Any]:
    """The room summary at `now`; a `hyphenated` share of unfinished ones spells `in-progress`, as in the prose."""
    over, whole = is_over(call, now), now >= call.settled and not call.gave_up
    url = f"{base}{ROOMS_PATH}/{call.sid}"
    totals, end_reason = _as_counted(call, now)
    summary = {
        "account_sid": call.account_sid,
        "room_sid": call.sid,
        "room_name": call.name,
        "create_time": timestamp(call.created),
        "end_time": timestamp(call.ended) if over else None,
        "room_type": call.room_type,
        "room_status": "completed" if over else "in_progress",
        "status_callback": "https://example.com/hooks/video" if call.callback else None,
        "status_callback_method": "POST" if call.callback else None,
        "created_method": call.created_method,
        "end_reason": end_reason if over else None,
        "max_participants": call.seats,
        "unique_participants": totals.people if over else None,
        "unique_participant_identities": totals.identities if over else None,
        "concurrent_participants": totals.concurrent if whole else None,
        "max_concurrent_participants": call.seats,
        "codecs": call.codecs if whole else None,
        "media_region": call.region.name if call.people else None,
        "duration_sec": call.ended - call.created if over else None,
        "total_participant_duration_sec": totals.talked if whole else None,
        "total_recording_duration_sec": (totals.talked if call.recorded else 0) if whole else None,
        "processing_state": _processing_state(call, now, hyphenated),
        "recording_enabled": call.recorded,
        "edge_location": call.region.edge if call.people else None,
        "url": url,
        "links": {"participants": f"{url}/Participants"},
    }
    return drifted_room(summary) if call.drifted else summary


def participant_summary(call: Call, session: Session, now: float, base: str) -> dict[str, Any]:
    """The participant summary at `now`, which must not be before `session.shown_at`."""
    ending = session.ending
    known = session.detailed_at <= now
    code = ending.code or (0 if session.zero_code else None)
    summary = {
        "participant_sid": session.sid,
        "participant_identity": session.identity,
        "join_time": timestamp(session.joined),
        "leave_time": timestamp(session.left) if known else None,
        "duration_sec": session.left - session.joined if known else None,
        "account_sid": call.account_sid,
        "room_sid": call.sid,
        "status": _status(call, known),
        "codecs": session.client.codecs if known else None,
        "end_reason": ending.reason if known else None,
        "error_code": code if known else None,
        "error_code_url": f"https://www.twilio.com/docs/api/errors/{ending.code}" if known and ending.code else None,
        "media_region": call.region.name,
        "edge_location": session.edge,
        "properties": _properties(call, session) if known else {},
        "publisher_info": session.client.publisher_info,
        "url": f"{base}{ROOMS_PATH}/{call.sid}/Participants/{session.sid}",
    }
    return drifted_person(summary) if call.drifted else summary


def timestamp(moment: float) -> str:
    """ISO 8601 in UTC with whole seconds, as the API writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def _as_counted(call: Call, now: float) -> tuple[Totals, str | None]:
    """The totals and the end_reason as they are at `now`: before a correction some participants are not counted."""
    if call.early is not None and now < call.changed_at:
        return call.early, None if call.end_reason else "timeout"
    return Totals(call.people, call.identities, call.concurrent, call.talked), call.end_reason


def _processing_state(call: Call, now: float, hyphenated: float) -> str:
    if now >= call.settled:
        return "timeout" if call.gave_up else "complete"
    if call.ended <= now < call.started_processing:
        return "not_started"
    return "in-progress" if call.hyphen < hyphenated else "in_progress"


def _status(call: Call, left: bool) -> str:
    """Two vocabularies are in use; a room keeps to one of them."""
    if call.connected_words:
        return "disconnected" if left else "connected"
    return "completed" if left else "in_progress"


def _properties(call: Call, session: Session) -> dict[str, Any]:
    sends_media = session.client.sdk != "twilio-video-node"
    return {
        "recordOnConnect": call.recorded,
        "numAudioTracks": 1,
        "numVideoTracks": int(sends_media),
        "numDataTracks": int(not sends_media),
        "isAdhoc": call.created_method == "ad_hoc",
    }
