"""What a history file says: settled rooms with all their participants, one a line of JSON, written and read back.

Inside `room` and `participants` are Twilio's own field names. Such files are personal: identities and room names stand
in them as Twilio gave them.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BufferedReader
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from alertd.engine.outcome import Sight
from alertd.engine.records import Participant, Room, SettledRoom, Whole, epoch
from alertd.engine.settle import event_time
from alertd.errors import InputError, Problem

MAX_LINE = 64 * 1024 * 1024
"""Bytes in a line, without its end; a room of the most participants that Twilio allows takes a few MB."""
USUAL_DELAY = 600
"""Seconds from a room's end to its being settled, where a line does not say: by then most rooms are."""
PROBLEMS_KEPT = 100
"""Bad lines of which a reader keeps the problem; the rest are counted."""

_GZIP = b"\x1f\x8b"  # how every member of a gzip file begins (RFC 1952, 2.3.1)
# What makes terminals act or turn the writing around: DEL, C1 controls, line separators, directional marks, in UTF-8.
_OBEYED = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]")

_Path: TypeAlias = tuple[str | int, ...]
_Stream: TypeAlias = BufferedReader | gzip.GzipFile


class _Line(msgspec.Struct):
    account: str
    room: Room
    participants: tuple[Participant, ...]
    settled_at: datetime | None = None
    partial: bool = False
    ended: datetime | None = None


_decoder = msgspec.json.Decoder(_Line)
_RIGHT: dict[object, str] = {
    str: "text",
    str | None: "text, or null",
    bool: "true or false",
    bool | None: "true, false or null",
    Whole | None: "a whole number of at most 18 digits, or null",
    datetime | None: "a time like 2026-03-02T12:08:00Z, or null",
    tuple[str, ...] | None: "a list of texts, or null",
    dict[str, Any] | None: "an object {…}, or null",
}
"""What to write, for each type that a key may have."""


class Attendance:
    """From when on alertd looked at each account: what ended before was all known at once, by the first look."""

    def __init__(self, sights: Iterable[Sight]) -> None:
        self._first: dict[str, int] = {}
        for sight in sights:
            self._first[sight.account] = min(sight.seen_from, self._first.get(sight.account, sight.seen_from))

    def missed(self, settled: SettledRoom) -> bool:
        """Whether the room would have been known earlier, had alertd been there: USUAL_DELAY after its end, say."""
        was_away = settled.ended < self._first.get(settled.account, settled.ended)
        return was_away and settled.known_at > settled.ended + USUAL_DELAY


def write_room(settled: SettledRoom, *, missed: bool = False) -> bytes:
    """The line, its end included, that `HistoryFile` reads as this very room (but for `replaced_at`).

    Where alertd `missed` the room's end, `settled_at` is left out, and it is read as known USUAL_DELAY after it.
    `ended` is written only where it does not follow from the room and from when it settled: hardly ever.
    """
    line: dict[str, Any] = {
        "account": settled.account,
        "settled_at": datetime.fromtimestamp(settled.known_at, UTC),
        "partial": settled.partial,
        "room": settled.room,
        "participants": settled.participants,
    }
    follows = epoch(settled.room.end_time) if missed else event_time(settled.room, settled.known_at)
    if follows != settled.ended:
        line["ended"] = datetime.fromtimestamp(settled.ended, UTC)
    if missed:
        del line["settled_at"]
    return _OBEYED.sub(_escaped, msgspec.json.encode(line)) + b"\n"


def _escaped(found: re.Match[bytes]) -> bytes:
    return f"\\u{ord(found[0].decode()):04x}".encode()


class HistoryFile:
    """The rooms of a history file, in its order, a line in memory at a time; `-` is standard input.

    It may be gzip, whatever its name. To iterate is to read; a second time reads again, and counts anew: `rooms` and
    `participants` that were good, `bad` lines, and the first `problems`. With `skip_bad` bad lines are passed by;
    without, the first one raises InputError, as does a file that cannot be read in either case.

    A room may come more than once, as where two exports were joined: of one (account, room_sid) the one that settled
    later takes the place of the earlier, from then on. Only who replays by time can do that, so it is not done here,
    and `replaced_at` is None throughout.
    """

    def __init__(self, path: Path | str, *, skip_bad: bool = False) -> None:
        self.path = str(path)
        self.name = "<stdin>" if self.path == "-" else self.path
        self.skip_bad = skip_bad
        self._begin()

    def _begin(self) -> None:
        self.rooms = self.participants = self.bad = 0
        self.problems: list[Problem] = []

    def __iter__(self) -> Iterator[SettledRoom]:
        self._begin()
        with _opened(self.path, self.name) as stream:
            for settled in self._read(stream):
                self.rooms += 1
                self.participants += len(settled.participants)
                yield settled

    def _read(self, stream: _Stream) -> Iterator[SettledRoom]:
        for number in count(1):
            try:
                text = _next_line(stream)
                if text is None:
                    return
                settled = _settled_room(text) if text and not text.isspace() else None
            except _BadLineError as mistake:
                self._note(Problem(self.name, number, mistake.column, mistake.message))
                if mistake.last:
                    return
            else:
                if settled is not None:
                    yield settled

    def _note(self, problem: Problem) -> None:
        if not self.skip_bad:
            raise InputError([problem])
        self.bad += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(problem)


class _BadLineError(Exception):
    """A line that cannot be taken; `last` says that nothing behind it can be read either."""

    def __init__(self, column: int, message: str, *, last: bool = False) -> None:
        super().__init__(message)
        self.column = column
        self.message = message
        self.last = last


