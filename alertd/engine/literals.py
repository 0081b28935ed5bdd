"""What a value written in a rule means for a field: the one place where types, spellings and units are judged.

Every function gives a condition or raises LiteralError, whose message says what would be right. `note` is called with
what deserves a remark but is no mistake: a value that the API does not list, what a shortened end reason stands for.
A value that alertd itself does not list, such as one of `category`, is a mistake.
"""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Callable
from datetime import date, datetime

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from alertd.engine.durations import parse_duration
from alertd.engine.errortable import Ambiguous, Resolved, reason_named
from alertd.engine.fields import Field, shortened
from alertd.engine.predicates import ORDER, Condition, FieldTest, Op, compile_pattern, every, exists, one_of
from alertd.engine.records import epoch, spelled
from alertd.engine.values import as_text

Note = Callable[[str], None]

PATTERN_LENGTH = 256
PATTERN_REPEATS = 3
TEXT_LENGTH = 512
LARGEST = 2**63
_COMPARISON = re.compile(r"\s*(>=|<=|==|!=|~=|[<>=])\s*(.*?)\s*", re.DOTALL)
_REPEAT = r"(?:[*+?]|\{\d*,\d*\})[?+]?"
_ORDERS: dict[str, Op] = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}


class LiteralError(ValueError):
    """A value does not suit its field; the message says what would."""


def scalar(field: Field, value: object, note: Note) -> Condition:
    """A bare value in a mapping: a comparison such as `"< 10"`, or what `equal_to` makes of it."""
    if isinstance(value, str) and field.kind != "version" and _COMPARISON.match(value):
        return every(*(_comparison(field, part) for part in value.split(",")))
    return equal_to(field, value, note)


def equal_to(field: Field, value: object, note: Note) -> Condition:
    """The field equals the value; text with `*` or `?` is a glob, text for a version may be a range."""
    if field.kind == "flag":
        return one_of(field, _flag(field, value))
    if field.kind == "list":
        raise LiteralError(f"{field.name} is a list; write {{has: {shown(value)}}}")
    if field.kind == "number":
        return _equal_number(field, value, note)
    if field.kind == "time":
        return one_of(field, _moment(field, value))
    return _equal_version(field, value) if field.kind == "version" else _equal_text(field, value, note)


def ordered(field: Field, op: str, value: object) -> Condition:
    """The field is below or above the value, `op` being one of `< <= > >=`: numbers, durations, times, versions."""
    if field.kind == "version":
        return _version_range(field, f"{op}{_version_text(field, value)}")
    if field.kind == "time":
        return FieldTest(field, _ORDERS[op], _moment(field, value))
    if field.kind not in ("number", "any"):
        kind = {"text": "text", "flag": "true or false", "list": "a list"}[field.kind]
        raise LiteralError(f"{field.name} is {kind}, which has no order; compare a number, a time or a version")
    return FieldTest(field, _ORDERS[op], _number(field, value))


def has(field: Field, value: object, note: Note) -> Condition:
    """The list has the value among its members."""
    if field.kind not in ("list", "any"):
        raise LiteralError(f"{field.name} is no list; write {shown(value)} without `has`")
    text = _plain_text(field, value)
    _note_unlisted(field, text, note)
    return FieldTest(field, "has", spelled(text))


