"""TOML to plain data with positions: tomllib reads and judges, a light scan of what it accepted finds the places."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

from alertd.config.reading import MAX_DEPTH, KeyPath, Mark, Place, Reading, SyntaxMistake, UnreadableError, Written

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*'""")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_STRING = re.compile(
    r'''"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}|\'\'\'(?:[^']|'{1,2}(?!'))*'{3,5}|"(?:[^"\\]|\\.)*"|'[^']*\'''', re.DOTALL
)
_BARE = re.compile(r"[^,\]}\n#]+")
_LONG_NUMBER = re.compile(r"[0-9_]{1000,}")
_PLACE_IN_MESSAGE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def parse_toml(text: str) -> Reading:
    """What a TOML text says; UnreadableError where it breaks off."""
    try:
        data = tomllib.loads(text, parse_float=Written)
        return Reading(data, _Scanner(text).scan(), [])
    except RecursionError:
        raise UnreadableError(SyntaxMistake(Mark(1, 1), f"is nested more than {MAX_DEPTH} levels deep")) from None
    except ValueError as error:
        raise UnreadableError(_mistake(text, str(error))) from None


def _mistake(text: str, message: str) -> SyntaxMistake:
    found = _PLACE_IN_MESSAGE.search(message)
    if found is None:  # the only complaint of another form is Python's, about numbers of more than 4300 digits
        long = _LONG_NUMBER.search(text)
        return SyntaxMistake(_mark(text, long.start() if long else 0), "is a number of too many digits")
    mark = Mark(int(found[1]), int(found[2])) if found[1] else _mark(text, len(text.rstrip("\n")))
    return SyntaxMistake(mark, f"is not TOML: {message[:1].lower()}{message[1 : found.start()]}")


def _mark(text: str, offset: int) -> Mark:
    return Mark(text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


class _Scanner:
    """Walks once over a text that tomllib has accepted, and notes where each key and value begins."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]
        self._places: dict[KeyPath, Place] = {(): Place(Mark(1, 1), Mark(1, 1))}
        self._last: dict[KeyPath, int] = {}

    def scan(self) -> dict[KeyPath, Place]:
        """The place of every path into the data."""
        table: KeyPath = ()
        self._take(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._take(_BLANK)
        return self._places

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        taken = found[0] if found else self._text[self._at : self._at + 1]
        self._at += len(taken)
        return taken

    def _mark(self, offset: int) -> Mark:
        line = bisect_right(self._lines, offset)
        return Mark(line, offset - self._lines[line - 1] + 1)

    def _header(self) -> KeyPath:
        """The path of the table that a header such as `[a.b]` or `[[a.b]]` opens."""
        start, repeated = self._mark(self._at), self._text.startswith("[[", self._at)
        self._at += 2 if repeated else 1
        path: KeyPath = ()
        for name, mark in self._keys():
            path = (*self._newest(path), name)
            self._places.setdefault(path, Place(mark, start))
        if repeated:
            self._last[path] = self._last.get(path, -1) + 1
            path = self._newest(path)
            self._places[path] = Place(start, start)
        else:
            self._places[path] = Place(self._places[path].key, start)
        self._at += 2 if repeated else 1
        return path

    def _newest(self, path: KeyPath) -> KeyPath:
        """The path itself, or its newest table if it names an array of tables."""
        return (*path, self._last[path]) if path in self._last else path

    def _keys(self) -> list[tuple[str, Mark]]:
        """The parts of a dotted key, each with its place."""
        parts = []
        while True:
            self._take(_SPACE)
            mark = self._mark(self._at)
            part = self._take(_KEY)
            parts.append((tomllib.loads(f"x={part}")["x"] if part[0] in "\"'" else part, mark))
            self._take(_SPACE)
            if not self._text.startswith(".", self._at):
                return parts
            self._take(_DOT)

    def _pair(self, table: KeyPath) -> None:
        path = table
        for name, key in self._keys():
            path = (*path, name)
            self._places.setdefault(path, Place(key, key))
        self._at += 1  # the equals sign
        self._take(_SPACE)
        self._value(path, self._places[path].key)

    def _value(self, path: KeyPath, key: Mark | None) -> None:
        mark = self._mark(self._at)
        self._places[path] = Place(key or mark, mark)
        if len(path) > MAX_DEPTH:
            raise UnreadableError(SyntaxMistake(mark, f"is nested more than {MAX_DEPTH} levels deep"))
        first = self._text[self._at]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline(path)
        else:
            self._take(_STRING if first in "\"'" else _BARE)

    def _array(self, path: KeyPath) -> None:
        count = 0
        while not self._closed("]"):
            self._value((*path, count), None)
            count += 1

    def _inline(self, path: KeyPath) -> None:
        while not self._closed("}"):
            self._pair(path)

    def _closed(self, bracket: str) -> bool:
        """Step over an opening bracket or comma; whether the closing bracket follows, which is stepped over too."""
        self._take(_BLANK)
        if self._text[self._at] in "[{,":
            self._at += 1
            self._take(_BLANK)
        if self._text[self._at] != bracket:
            return False
        self._at += 1
        return True
