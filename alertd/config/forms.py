"""The forms in which single settings are written, beside durations and secrets: names, addresses, shares, windows."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema

from alertd.config.reading import Written
from alertd.engine.durations import format_duration
from alertd.engine.routes import Matcher
from alertd.settings import Duration

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LISTEN = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]*)):(\d{1,5})")
_PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")
MINUTE = 60
LONGEST_WINDOW = 30 * 86400
SHORTEST_ABSENCE, LONGEST_ABSENCE = 3600, 86400


def label_complaint(name: str) -> str | None:
    """What is wrong with the name of a label, or None. Prometheus' data model; `__` is reserved there."""
    if _LABEL.fullmatch(name) is None:
        return f'"{name[:60]}" is not a label name; use letters, digits and _, not starting with a digit'
    return f'"{name[:60]}" starts with __, which is reserved' if name.startswith("__") else None


def host_and_port(listen: str) -> tuple[str, int]:
    """The two halves of `HOST:PORT`, an IPv6 host in brackets; ValueError says what is wrong."""
    found = _LISTEN.fullmatch(listen)
    if found is None or int(found[3]) > 65535:
        raise ValueError("write HOST:PORT, like 127.0.0.1:9095 or [::1]:9095")
    return found[1] or found[2] or "", int(found[3])


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host; an empty one means every interface."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _name(value: str) -> str:
    if _NAME.fullmatch(value) is None:
        raise ValueError("use 1 to 64 letters, digits, dots, - and _, starting with a letter or digit")
    return value


def _alert_name(value: str) -> str:
    if value != value.strip() or not value.isprintable():
        raise ValueError("must not contain line breaks or control characters, nor begin or end with a space")
    if value.startswith("Alertd"):
        raise ValueError("names that begin with Alertd belong to the alerts that alertd raises on itself")
    return value


def _web_address(value: str) -> str:
    if re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", value) is None:
        raise ValueError("write an address like https://alertd.example.com, without ? or #")
    return value.rstrip("/")


def _matcher(value: object) -> Matcher:
    if not isinstance(value, str):
        raise ValueError("""write a matcher as text, like 'severity="page"'""")  # noqa: TRY004 - pydantic collects ValueErrors
    return Matcher.parse(value)


def _group_by(names: tuple[str, ...]) -> tuple[str, ...]:
    if "..." in names and len(names) > 1:
        raise ValueError('"..." means all labels and stands alone')
    for place, name in enumerate(names):
        complaint = None if name == "..." else label_complaint(name)
        if complaint or name in names[:place]:
            raise ValueError(complaint or f'"{name}" stands twice')
    return names


def _positive(seconds: int) -> int:
    if seconds <= 0:
        raise ValueError("must be more than 0s")
    return seconds


def _window(seconds: int) -> int:
    if seconds % MINUTE:
        raise ValueError(f"{format_duration(seconds)} is not whole minutes")
    if not MINUTE <= seconds <= LONGEST_WINDOW:
        raise ValueError("a window is between 1m and 30d long")
    return seconds


def _absence(seconds: int) -> int:
    if seconds < SHORTEST_ABSENCE:
        raise ValueError("must be at least 1h: a room is known only once it has ended and its log is complete")
    if seconds > LONGEST_ABSENCE:
        raise ValueError("must be at most 24h: the first look at an account knows no more than the last day")
    return seconds


def _yes(value: object) -> bool:
    if isinstance(value, list):
        raise ValueError("a list of alternatives belongs under match; here it is any: true")  # noqa: TRY004 - see above
    if value is not True:
        raise ValueError("write true, or leave it out")
    return True


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


def _confidence(value: object) -> float | None:
    if value is None or value == "off":
        return None
    share = _share(value)
    if not 0.5 < share < 1:
        raise ValueError("confidence is more than 50% and less than 100%, or off")
    return share


_SHARE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*%\s*$"},
        {"type": "number", "minimum": 0, "maximum": 1},
    ]
}
Name = Annotated[
    str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"})
]
AlertName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_alert_name)]
WebAddress = Annotated[
    str, AfterValidator(_web_address), WithJsonSchema({"type": "string", "pattern": r"^https?://[^?#\s]+$"})
]
MatcherText = Annotated[
    Matcher, PlainValidator(_matcher), WithJsonSchema({"type": "string", "examples": ['severity="page"']})
]
GroupBy = Annotated[tuple[str, ...], AfterValidator(_group_by)]
Pause = Annotated[Duration, AfterValidator(_positive)]
Window = Annotated[Duration, AfterValidator(_window)]
AbsenceWindow = Annotated[Window, AfterValidator(_absence)]
Limit = Annotated[
    float,
    BeforeValidator(_share),
    AfterValidator(_below_all),
    WithJsonSchema(_SHARE_SCHEMA | {"examples": ["5%", 0.05]}),
]
Confidence = Annotated[
    float | None,
    PlainValidator(_confidence),
    WithJsonSchema({"anyOf": [*_SHARE_SCHEMA["anyOf"], {"const": "off"}], "examples": ["99%", "off"]}),
]
Yes = Annotated[bool, PlainValidator(_yes), WithJsonSchema({"const": True})]
Count = Annotated[int, Field(ge=1)]
