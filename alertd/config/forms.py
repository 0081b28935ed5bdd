"""The forms in which single settings are written, beside durations and secrets: names, addresses, matchers."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, PlainValidator, WithJsonSchema

from alertd.engine.routes import Matcher
from alertd.settings import Duration

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LISTEN = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]*)):(\d{1,5})")


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


Name = Annotated[
    str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"})
]
WebAddress = Annotated[
    str, AfterValidator(_web_address), WithJsonSchema({"type": "string", "pattern": r"^https?://[^?#\s]+$"})
]
MatcherText = Annotated[
    Matcher, PlainValidator(_matcher), WithJsonSchema({"type": "string", "examples": ['severity="page"']})
]
GroupBy = Annotated[tuple[str, ...], AfterValidator(_group_by)]
Pause = Annotated[Duration, AfterValidator(_positive)]