class _UnfitError(Exception):
    """What stands at `path` of a line is not what should."""

    def __init__(self, path: _Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = f"{_dotted(path)}: {message}" if path else message


def _dotted(path: _Path) -> str:
    """A path as people write it: `participants[0].error_code`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


# Lines of a file


@contextmanager
def _opened(path: str, name: str) -> Iterator[_Stream]:
    try:
        with os.fdopen(0, "rb", closefd=False) if path == "-" else Path(path).open("rb") as raw:
            head = raw.peek(2)[:2]  # of a slow pipe only the first byte may be there, which no JSON begins with either
            yield gzip.GzipFile(fileobj=raw) if head and _GZIP.startswith(head) else raw
    except OSError as error:
        raise InputError([Problem(name, 0, 0, f"cannot be read: {error.strerror or error}")]) from None


def _next_line(stream: _Stream) -> str | None:
    """The next line's text without its end and without a byte order mark, None at the end of the file."""
    try:
        raw = stream.readline(MAX_LINE + 1)
        if len(raw) > MAX_LINE and not raw.endswith(b"\n"):
            _skip_line(stream)
            raise _BadLineError(1, "is longer than 64 MiB; write one room on each line")
    except (EOFError, zlib.error, gzip.BadGzipFile):
        message = "the compressed data is cut short or damaged, and ends here; copy the file again"
        raise _BadLineError(1, message, last=True) from None
    if not raw:
        return None
    raw = raw.removeprefix(BOM_UTF8)  # by hand: the codec that does it takes ten times as long
    try:
        return raw.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        column = len(raw[: error.start].decode("utf-8", "replace")) + 1
        raise _BadLineError(column, "is not UTF-8; save the file as UTF-8") from None


def _skip_line(stream: _Stream) -> None:
    while (part := stream.readline(1024 * 1024)) and not part.endswith(b"\n"):
        pass


# The room in a line


def _settled_room(text: str) -> SettledRoom:
    """The room that a line describes; _BadLineError says what would be right, and quotes nothing personal."""
    try:
        try:
            line = _decoder.decode(text)
        except msgspec.DecodeError as error:
            _find_mistake(text)
            raise _BadLineError(1, f"cannot be read as JSON: {error}") from None
        return _settled(line)
    except _UnfitError as unfit:
        raise _BadLineError(_offset(text, unfit.path) + 1, unfit.message) from None
    except RecursionError:
        raise _BadLineError(1, "is nested too deeply") from None


def _settled(line: _Line) -> SettledRoom:
    if not line.account:
        raise _UnfitError(("account",), "write the name of the account")
    if not line.room.room_sid:
        raise _UnfitError(("room", "room_sid"), "write the SID of the room")
    known_at, ended = epoch(line.settled_at), epoch(line.ended)
    if ended is None:
        ended = epoch(line.room.end_time) if known_at is None else event_time(line.room, known_at)
    if ended is None:
        raise _UnfitError(("room",), 'there is no "end_time"; only rooms that have ended belong here')
    return SettledRoom(
        account=line.account,
        room=line.room,
        participants=line.participants,
        ended=ended,
        known_at=ended + USUAL_DELAY if known_at is None else known_at,
        partial=line.partial,
    )


# Where a line is wrong: looked for only when it is


def _find_mistake(text: str) -> None:
    """Raises _BadLineError or _UnfitError for what is wrong first; nothing where the standard library is content."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        message = f"is not JSON ({error.msg}); write one object {{…}} on each line"
        raise _BadLineError(error.pos + 1, message) from None
    except ValueError:  # a number of thousands of digits
        return
    _expect_record(_Line, data, ())


def _expect_record(form: type[msgspec.Struct], data: object, path: _Path) -> None:
    if not isinstance(data, dict):
        raise _UnfitError(path, "write an object {…}")
    for field in msgspec.structs.fields(form):
        if field.name in data:
            _expect(field.type, data[field.name], (*path, field.name))
        elif field.required:
            raise _UnfitError(path, f'the key "{field.name}" is missing')


def _expect(wanted: Any, value: object, path: _Path) -> None:  # noqa: ANN401 - any type that a field may have
    if wanted is Room:
        _expect_record(Room, value, path)
    elif wanted == tuple[Participant, ...]:
        if not isinstance(value, list):
            raise _UnfitError(path, "write a list [ ] of participants")
        for place, item in enumerate(value):
            _expect_record(Participant, item, (*path, place))
    else:
        try:
            msgspec.convert(value, wanted)
        except msgspec.ValidationError:
            raise _UnfitError(path, f"write {_RIGHT[wanted]}") from None


_parse: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().raw_decode
_space = re.compile(r"[ \t\r\n]*")


def _offset(text: str, path: _Path) -> int:
    """Where in valid JSON the value at `path` begins, in characters; of a key given twice, the last."""
    at = _after_space(text, 0)
    for part in path:
        at = dict(_children(text, at))[part]
    return at


def _children(text: str, at: int) -> Iterator[tuple[str | int, int]]:
    """The keys of the object (or the places of the list) that begins at `at`, each with where its value begins."""
    keyed = text[at] == "{"
    at = _after_space(text, at + 1)
    for place in count():
        if text[at] in "}]":
            return
        key: str | int = place
        if keyed:
            key, at = _parse(text, at)
            at = _after_space(text, _after_space(text, at) + 1)
        yield key, at
        at = _after_space(text, _parse(text, at)[1])
        if text[at] == ",":
            at = _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    found = _space.match(text, at)
    return found.end() if found else at
