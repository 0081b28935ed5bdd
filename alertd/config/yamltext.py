"""YAML to plain data with positions: YAML 1.2 scalars, one document, no tags, no duplicate keys, bounded in all ways.

The C parser's events are read instead of its nodes: they tell a quoted scalar from a plain one and an explicit tag
from a guessed one, and deep nesting ends here and not in the parser's stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

import yaml
from yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from alertd.config.reading import MAX_DEPTH, KeyPath, Mark, Place, Reading, SyntaxMistake, UnreadableError, Written

Content = MappingStartEvent | SequenceStartEvent | ScalarEvent
MAX_NODES = 200_000
MAX_ALIASES = 1_000
MAX_DIGITS = 100
_TOO_DEEP = f"is nested more than {MAX_DEPTH} levels deep"
# The scalars of YAML 1.2's core schema, https://yaml.org/spec/1.2.2/#1032-tag-resolution
_CONSTANTS: dict[str, object] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_CONSTANTS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def parse_yaml(text: str) -> Reading:
    """What a YAML text says; UnreadableError where it breaks off."""
    builder = _Builder(text)
    return Reading(builder.document(), builder.places, builder.mistakes)


def plain_scalar(text: str) -> object:
    """The value of a scalar without quotes: null, a boolean, a number, or else the text itself."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return Written(text)
    if infinite := _INFINITE.fullmatch(text):
        return float(text.replace(".", "").lower()) if infinite[1] is not None else float("nan")
    return text


class _Builder:
    """Turns the parser's events into data, and notes where each thing begins."""

    def __init__(self, text: str) -> None:
        self.places: dict[KeyPath, Place] = {}
        self.mistakes: list[SyntaxMistake] = []
        self._events = _events(text)
        self._anchors: dict[str, tuple[object, int]] = {}
        self._nodes = 0
        self._aliases = 0

    def document(self) -> object:
        """The one document of the text."""
        next(self._events)
        if isinstance(next(self._events), StreamEndEvent):
            return None
        event = next(self._events)
        data = self._value(event, (), _mark(event))
        next(self._events)
        after = next(self._events)
        if not isinstance(after, StreamEndEvent):
            self.mistakes.append(SyntaxMistake(_mark(after), "a second document begins here; write one file for each"))
        return data

    def _value(self, event: Event, path: KeyPath, key: Mark) -> object:
        mark = _mark(event)
        self.places[path] = Place(key, mark)
        self._count(1, mark)
        if isinstance(event, AliasEvent):
            return self._alias(str(event.anchor), mark)
        if len(path) > MAX_DEPTH:
            raise UnreadableError(SyntaxMistake(mark, _TOO_DEEP))
        content = cast("Content", event)  # nothing else can stand here
        self._check_tag(content, mark)
        before = self._nodes
        data = self._content(content, path, mark)
        if content.anchor:
            self._anchors[content.anchor] = (data, self._nodes - before + 1)
        return data

    def _content(self, event: Content, path: KeyPath, mark: Mark) -> object:
        if isinstance(event, MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path)
        if not event.implicit[0]:
            return event.value
        if len(event.value) > MAX_DIGITS and any(form.fullmatch(event.value) for form in (_INTEGER, _BASED, _FLOAT)):
            self.mistakes.append(SyntaxMistake(mark, f"is a number of more than {MAX_DIGITS} digits"))
            return None
        return plain_scalar(event.value)

    def _sequence(self, path: KeyPath) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._value(event, (*path, len(items)), _mark(event)))
        return items

    def _mapping(self, path: KeyPath) -> dict[str, object]:
        items: dict[str, object] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            name, mark = self._key(event), _mark(event)
            first = self.places.get((*path, name))
            place = name if first is None else f"{name} in line {mark.line}"  # what is in it has been there only once
            value = self._value(next(self._events), (*path, place), mark)
            if name == "<<":
                message = "merge keys (<<) are not part of YAML 1.2; write the keys out, or use defaults"
                self.mistakes.append(SyntaxMistake(mark, message))
            elif first is None:
                items[name] = value
            else:
                message = f'the key "{name}" stands here again; it was first set in line {first.key.line}'
                self.mistakes.append(SyntaxMistake(mark, message))
        return items

    def _key(self, event: Event) -> str:
        if not isinstance(event, ScalarEvent):
            raise UnreadableError(SyntaxMistake(_mark(event), "a key must be plain text"))
        self._check_tag(event, _mark(event))
        return str(event.value)

    def _alias(self, name: str, mark: Mark) -> object:
        if name not in self._anchors:
            raise UnreadableError(SyntaxMistake(mark, f'there is no anchor "&{name}" before this alias'))
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            raise UnreadableError(SyntaxMistake(mark, f"has more than {MAX_ALIASES} aliases"))
        data, nodes = self._anchors[name]
        self._count(nodes, mark)
        return data

    def _count(self, nodes: int, mark: Mark) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise UnreadableError(SyntaxMistake(mark, f"holds more than {MAX_NODES} values, aliases counted in full"))

    def _check_tag(self, event: Content, mark: Mark) -> None:
        if event.tag not in (None, "tag:yaml.org,2002:str"):
            self.mistakes.append(SyntaxMistake(mark, "tags (!…) are not read here; write the plain value"))


def _events(text: str) -> Iterator[Event]:
    try:
        yield from yaml.parse(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        mark = Mark(place.line + 1, place.column + 1) if place else Mark(1, 1)
        if "nesting depth" in str(error.problem):  # from 0.2.6 on libyaml has a limit too, and meets it reading ahead
            raise UnreadableError(SyntaxMistake(mark, _TOO_DEEP)) from None
        context = f" ({error.context})" if error.context else ""
        raise UnreadableError(SyntaxMistake(mark, f"is not YAML: {error.problem}{context}")) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        raise UnreadableError(SyntaxMistake(Mark(line, column), f"is not YAML: {error.reason}")) from None


def _mark(event: Event) -> Mark:
    start = event.start_mark
    return Mark(start.line + 1, start.column + 1) if start else Mark(1, 1)
