"""`alertd check`: every problem of configuration, rules and history files, one a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alertd.cli.progress import shown
from alertd.config import Checked, check
from alertd.errors import InputError, Problem

if TYPE_CHECKING:
    from alertd.history import HistoryFile

HISTORIES = (".ndjson", ".ndjson.gz")


def print_check(config: Path | None, files: tuple[Path, ...], *, as_json: bool) -> int:
    """Print what is wrong and what is odd; status 1 if anything is wrong, 2 if there is nothing to check.

    `files` are rule files, folders of them, and history files (by their names; `-` is one on standard input).
    """
    if config is None and not files:
        raise click.UsageError("name what to check: --config FILE, rule files and folders, or history files")
    missing = [path for path in (config, *files) if path is not None and str(path) != "-" and not path.exists()]
    if missing:
        raise InputError([Problem(str(path), 0, 0, "there is no such file or folder") for path in missing])
    histories = [_read(path) for path in files if _is_history(path)]
    found = _together(check(config, [path for path in files if not _is_history(path)]), histories)
    if as_json:
        click.echo(json.dumps(found.as_json() | {"histories": [_as_json(history) for history in histories]}, indent=2))
    else:
        _print(found, histories)
    return 0 if found.valid else 1


def _is_history(path: Path) -> bool:
    return str(path) == "-" or path.name.endswith(HISTORIES)


def _read(path: Path) -> HistoryFile:
    from alertd.history import HistoryFile

    history = HistoryFile(path, skip_bad=True)
    with shown(f"rooms in {history.name}") as show:
        for _ in history:
            if history.rooms % 1000 == 0:
                show(history.rooms)
    return history


def _together(checked: Checked, histories: Sequence[HistoryFile]) -> Checked:
    problems = [problem for history in histories for problem in history.problems]
    files = [Path(history.name) for history in histories]
    return replace(checked, problems=(*checked.problems, *problems), files=(*checked.files, *files))


def _as_json(history: HistoryFile) -> dict[str, Any]:
    counts = {"rooms": history.rooms, "participants": history.participants, "bad_lines": history.bad}
    return {"file": history.name, **counts}


def _print(found: Checked, histories: Sequence[HistoryFile]) -> None:
    for problem in found.problems:
        click.echo(str(problem))
    unnamed = [(history.name, history.bad - len(history.problems)) for history in histories]
    for name, more in unnamed:
        if more:
            click.echo(f"{name}: and {more:,} more")
    for notice in found.notices:
        click.secho(f"{notice} (notice)", fg="yellow")
    count = len(found.problems) + sum(more for _, more in unnamed)
    verdict = f"{_counted(count, 'problem')} in" if count else "ok:"
    click.secho(f"{verdict} {_extent(found, histories)}", fg="red" if count else "green", err=True)


def _extent(found: Checked, histories: Sequence[HistoryFile]) -> str:
    parts = [_counted(len(found.files), "file")]
    if len(found.files) > len(histories):
        parts.append(_counted(found.rules, "rule"))
    if histories:
        rooms, people = sum(one.rooms for one in histories), sum(one.participants for one in histories)
        parts.append(f"{_counted(rooms, 'room')} with {_counted(people, 'participant')}")
    return ", ".join(parts)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"