def matching(field: Field, pattern: object) -> Condition:
    """The regular expression is found in the text as Twilio spelled it, without regard to case."""
    if field.kind not in ("text", "version", "any"):
        raise LiteralError(f'{field.name} is no text; write a glob such as "534*", or a comparison')
    if not isinstance(pattern, str):
        raise LiteralError(f"a regex is text; write {shown(pattern)} in quotes")
    if len(pattern) > PATTERN_LENGTH:
        raise LiteralError(f"this regex has {len(pattern)} characters; {PATTERN_LENGTH} are allowed")
    try:
        compile_pattern(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise LiteralError(f"{shown(pattern)} is no regular expression: {error}") from None
    if complaint := _too_dear(pattern):
        raise LiteralError(f"{shown(pattern)} {complaint}")
    return FieldTest(field, "matches", pattern)


def shown(value: object) -> str:
    """A value as a message shows it: short, whatever it is."""
    if isinstance(value, int) and abs(value) >= LARGEST:
        return "so large a number"
    return (
        shortened(repr(value)) if isinstance(value, str | int | float) or value is None else f"a {type(value).__name__}"
    )


def _comparison(field: Field, part: str) -> Condition:
    found = _COMPARISON.fullmatch(part)
    if found is None:
        raise LiteralError(f"{shown(part)} is no comparison; write one such as '>= 60', or '>= 1, < 5'")
    op, text = found[1], found[2]
    if op not in ORDER:
        remedy = f"{{not: {text}}}" if op == "!=" else text
        raise LiteralError(f"{field.name} knows < <= > >=; for {op} {text} write {remedy}")
    return ordered(field, op, text)


def _flag(field: Field, value: object) -> bool:
    if not isinstance(value, bool):
        raise LiteralError(f"{field.name} is true or false, without quotes; {shown(value)} is neither")
    return value


def _equal_number(field: Field, value: object, note: Note) -> Condition:
    if isinstance(value, str) and set(value) & set("*?"):
        if not re.fullmatch(r"-?[\d.*?]+", value):
            raise LiteralError(f'{field.name} is a number; a glob of digits such as "534*" would suit it')
        return FieldTest(field, "like", value)
    number = _number(field, value)
    if field.name == "error_code" and number == 0:
        note("error_code 0 means that there was no error, which counts as null: taken as {exists: false}")
        return exists(field, wanted=False)
    return one_of(field, number)


def _number(field: Field, value: object) -> float:
    """A number, seconds for durations; whole ones as int, so that equal conditions look alike."""
    if isinstance(value, str):
        value = _number_said(field, value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LiteralError(f"{field.name} is a number; {shown(value)} is none")
    if not math.isfinite(value) if isinstance(value, float) else abs(value) >= LARGEST:
        raise LiteralError(f"{field.name}: {shown(value)} is out of range")
    return int(value) if float(value).is_integer() else value


def _number_said(field: Field, text: str) -> float:
    if re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    if re.fullmatch(r"-?\d{1,18}\.\d{1,18}", text):
        return float(text)
    if not field.name.endswith("_sec"):
        raise LiteralError(f"{field.name} is a number; {shown(text)} is none")
    try:
        return parse_duration(text)
    except ValueError as error:
        raise LiteralError(f"{field.name} is a number of seconds or a duration; {str(error)[:200]}") from None


def _moment(field: Field, value: object) -> int:
    """Seconds since the epoch."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST:
        return value
    said = value.isoformat() if isinstance(value, date) else value
    try:
        seconds = epoch(datetime.fromisoformat(said)) if isinstance(said, str) else None
    except (ValueError, OverflowError):
        seconds = None
    if seconds is None:
        raise LiteralError(f"{field.name} is a time; write it like '2026-03-02T12:00:00Z', not {shown(value)}")
    return seconds


def _plain_text(field: Field, value: object) -> str:
    """Text, or a whole number meant as text (a room named 4711)."""
    if isinstance(value, str) and len(value) > TEXT_LENGTH:
        raise LiteralError(f"{field.name}: {shown(value)} is longer than {TEXT_LENGTH} characters")
    if isinstance(value, bool | float) and field.kind != "any":
        raise LiteralError(f"{field.name} is text; YAML reads {shown(value)} as something else, so write it in quotes")
    if isinstance(value, int) and abs(value) >= LARGEST:
        raise LiteralError(f"{field.name} is text; {shown(value)} needs quotes")
    if isinstance(value, float) and not math.isfinite(value):
        raise LiteralError(f"{field.name}: {shown(value)} is out of range")
    if not isinstance(value, str | int | float):
        raise LiteralError(f"{field.name} is text; {shown(value)} is none")
    return as_text(value)


def _equal_text(field: Field, value: object, note: Note) -> Condition:
    text = _plain_text(field, value)
    if set(text) & set("*?"):
        return FieldTest(field, "like", _glob(field, text))
    if field.name == "end_reason":
        return _end_reason(field, text, note)
    _note_unlisted(field, text, note)
    return one_of(field, field.spell(text))


def _glob(field: Field, text: str) -> str:
    """The glob as facts are spelled; of a closed field it must fit a value."""
    glob = field.spell(text)
    if field.closed and not fnmatch.filter(map(spelled, field.values), glob.replace("[", "[[]")):
        raise LiteralError(f"no {field.name} is like {shown(text)}; there are {', '.join(field.values)}")
    return glob


def _end_reason(field: Field, text: str, note: Note) -> Condition:
    """The reason that the text stands for, or the text itself: titles at Twilio have changed, and so may reasons."""
    named = reason_named(text)
    if isinstance(named, Ambiguous):
        listed = ", ".join(named.candidates[:6]) + (", …" if len(named.candidates) > 6 else "")
        raise LiteralError(f"end_reason {shown(text)} fits several: {listed}; write more of the one you mean")
    if not isinstance(named, Resolved):
        _note_unlisted(field, text, note)
        return one_of(field, spelled(text))
    if not named.exact:
        note(f"end_reason {shown(text)} is taken for {named.reason}")
    return one_of(field, spelled(named.reason), spelled(text))


def _note_unlisted(field: Field, text: str, note: Note) -> None:
    listed = {spelled(value): value for value in field.values}
    if not listed or spelled(text) in listed:
        return
    import difflib  # only a mistake needs it

    near = difflib.get_close_matches(spelled(text), listed, n=1, cutoff=0.6)
    known = f"; known are {', '.join(field.values)}" if len(field.values) <= 10 else ""
    if field.closed:
        raise LiteralError(
            f"there is no {field.name} {shown(text)}" + (f"; did you mean {listed[near[0]]}?" if near else known)
        )
    note(f"{shown(text)} is no known {field.name}" + (f"; did you mean {listed[near[0]]}?" if near else known))


def _version_text(field: Field, value: object) -> str:
    if isinstance(value, float):
        raise LiteralError(f"{field.name} is a version; write it in quotes, since {value!r} could also mean {value!r}0")
    return _plain_text(field, value).strip()


def _equal_version(field: Field, value: object) -> Condition:
    text = _version_text(field, value)
    if set(text) & set("<>=!~"):
        return _version_range(field, text)
    return FieldTest(field, "like", field.spell(text)) if set(text) & set("*?") else one_of(field, text)


def _version_range(field: Field, text: str) -> Condition:
    """All specifiers of a range (PEP 440, by `packaging`), each its own test."""
    try:
        found = SpecifierSet(text)
    except InvalidSpecifier:
        raise LiteralError(f"{field.name}: {shown(text)} is no version range; write one like '>= 1.0, < 2.0'") from None
    return every(*(FieldTest(field, "version", str(one)) for one in found))


def _too_dear(pattern: str) -> str | None:
    """Why some text could keep the regular expression busy for long, None if none can.

    Backtracking doubles with each character where a repeated group itself varies, and multiplies by the length of the
    text with each further repeat; names of rooms come from strangers.
    """
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "x", pattern, flags=re.DOTALL)
    bare = re.sub(r"\(\?(?:[:=!>]|<[=!]|P?<\w+>|[-a-zA-Z]*:?)", "(", bare)
    if len(re.findall(_REPEAT, bare)) > PATTERN_REPEATS:
        return f"repeats in more than {PATTERN_REPEATS} places; split it, or use globs"
    while found := re.search(rf"\(([^()]*)\)({_REPEAT}|\{{\d\d+\}})?", bare):
        varies = re.search(rf"{_REPEAT}|\|", found[1])
        if varies and found[2] not in (None, "?"):
            return "repeats a group that itself repeats or has alternatives; some texts would take it for ever"
        bare = bare[: found.start()] + ("x*" if varies else "x") + bare[found.end() :]
    return None
