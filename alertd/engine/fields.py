"""The fields that rules may name, and what each of them is worth for a participant of a settled room.

Three levels: a participant's own (`end_reason`), its room's (`room.room_type`, or `room_type` where no participant has
that name), and derived ones (`sdk_major`). Conditions compare a field's *fact* (see values.py); people read its
*label*, text as Twilio spelled it and empty where it says nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as attribute
from functools import cache, lru_cache
from operator import attrgetter
from typing import Literal

from alertd.engine.errortable import CATEGORIES, END_REASONS, category_of
from alertd.engine.records import Participant, SettledRoom, epoch, spelled
from alertd.engine.values import (
    Fact,
    Kind,
    Normal,
    Sent,
    as_text,
    fact_of,
    look_up,
    plain_fact,
    sdk_fact,
    sdk_major_name,
    sdk_name,
    snake,
    spelled_sdk,
    written_fact,
)

Level = Literal["participant", "room", "derived"]
Raw = Callable[[SettledRoom, Participant, Collection[str]], Sent]

REJOIN_SECONDS = 60
LABEL_LIMIT = 256
"""Characters of a label's text."""
SDK_NAMES = ("publisher_info.name", "sdk", "sdk_major")
SENT_BY_SDKS = (
    *("browser_name", "browser_major", "browser_version", "platform_name", "platform_version"),
    *("device_model", "device_manufacturer", "device_architecture", "user_agent"),
)
"""Keys of `publisher_info` that SDKs are known to send; Twilio promises none of them."""
_SHORT_FOR_SENT = {
    **{name: name for name in SENT_BY_SDKS},
    "browser": "browser_name",
    "platform": "platform_name",
    "os": "platform_name",
    "device": "device_model",
}

REGIONS = ("us1", "us2", "au1", "br1", "ie1", "jp1", "sg1", "in1", "de1", "gll")
EDGES = ("ashburn", "dublin", "frankfurt", "singapore", "sydney", "sao_paulo", "roaming", "umatilla", "tokyo")
CODECS = ("VP8", "H264", "VP9", "opus")


class UnknownFieldError(ValueError):
    """No field has that name; the message says which one may have been meant."""


@dataclass(frozen=True, slots=True)
class Field:
    """One name of the rule language; two fields are the same if their names are.

    `values` are those the API documents (enumerations are open: others may come). `written` marks the twin whose facts
    keep Twilio's own spelling. `raw` reads the value as Twilio sent it, given the room, the participant, and the SIDs
    of those who came back (see `returned`).
    """

    name: str
    level: Level
    kind: Kind = "text"
    personal: bool = attribute(default=False, compare=False)
    values: tuple[str, ...] = attribute(default=(), compare=False)
    written: bool = False
    raw: Raw = attribute(default=lambda _settled, _participant, _returned: None, compare=False, repr=False)

    @property
    def as_written(self) -> Field:
        """The twin of this field whose facts are text just as Twilio spelled it, for regular expressions."""
        return replace(self, name=f"{self.name} as written", written=True)

    @property
    def closed(self) -> bool:
        """Whether `values` are all there are, since alertd itself works the value out."""
        return self.level == "derived" and bool(self.values)

    @property
    def of_room(self) -> bool:
        """Whether all participants of a room share the value."""
        return self.level == "room" or self.name in ("account", "partial")

    def spell(self, text: str) -> str:
        """The spelling in which facts of this field compare; the SDK's two names for itself become one."""
        return spelled_sdk(text) if self.name in SDK_NAMES else spelled(text)

    def fact(self) -> Normal:
        """The function that makes a fact of a raw value."""
        if self.written:
            return written_fact
        if self.name in SDK_NAMES:
            return sdk_fact
        return plain_fact if self.personal else fact_of(self.kind)


Show = Callable[[Field, str], str]
"""How a personal value (an identity, a room name) may be shown: as it is, or as a pseudonym."""


def find_field(name: str) -> Field:
    """The field called `name`: a table entry, a room's name without `room.`, or any key of the two open mappings.

    Raises UnknownFieldError with the nearest name.
    """
    found = look_up_field(name)
    if found is None:
        raise UnknownFieldError(f"there is no field {shortened(name)!r}{_nearest(name)}")
    return found


def look_up_field(name: str) -> Field | None:
    """The same, or None where there is no such field: cheaper than an error that nobody reads."""
    if name in _FIELDS:
        return _FIELDS[name]
    found = re.fullmatch(r"(publisher_info|publisherInfo|properties)\.([A-Za-z0-9_-]{1,64})", name)
    if found is None:
        return None
    home, key = snake(found[1]), snake(found[2])
    return _FIELDS.get(f"{home}.{key}") or _open_field(home, key)


