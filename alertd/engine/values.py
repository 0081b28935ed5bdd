"""What a value from Twilio is worth: as plain text, as a number, and as the fact that conditions compare.

A fact is text in one spelling, a number, a flag, seconds since the epoch, a set of texts, or None where Twilio says
nothing. Values of the two open mappings (`publisher_info`, `properties`) have no declared type, so their facts are
always text (`true`, `2`) or a set: a rule need not know whether an SDK sent `2` or `"2"`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Literal, TypeAlias, cast

import msgspec

from alertd.engine.records import epoch, spelled

Kind = Literal["text", "number", "flag", "version", "list", "time", "any"]
Fact = str | int | float | bool | frozenset[str] | None
Sent: TypeAlias = Any  # whatever JSON can hold, as it was decoded
Normal = Callable[[Sent], Fact]

MEMO_TEXT, MEMO_LIST = 64, 8  # what is longer is not an enumeration; remembering it would only cost memory
CLIENT_TEXT = 256  # characters kept of a text that a client chose freely, since answers about it are remembered


def as_text(value: Sent) -> str:
    """Plain text of a value: `true`, `2` (also for 2.0), or JSON for what is nested."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return msgspec.json.encode(value).decode()


def as_number(fact: Fact) -> float | None:
    """The number that a fact is, or that its text says; None for everything else."""
    if fact is None or isinstance(fact, bool | frozenset):
        return None
    if isinstance(fact, str):
        return float(fact) if re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", fact) else None
    return fact


def fact_of(kind: Kind) -> Normal:
    """The function that makes facts of values of a kind."""
    return _FACTS[kind]


def written_fact(value: Sent) -> Fact:
    """The value as text just as Twilio spelled it."""
    return None if value is None else as_text(value)


def sdk_fact(value: Sent) -> Fact:
    """The fact of a text that begins with an SDK's name."""
    if value is None:
        return None
    text = as_text(value)
    return _memo_sdk(text) if len(text) <= MEMO_TEXT else spelled_sdk(text)


def plain_fact(value: Sent) -> Fact:
    """The fact of a text that hardly ever comes twice, such as the name of a person: not worth remembering."""
    return None if value is None else spelled(as_text(value))


def snake(key: str) -> str:
    """`sdkVersion`, `sdk-version` and `sdk_version` as the last of the three."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", key).replace("-", "_").lower()


def look_up(sent: Mapping[str, Sent] | None, key: str) -> Sent:
    """The value under a snake-case key, however the sender spelled it; None where there is none."""
    if not sent:
        return None
    return sent[key] if key in sent else sent.get(_spellings(tuple(sent)).get(key, key))


def spelled_sdk(text: str) -> str:
    """One spelling of an SDK's name: `twilio-video.js` in its code is `twilio-video-js` in Twilio's documentation."""
    return spelled(text).replace("twilio_video_js", "twilio_video.js", 1)


@lru_cache(maxsize=4096)
def sdk_name(name: str, version: str) -> str:
    """Name and version as people say them: `twilio-video.js 2.28.1`."""
    common = "twilio-video.js" if spelled(name) == "twilio_video_js" else name
    return f"{common} {version}".rstrip()


@lru_cache(maxsize=4096)
def sdk_major_name(name: str, version: str) -> str:
    """Name and major version, `twilio-video.js 2`; the name alone where the version does not begin with a number."""
    found = re.match(r"[vV]?(\d+)", version)
    return sdk_name(name, found[1] if found else "")


@lru_cache(maxsize=512)
def _spellings(keys: tuple[str, ...]) -> dict[str, str]:
    return {snake(key): key for key in keys}


_memo_spelled = lru_cache(maxsize=8192)(spelled)
_memo_sdk = lru_cache(maxsize=1024)(spelled_sdk)


def _set(texts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(spelled, texts))


_memo_set = lru_cache(maxsize=1024)(_set)


def _text(value: Sent) -> Fact:
    if value is None:
        return None
    text = value if isinstance(value, str) else as_text(value)
    return _memo_spelled(text) if len(text) <= MEMO_TEXT else spelled(text)


def _list(value: Sent) -> Fact:
    if value is None:
        return None
    return _memo_set(tuple(value)) if len(value) <= MEMO_LIST else _set(tuple(value))


def _any(value: Sent) -> Fact:
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return frozenset([spelled(as_text(item)) for item in value])
    return _text(as_text(value)[:CLIENT_TEXT])


def _version(value: Sent) -> Fact:
    return None if value is None else as_text(value)[:CLIENT_TEXT]


def _as_it_is(value: Sent) -> Fact:
    return cast("Fact", value)  # numbers and flags get their type where Twilio's answer is decoded


_FACTS: dict[Kind, Normal] = {
    "text": _text,
    "number": _as_it_is,
    "flag": _as_it_is,
    "version": _version,  # not respelled: what reads versions is indifferent to case, and not to `-`
    "list": _list,
    "time": epoch,
    "any": _any,
}
