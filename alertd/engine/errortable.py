"""What Twilio's Video errors mean: code, end reason, message, and the category of how a participant's call ended.

The rows join Twilio's error dictionary with the errors of its JavaScript SDK; an end reason is the snake case of a
dictionary title, sometimes of an older one. Nineteen of the Video codes have no end reason in the API's
documentation, so rules should look at the code first. The categories are alertd's own reading, not Twilio's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from alertd.engine.records import spelled

Category = Literal["normal", "network", "client", "server", "quota", "user", "config", "unknown"]
CATEGORIES: tuple[Category, ...] = ("normal", "network", "client", "server", "quota", "user", "config", "unknown")


class VideoError(NamedTuple):
    """One row of the table; `code` or `end_reason` is None where Twilio has none."""

    code: int | None
    category: Category
    end_reason: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """The text names one end reason: `reason`, in the API's own spelling; `exact` unless it was shortened."""

    reason: str
    exact: bool


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The text is a shortened form of several end reasons."""

    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """The API's documentation lists no such end reason."""


def by_code(code: int) -> VideoError | None:
    """The row of an error code, None where the table has none."""
    return _BY_CODE.get(code)


def by_reason(text: str) -> VideoError | None:
    """The row of a complete end reason, in any case, with `-` or `_`."""
    return _BY_REASON.get(spelled(text))


def reason_named(text: str) -> Resolved | Ambiguous | Unknown:
    """The end reason that `text` means: the whole of it, its first words, or else any whole words in a row.

    First words win over words from the middle, so that a reason is never hidden by one that merely contains it.
    """
    wanted = spelled(text)
    if wanted in _BY_REASON:
        return Resolved(_listed(wanted), exact=True)
    fitting = [reason for reason in _BY_REASON if reason.startswith(f"{wanted}_")]
    fitting = fitting or [reason for reason in _BY_REASON if f"_{wanted}_" in f"_{reason}_"]
    if not wanted or not fitting:
        return Unknown()
    if len(fitting) > 1:
        return Ambiguous(tuple(map(_listed, fitting)))
    return Resolved(_listed(fitting[0]), exact=False)


def category_of(error_code: int | None, end_reason: str | None) -> Category:
    """How a call ended: by its error code where there is one (0 is none), by its end reason otherwise.

    A code that the table does not list leaves the word to the end reason, unless that one calls the end ordinary.
    """
    coded = by_code(error_code) if error_code else None
    if coded is not None:
        return coded.category
    if end_reason is None:
        return "unknown" if error_code else "normal"
    named = by_reason(end_reason)
    if named is None or (error_code and named.category == "normal"):
        return "unknown"
    return named.category


def error_url(code: int) -> str:
    """The page of Twilio's error dictionary about a code."""
    return f"https://www.twilio.com/docs/api/errors/{code}"


def _listed(reason: str) -> str:
    """The API's own spelling of a reason, two of which have capitals."""
    return _BY_REASON[reason].end_reason or reason