def field_names() -> tuple[str, ...]:
    """Every name of the table, the shorter ones of room fields included, for help and schemas."""
    return tuple(_FIELDS)


def shortened(text: str) -> str:
    """At most 80 characters of hostile or mistyped text, for a message."""
    return text if len(text) <= 80 else f"{text[:77]}..."


@cache
def label_name(field: Field) -> str:
    """The field's shortest name as a label of Prometheus (`[a-zA-Z_][a-zA-Z0-9_]*`).

    A room field drops `room.` unless a participant has the same name (`room.media_region` is `room_media_region`), an
    SDK's version is `sdk_version`; what is not a letter, digit or `_` becomes `_` (`publisher_info_name`).
    """
    names = [name for name, known in _FIELDS.items() if known == field]
    return re.sub(r"[^a-zA-Z0-9_]", "_", min(names or [field.name], key=len))


def label_value(field: Field, settled: SettledRoom, participant: Participant) -> str:
    """The value of one field as label text: see `labels`, which does many at once."""
    return _label(field, field.raw(settled, participant, _returned_for([field], settled)))


def shown(fields: Iterable[Field], texts: Iterable[str], show: Show) -> tuple[str, ...]:
    """Label texts as they may be shown: personal ones through `show`, none of them long."""
    pairs = zip(fields, texts, strict=True)
    return tuple([(show(f, text) if f.personal and text else text)[:LABEL_LIMIT] for f, text in pairs])


def labels(fields: Iterable[Field], settled: SettledRoom) -> list[tuple[str, ...]]:
    """For each participant the values of `fields` as label text, in the order of both.

    Null is empty, flags are `true` and `false`, numbers decimal, times ISO 8601 in UTC, lists joined by `,`.
    """
    chosen = tuple(fields)
    back = _returned_for(chosen, settled)
    return [tuple([_label(f, f.raw(settled, p, back)) for f in chosen]) for p in settled.participants]


class Extractor:
    """Computes the facts of chosen fields, each once for all rules; `index` says where in a tuple each field is."""

    def __init__(self, fields: Iterable[Field]) -> None:
        chosen = sorted(set(fields), key=lambda field: (not field.of_room, field.name))
        self.index = {field.name: place for place, field in enumerate(chosen)}
        self._fields = chosen
        self._shared = [(field.raw, field.fact()) for field in chosen if field.of_room]
        self._own = [(field.raw, field.fact()) for field in chosen if not field.of_room]

    def facts(self, settled: SettledRoom) -> list[tuple[Fact, ...]]:
        """One tuple of facts a participant, in the order of the room's participants."""
        back = _returned_for(self._fields, settled)
        shared = [fact(raw(settled, _NOBODY, back)) for raw, fact in self._shared]
        own = self._own
        return [(*shared, *[fact(raw(settled, p, back)) for raw, fact in own]) for p in settled.participants]


def returned(settled: SettledRoom) -> frozenset[str]:
    """SIDs of the participants who left and whose identity joined the room again 0 to 60 seconds later.

    The one who left is marked, not the one who came: the sample is about calls that broke. Identities are compared
    exactly, since to Twilio `Ann` and `ann` are two people.
    """
    joins: dict[str, list[tuple[int, str]]] = {}
    for participant in settled.participants:
        joined = epoch(participant.join_time)
        if participant.participant_identity is not None and joined is not None:
            joins.setdefault(participant.participant_identity, []).append((joined, participant.participant_sid))
    repeated = {identity: sorted(times) for identity, times in joins.items() if len(times) > 1}
    return frozenset(p.participant_sid for p in settled.participants if _came_back(p, repeated))


def _came_back(participant: Participant, joins: Mapping[str, list[tuple[int, str]]]) -> bool:
    left, identity = epoch(participant.leave_time), participant.participant_identity
    if left is None or identity is None:
        return False
    times = joins.get(identity, [])
    following = times[bisect_left(times, (left, "")) :][:2]  # two, since a call of no length finds itself first
    return any(at <= left + REJOIN_SECONDS and sid != participant.participant_sid for at, sid in following)


def _returned_for(fields: Iterable[Field], settled: SettledRoom) -> Collection[str]:
    return returned(settled) if any(field.name == "rejoined" for field in fields) else ()


_NOBODY = Participant(participant_sid="")  # stands in where the value is the room's alone


def _label(field: Field, value: Sent) -> str:
    if type(value) is str:  # most are
        return value
    if value is None:
        return ""
    if field.kind == "time":
        return str(value.isoformat()).replace("+00:00", "Z")
    return ",".join(map(as_text, value)) if isinstance(value, list | tuple) else as_text(value)


# The table


def _open_raw(home: str, key: str) -> Raw:
    get = attrgetter(home)
    return lambda _settled, participant, _returned: look_up(get(participant), key)


