"""The forms in which the keys of rules are written: windows, shares, limits, factors, and fields by their names."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema

from alertd.config.reading import Written
from alertd.engine.durations import format_duration, parse_duration
from alertd.engine.fields import field_names, find_field
from alertd.settings import Duration

_PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")
_A_WEEK = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*week\s*")
_OPEN_FIELD = r"^(publisher_info|publisherInfo|properties)\.[A-Za-z0-9_-]{1,64}$"
MINUTE, HOUR, DAY = 60, 3600, 86400
LONGEST_WINDOW = 30 * DAY
SHORTEST_ABSENCE, LONGEST_ABSENCE = 15 * MINUTE, DAY
LARGEST = 1000
"""Of factors and ratios, and of false alarms a week: what is larger was not meant."""


def _alert_name(value: str) -> str:
    if value != value.strip() or not value.isprintable():
        raise ValueError("must not contain line breaks or control characters, nor begin or end with a space")
    if value.startswith("Alertd"):
        raise ValueError("names that begin with Alertd belong to the alerts that alertd raises on itself")
    return value


def _yes(value: object) -> bool:
    if isinstance(value, list):
        raise ValueError("a list of alternatives belongs under match; here it is any: true")  # noqa: TRY004 - pydantic collects ValueErrors
    if value is not True:
        raise ValueError("write true, or leave it out")
    return True


# Windows


def _window(seconds: int) -> int:
    if seconds % MINUTE:
        raise ValueError(f"{format_duration(seconds)} is not whole minutes")
    if not MINUTE <= seconds <= LONGEST_WINDOW:
        raise ValueError("a window is between 1m and 30d long")
    return seconds


def _absence(seconds: int) -> int:
    if seconds < SHORTEST_ABSENCE:
        raise ValueError("must be at least 15m: rooms start by chance, and are listed a minute or two later")
    if seconds > LONGEST_ABSENCE:
        raise ValueError("must be at most 24h: the first look at an account knows no more than the last day")
    return seconds


def _usual_absence(seconds: int) -> int:
    if seconds > LONGEST_ABSENCE:
        raise ValueError("must be at most 24h: who waits longer has noticed by then")
    return seconds


def _lag(seconds: int) -> int:
    if seconds > LONGEST_WINDOW:
        raise ValueError("must be at most 30d")
    return seconds


def _memory(seconds: int) -> int:
    if seconds % HOUR or seconds < DAY:
        raise ValueError("write whole hours, at least 1d")
    return seconds


def _ascending(lengths: tuple[int, ...]) -> tuple[int, ...]:
    if list(lengths) != sorted(set(lengths)):
        raise ValueError("write each window once, the shortest first")
    return lengths


def _three(value: object) -> object:
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError("write a long window, a short one and a factor, like [1h, 30m, 14.4]")
    return value


def _pair(pair: tuple[int, int, float]) -> tuple[int, int, float]:
    long, short, _ = pair
    if short >= long:
        raise ValueError(f"the second window must be shorter than the first, {format_duration(long)}")
    return pair


# Shares and numbers


def _share(value: object) -> float:
    """A share between 0 and 1 from `5%` or `0.05`."""
    if isinstance(value, str) and (found := _PERCENT.fullmatch(value)):
        share = float(found[1]) / 100
    elif isinstance(value, int | float) and not isinstance(value, bool):
        share = float(value)
        if share > 1:
            shown = value.text if isinstance(value, Written) else str(value)[:20]
            raise ValueError(f"{shown} is more than 1; write 5% or 0.05")
    else:
        raise ValueError("write a share like 5% or 0.05")
    if not 0 <= share <= 1:
        raise ValueError("a share is between 0% and 100%")
    return share


def _below_all(share: float) -> float:
    if share == 1:
        raise ValueError("nothing is above 100%; write less")
    return share


def _above_nothing(share: float) -> float:
    if share == 0:
        raise ValueError("nothing is below 0%; write more")
    return share


def _objective(share: float) -> float:
    if not 0 < share < 1:
        raise ValueError("an objective is more than 0% and less than 100%: what it leaves is the budget")
    return share


def _confidence(value: object) -> float | None:
    if value is None or value == "off":
        return None
    share = _share(value)
    if not 0.5 < share < 1:
        raise ValueError("confidence is more than 50% and less than 100%, or off")
    return share


def number(value: object, right: str, above: float = float("-inf"), most: float = float("inf")) -> float:
    """The number if it is more than `above` and at most `most`; ValueError says what would be `right`."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not above < value <= most:
        raise ValueError(right)
    return float(value)


def _times(value: object) -> float:
    return number(value, f"write a number above 1 and up to {LARGEST}, like 3", 1, LARGEST)


def _factor(value: object) -> float:
    return number(value, f"write a number above 0 and up to {LARGEST}, like 14.4", 0, LARGEST)


def _ratio(value: object) -> float | None:
    if value is None or value == "auto":
        return None
    return number(value, f"write auto, or a number above 1 and up to {LARGEST}, like 2.5", 1, LARGEST)


def _false_alarms(value: object) -> float:
    """So many a week, from `0.5/week` or `0.5`."""
    found = _A_WEEK.fullmatch(value) if isinstance(value, str) else None
    meant = float(found[1]) if found else value
    return number(meant, f"write how many a week you bear, above 0 and up to {LARGEST}, like 0.5/week", 0, LARGEST)