ERRORS: tuple[VideoError, ...] = (
    VideoError(20101, "config", None, "Invalid Access Token"),
    VideoError(20102, "config", None, "Invalid Access Token header"),
    VideoError(20103, "config", None, "Invalid Access Token issuer/subject"),
    VideoError(20104, "client", None, "Access Token expired or expiration date invalid"),
    VideoError(20105, "config", None, "Access Token not yet valid"),
    VideoError(20106, "config", None, "Invalid Access Token grants"),
    VideoError(20107, "config", None, "Invalid Access Token signature"),
    VideoError(53000, "network", "signaling_connection_error", "Signaling connection error"),
    VideoError(53001, "network", "signaling_connection_disconnected", "Signaling connection disconnected"),
    VideoError(53002, "network", "signaling_connection_timed_out", "Signaling connection timed out"),
    VideoError(
        53003, "client", "client_received_an_invalid_signaling_message", "Client received an invalid signaling message"
    ),
    VideoError(53004, "client", "client_sent_an_invalid_signaling_message", "Client sent an invalid signaling message"),
    VideoError(53006, "server", None, "Video server is busy"),
    VideoError(53100, "client", "room_name_is_invalid", "Room name is invalid"),
    VideoError(53101, "client", "room_name_is_too_long", "Room name is too long"),
    VideoError(53102, "client", "room_name_contains_invalid_characters", "Room name contains invalid characters"),
    VideoError(53103, "server", "unable_to_create_room", "Unable to create Room"),
    VideoError(53104, "server", "unable_to_connect_to_room", "Unable to connect to Room"),
    VideoError(53105, "quota", "room_contains_too_many_participants", "Room contains too many Participants"),
    VideoError(53106, "config", "room_not_found", "Room not found"),
    VideoError(53107, "config", "max_participants_is_out_of_range", "MaxParticipants is out of range"),
    VideoError(53108, "config", "room_type_is_not_valid", "RoomType is not valid"),
    VideoError(53109, "config", "timeout_is_out_of_range", "Timeout is out of range"),
    VideoError(53110, "config", "status_callback_method_is_invalid", "StatusCallbackMethod is invalid"),
    VideoError(53111, "config", "status_callback_is_invalid", "StatusCallback is invalid"),
    VideoError(53112, "config", "status_is_invalid", "Status is invalid"),
    VideoError(53113, "config", "room_creation_failed", "Room creation failed"),
    VideoError(53114, "config", None, "Room creation parameter(s) incompatible with the Room type"),
    VideoError(53115, "config", None, "MediaRegion is invalid"),
    VideoError(53116, "server", None, "There are no media servers available in the MediaRegion"),
    VideoError(53117, "config", None, "The subscription operation requested is not supported for the Room type"),
    VideoError(53118, "normal", "room_completed_error", "Room Completed Error"),
    VideoError(53119, "quota", "the_room_account_limit_was_exceeded", "The concurrent Rooms quota was exceeded"),
    VideoError(53120, "config", "invalid_recording_rule", "Invalid Recording Rule(s)"),
    VideoError(
        53121,
        "quota",
        "approaching_room_or_participant_concurrency_limits",
        "Approaching room or participant concurrency quota",
    ),
    VideoError(
        53122,
        "config",
        "recording_operation_requested_is_not_supported_for_the_Room_type",
        "The recording operation requested is not supported for the Room type",
    ),
    VideoError(53123, "config", None, "MaxParticipantDuration is out of range"),
    VideoError(53124, "config", None, "The AudioOnly flag is not supported for the Room type"),
    VideoError(53125, "client", None, "The track kind is not supported by the Room"),
    VideoError(53126, "config", None, "Legacy room type no longer supported"),
    VideoError(53127, "config", None, "audioOnly no longer supported"),
    VideoError(53200, "client", "participant_identity_is_invalid", "Participant identity is invalid"),
    VideoError(53201, "client", "participant_identity_is_too_long", "Participant identity is too long"),
    VideoError(
        53202,
        "client",
        "participant_identity_contains_invalid_characters",
        "Participant identity contains invalid characters",
    ),
    VideoError(
        53203,
        "config",
        "participant_has_too_many_tracks",
        "The maximum number of published tracks allowed in the Room at the same time has been reached",
    ),
    VideoError(53204, "network", "participant_not_found", "Participant not found"),
    VideoError(
        53205,
        "user",
        "participant_disconnected_because_of_duplicate_identity",
        "Participant disconnected because of duplicate identity",
    ),
    VideoError(
        53206, "quota", "participant_account_limit_was_exceeded", "The Participant concurrency quota was exceeded"
    ),
    VideoError(53207, "config", None, "MaxPublishedTracks is out of range"),
    VideoError(53208, "client", None, "Participant's bandwidth profile configuration is invalid"),
    VideoError(53209, "config", None, "Participant status is invalid"),
    VideoError(53215, "config", "invalid_subscribe_rule", "Invalid Subscribe Rule(s)"),
    VideoError(53216, "normal", None, "Participant session length exceeded"),
    VideoError(53217, "client", None, "maxAudioTracks or maxVideoTracks configuration is out of range"),
    VideoError(53300, "client", "track_is_invalid", "Track is invalid"),
    VideoError(53301, "client", "track_name_is_invalid", "Track name is invalid"),
    VideoError(53302, "client", "track_name_is_too_long", "Track name is too long"),
    VideoError(53303, "client", "track_name_contains_invalid_characters", "Track name contains invalid characters"),
    VideoError(53304, "client", "track_name_is_duplicated", "Track name is duplicated"),
    VideoError(53305, "server", None, "The server has reached capacity and cannot fulfill this request"),
    VideoError(
        53400,
        "client",
        "client_is_unable_to_create_or_apply_a_local_media_description",
        "Client is unable to create or apply a local media description",
    ),
    VideoError(
        53401,
        "server",
        "server_is_unable_to_create_or_apply_a_local_media_description",
        "Server is unable to create or apply a local media description",
    ),
    VideoError(
        53402,
        "client",
        "client_is_unable_to_apply_a_remote_media_description",
        "Client is unable to apply a remote media description",
    ),
    VideoError(
        53403,
        "server",
        "server_is_unable_to_apply_a_remote_media_description",
        "Server is unable to apply a remote media description",
    ),
    VideoError(53404, "client", "no_supported_codec", "No supported codec"),
    VideoError(
        53405,
        "network",
        "media_connection_failed_or_media_activity_ceased",
        "Media connection failed or Media activity ceased",
    ),
    VideoError(53406, "network", None, "The data channel used by the Data Track had a problem"),
    VideoError(53407, "network", None, "Media connection failed due to DTLS handshake failure"),
    VideoError(53408, "client", None, "ICE connection restart was attempted, but it is not allowed"),
    VideoError(53500, "network", "unable_to_acquire_configuration", "Unable to acquire configuration"),
    VideoError(53501, "server", "unable_to_acquire_TURN_credentials", "Unable to acquire TURN credentials"),
    VideoError(None, "normal", "disconnected_via_api", "Disconnected via API"),
    VideoError(None, "unknown", "unknown", "Unknown"),
)

_BY_CODE: dict[int, VideoError] = {row.code: row for row in ERRORS if row.code is not None}
_BY_REASON: dict[str, VideoError] = {spelled(row.end_reason): row for row in ERRORS if row.end_reason is not None}

END_REASONS: tuple[str, ...] = tuple(row.end_reason for row in ERRORS if row.end_reason is not None)