def _open_field(home: str, key: str) -> Field:
    kind: Kind = "version" if key.endswith("version") else "any"
    return Field(f"{home}.{key}", "participant", kind, raw=_open_raw(home, key))


def _participant_field(
    name: str, kind: Kind = "text", values: tuple[str, ...] = (), *, personal: bool = False
) -> Field:
    get = attrgetter(name)
    return Field(
        name, "participant", kind, personal, values, raw=lambda _settled, participant, _returned: get(participant)
    )


def _room_field(name: str, kind: Kind = "text", values: tuple[str, ...] = (), *, personal: bool = False) -> Field:
    get = attrgetter(name)
    raw: Raw = lambda settled, _participant, _returned: get(settled.room)  # noqa: E731 - one of a table of readers
    return Field(f"room.{name}", "room", kind, personal, values, raw=raw)


def _sdk_raw(say: Callable[[str, str], str]) -> Raw:
    def raw(_settled: SettledRoom, participant: Participant, _returned: Collection[str]) -> Sent:
        sent = participant.publisher_info
        name, version = look_up(sent, "name"), look_up(sent, "sdk_version")
        # Clients choose both texts and `say` remembers them, so neither may be long.
        return None if name is None else say(as_text(name)[:64], "" if version is None else as_text(version)[:64])

    return raw


_category = lru_cache(maxsize=4096)(category_of)

_TABLE = (
    _participant_field("participant_sid"),
    _participant_field("participant_identity", personal=True),
    _participant_field("join_time", "time"),
    _participant_field("leave_time", "time"),
    _participant_field("duration_sec", "number"),
    _participant_field("status", values=("in_progress", "connected", "completed", "disconnected")),
    _participant_field("codecs", "list", CODECS),
    _participant_field("end_reason", values=END_REASONS),
    Field("error_code", "participant", "number", raw=lambda _settled, p, _returned: p.error_code or None),
    _participant_field("media_region", values=REGIONS),
    _participant_field("edge_location", values=EDGES),
    Field("publisher_info.name", "participant", raw=_open_raw("publisher_info", "name")),
    Field("publisher_info.sdk_version", "participant", "version", raw=_open_raw("publisher_info", "sdk_version")),
    _room_field("room_sid"),
    _room_field("account_sid"),
    _room_field("room_name", personal=True),
    _room_field("create_time", "time"),
    _room_field("end_time", "time"),
    _room_field("room_type", values=("go", "peer_to_peer", "group", "group_small")),
    _room_field("room_status", values=("in_progress", "completed")),
    _room_field("created_method", values=("sdk", "ad_hoc", "api")),
    _room_field("end_reason", values=("room_ended_via_api", "timeout")),
    _room_field("status_callback", personal=True),  # applications put tokens into its query
    _room_field("status_callback_method", values=("GET", "POST")),
    _room_field("max_participants", "number"),
    _room_field("max_concurrent_participants", "number"),
    _room_field("unique_participants", "number"),
    _room_field("unique_participant_identities", "number"),
    _room_field("concurrent_participants", "number"),
    _room_field("codecs", "list", CODECS),
    _room_field("media_region", values=REGIONS),
    _room_field("edge_location", values=EDGES),
    _room_field("duration_sec", "number"),
    _room_field("total_participant_duration_sec", "number"),
    _room_field("total_recording_duration_sec", "number"),
    _room_field("processing_state", values=("complete", "in_progress", "timeout", "not_started")),
    _room_field("recording_enabled", "flag"),
    Field("account", "derived", raw=lambda settled, _p, _returned: settled.account),
    Field("partial", "derived", "flag", raw=lambda settled, _p, _returned: settled.partial),
    Field("sdk", "derived", raw=_sdk_raw(sdk_name)),
    Field("sdk_major", "derived", raw=_sdk_raw(sdk_major_name)),
    Field("error", "derived", "flag", raw=lambda _settled, p, _returned: bool(p.error_code)),
    Field(
        "category",
        "derived",
        values=CATEGORIES,
        raw=lambda _settled, p, _returned: _category(p.error_code, p.end_reason),
    ),
    Field("rejoined", "derived", "flag", raw=lambda _settled, p, returned: p.participant_sid in returned),
)


def _named() -> dict[str, Field]:
    table = {field.name: field for field in _TABLE}
    short = {field.name.removeprefix("room."): field for field in _TABLE if field.level == "room"}
    return short | table | {"sdk_version": table["publisher_info.sdk_version"]}


_FIELDS = _named()


def _nearest(name: str) -> str:
    sent = _SHORT_FOR_SENT.get(snake(name[:80]))
    if sent:
        return f"; SDKs may send it as publisher_info.{sent}"
    import difflib  # only a mistake needs it

    near = difflib.get_close_matches(name[:80].lower().replace("-", "_"), _FIELDS, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