def limit_of_metric(value: object, field: str | None) -> float:
    """The limit of a metric: a number, and for a field that holds seconds a duration too; ValueError otherwise."""
    if field is None or not is_seconds(field):
        return number(value, "write a number")
    if isinstance(value, str):
        return float(parse_duration(value))
    return number(value, "write a duration like 90s or 5m, or a number of seconds")


# Fields


def is_seconds(field: str) -> bool:
    """Whether the field holds seconds, which Twilio says at the end of the field's name."""
    return field.endswith("duration_sec")


def _known_field(name: str) -> str:
    return find_field(name).name  # UnknownFieldError is a ValueError; it says which name is the likeliest


def _number_field(name: str) -> str:
    found = find_field(name)
    if found.kind not in ("number", "any"):
        raise ValueError(f'"{name}" does not hold numbers; duration_sec does, and room.unique_participants')
    return found.name


def _telling_field(name: str) -> str:
    found = find_field(name)
    if found.personal or found.kind == "time" or found.name.endswith("_sid"):
        raise ValueError(f'"{name}" is new in nearly every call, which is no news; choose a field with few values')
    return found.name


def _schema_of_field(*kinds: str) -> dict[str, Any]:
    """The names in the table, so that editors offer them, and any key of the two open mappings."""
    names = [name for name in field_names() if not kinds or find_field(name).kind in kinds]
    return {"type": "string", "anyOf": [{"enum": names}, {"pattern": _OPEN_FIELD}]}


_SHARE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*%\s*$"},
        {"type": "number", "minimum": 0, "maximum": 1},
    ]
}
_DURATION_SCHEMA = {"type": "string", "pattern": r"^(\d+[wdhms])+$"}
_WINDOW_SCHEMA = _DURATION_SCHEMA | {"examples": ["30m", "1h", "6h", "1d"]}
_ABOVE_ONE = {"type": "number", "exclusiveMinimum": 1, "maximum": LARGEST}
_ABOVE_ZERO = {"type": "number", "exclusiveMinimum": 0, "maximum": LARGEST}

AlertName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_alert_name)]
Yes = Annotated[bool, PlainValidator(_yes), WithJsonSchema({"const": True})]
Count = Annotated[int, Field(ge=1)]

Window = Annotated[Duration, AfterValidator(_window), WithJsonSchema(_WINDOW_SCHEMA)]
_EACH_ONCE = Field(min_length=1, max_length=12, json_schema_extra={"uniqueItems": True})
Windows = Annotated[tuple[Window, ...], _EACH_ONCE, AfterValidator(_ascending)]
AbsenceWindow = Annotated[Window, AfterValidator(_absence), WithJsonSchema(_WINDOW_SCHEMA)]
AbsenceWindows = Annotated[
    tuple[Annotated[Window, AfterValidator(_usual_absence), WithJsonSchema(_WINDOW_SCHEMA)], ...],
    _EACH_ONCE,
    AfterValidator(_ascending),
]
Memory = Annotated[Window, AfterValidator(_memory), WithJsonSchema(_DURATION_SCHEMA | {"examples": ["7d", "30d"]})]
Lag = Annotated[Duration, AfterValidator(_lag), WithJsonSchema(_WINDOW_SCHEMA)]

Limit = Annotated[
    float,
    BeforeValidator(_share),
    AfterValidator(_below_all),
    WithJsonSchema(_SHARE_SCHEMA | {"examples": ["5%", 0.05]}),
]
PartOfUsual = Annotated[
    float,
    BeforeValidator(_share),
    AfterValidator(_above_nothing),
    WithJsonSchema(_SHARE_SCHEMA | {"examples": ["70%"]}),
]
Objective = Annotated[
    float,
    BeforeValidator(_share),
    AfterValidator(_objective),
    WithJsonSchema(_SHARE_SCHEMA | {"examples": ["99%", "99.5%"]}),
]
Confidence = Annotated[
    float | None,
    PlainValidator(_confidence),
    WithJsonSchema({"anyOf": [*_SHARE_SCHEMA["anyOf"], {"const": "off"}], "examples": ["99%", "off"]}),
]
Times = Annotated[float, PlainValidator(_times), WithJsonSchema(_ABOVE_ONE | {"examples": [3]})]
Ratio = Annotated[
    float | None,
    PlainValidator(_ratio),
    WithJsonSchema({"anyOf": [{"const": "auto"}, _ABOVE_ONE], "examples": ["auto", 2.5]}),
]
FalseAlarms = Annotated[
    float,
    PlainValidator(_false_alarms),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*/\s*week\s*$"}, _ABOVE_ZERO],
            "examples": ["0.5/week"],
        }
    ),
]
Factor = Annotated[float, PlainValidator(_factor), WithJsonSchema(_ABOVE_ZERO)]
Pair = Annotated[tuple[Window, Window, Factor], BeforeValidator(_three), AfterValidator(_pair)]
Pairs = Annotated[tuple[Pair, ...], Field(min_length=1, max_length=12)]
MetricLimit = Annotated[
    float, WithJsonSchema({"anyOf": [{"type": "number"}, _DURATION_SCHEMA], "examples": [3, "90s"]})
]

FieldName = Annotated[str, WithJsonSchema(_schema_of_field())]
"""A field in a list; whether it exists is told there, with its place."""
KnownField = Annotated[str, AfterValidator(_known_field), WithJsonSchema(_schema_of_field())]
NumberField = Annotated[str, AfterValidator(_number_field), WithJsonSchema(_schema_of_field("number"))]
TellingField = Annotated[str, AfterValidator(_telling_field), WithJsonSchema(_schema_of_field())]
