"""Reading a file of settings or rules: its data, and the line and column of every key and value in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from alertd.errors import InputError, Problem

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 50
KeyPath = tuple[str | int, ...]


class Mark(NamedTuple):
    """A place in a text; both count from 1."""

    line: int
    column: int


class Place(NamedTuple):
    """Where a key and its value begin; of an item in a list both are the same."""

    key: Mark
    value: Mark


class Written(float):
    """A number with a fraction that remembers how it was written: as a version, `2.10` is not `2.1`."""

    text: str

    def __new__(cls, text: str) -> Written:
        """The number that `text` spells."""
        number = super().__new__(cls, text)
        number.text = text
        return number


class SyntaxMistake(NamedTuple):
    """Something the text may not contain, and where."""

    mark: Mark
    message: str


class UnreadableError(Exception):
    """The text cannot be read beyond `mistake`."""

    def __init__(self, mistake: SyntaxMistake) -> None:
        super().__init__(mistake.message)
        self.mistake = mistake


class Reading(NamedTuple):
    """What a text says: plain data, the place of every path into it, and mistakes that did not stop the reading."""

    data: Any
    places: Mapping[KeyPath, Place]
    mistakes: list[SyntaxMistake]


@dataclass(frozen=True, slots=True)
class Document:
    """A file that was read; `problems` are those of its syntax."""

    file: str
    data: Any
    places: Mapping[KeyPath, Place] = field(repr=False)
    problems: list[Problem]

    def problem(self, path: KeyPath, message: str, *, at_key: bool = False) -> Problem:
        """A problem with what stands at `path`, or with the nearest thing around it if nothing stands there."""
        found = path
        while found and found not in self.places:
            found = found[:-1]
        place = self.places.get(found, Place(Mark(1, 1), Mark(1, 1)))
        mark = place.key if at_key and found == path else place.value
        return Problem(self.file, mark.line, mark.column, message)


def read(path: Path, parse: Callable[[str], Reading]) -> Document:
    """The document in a file; InputError where it cannot be read at all."""
    text = read_text(path)
    try:
        reading = parse(text)
    except UnreadableError as error:
        mark, message = error.mistake
        raise InputError([Problem(str(path), mark.line, mark.column, message)]) from None
    problems = [Problem(str(path), mark.line, mark.column, message) for mark, message in reading.mistakes]
    return Document(str(path), reading.data, reading.places, problems)


def read_text(path: Path) -> str:
    """A file's text, with plain line ends and no byte order mark; InputError says why it cannot be had."""
    raw = _bytes(path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise InputError([Problem(str(path), line, column, "is not UTF-8 text; save the file as UTF-8")]) from None
    if not text.strip():
        raise _whole(path, "is empty")
    return text.replace("\r\n", "\n")


def _bytes(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise _whole(path, "is not a file")
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _whole(path, f"cannot be read: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise _whole(path, "is larger than 4 MiB; split it")
    return raw


def _whole(path: Path, message: str) -> InputError:
    return InputError([Problem(str(path), 0, 0, message)])
