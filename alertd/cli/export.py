"""`alertd export`: the history as NDJSON, to standard output or, once it is whole, to a file."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from gzip import GzipFile
from pathlib import Path
from typing import BinaryIO, TypeAlias

import click

from alertd.cli.progress import shown
from alertd.config import load_store
from alertd.engine.durations import parse_duration
from alertd.errors import AlertdError, InputError, Problem
from alertd.history import Attendance, write_room
from alertd.store import Store, open_store

Write: TypeAlias = Callable[[bytes], object]
Show: TypeAlias = Callable[[int], None]

EVER = -(2**62)
"""An instant, in seconds since the epoch, that every room ended after."""


def export_history(config: Path, since: str | None, output: Path | None) -> None:
    """Write the rooms that ended within `since` (a duration; None: all that are kept), oldest first, as now known.

    Rooms that ended before alertd ever looked at their account come without `settled_at`.
    Whoever stops reading standard output ends it quietly. AlertdError if the database or the output fails.
    """
    now = int(time.time())
    ended_after = EVER if since is None else now - _seconds(since)
    url = load_store(config).url.get_secret_value()
    file = None if output is None or str(output) == "-" else output
    opened = _standard_output() if file is None else _file(file)
    with opened as write, shown("rooms", beside_output=file is None) as show:
        rooms, participants = asyncio.run(_export(url, now, ended_after, write, show))
    where = "" if file is None else f" in {file}"
    click.echo(f"{rooms:,} rooms with {participants:,} participants{where}", err=True)


def _seconds(since: str) -> int:
    try:
        return parse_duration(since)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None


async def _export(url: str, now: int, ended_after: int, write: Write, show: Show) -> tuple[int, int]:
    store = await open_store(url, migrate=False)
    rooms = participants = 0
    try:
        attendance = Attendance(await store.sights())
        async for batch in store.visible(await _known_by(store, now), ended_after):
            for settled in batch:
                write(write_room(settled, missed=attendance.missed(settled)))
            rooms += len(batch)
            participants += sum(len(settled.participants) for settled in batch)
            show(rooms)
    finally:
        await store.close()
    return rooms, participants


async def _known_by(store: Store, now: int) -> int:
    """The instant whose view is exported, the same for all batches: now, or later if rooms became known later.

    That is so where another machine's clock is ahead, and in rehearsals, in which time runs faster.
    """
    ahead = 0
    while await store.next_change(now + ahead) is not None:
        ahead = 2 * ahead or 1
    return now + ahead


@contextmanager
def _standard_output() -> Iterator[Write]:
    try:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
    except OSError as error:
        # What is still buffered would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # `| head` has seen enough
            sys.exit(0)
        raise AlertdError(f"cannot write to standard output ({error.strerror})") from None


@contextmanager
def _file(path: Path) -> Iterator[Write]:
    """Writes beside `path`, and takes its place at the end; nobody else may read it (mkstemp gives mode 0600)."""
    target = path.resolve()
    if target.exists() and not target.is_file():
        message = "is not a regular file; leave out --output and redirect standard output there"
        raise InputError([Problem(str(path), 0, 0, message)])
    try:
        handle, name = tempfile.mkstemp(prefix=".alertd-export-", dir=target.parent)
        unfinished = Path(name)
        try:
            with os.fdopen(handle, "wb") as raw:
                with _packed(raw, path) as write:
                    yield write
                raw.flush()
                os.fsync(handle)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise AlertdError(
            f"cannot write {path} ({error.strerror}); name a file in a folder that can be written"
        ) from None


@contextmanager
def _packed(raw: BinaryIO, path: Path) -> Iterator[Write]:
    if path.suffix != ".gz":
        yield raw.write
        return
    with GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw) as packed:
        yield packed.write
