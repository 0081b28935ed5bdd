"""`alertd check`: every problem of configuration and rules, one a line."""

from __future__ import annotations

import json
from pathlib import Path

import click

from alertd.config import check
from alertd.errors import InputError, Problem


def print_check(config: Path | None, rules: tuple[Path, ...], *, as_json: bool) -> int:
    """Print what is wrong and what is odd; status 1 if anything is wrong, 2 if there is nothing to check."""
    if config is None and not rules:
        raise click.UsageError("name what to check: --config FILE, or rule files and folders")
    missing = [path for path in (config, *rules) if path is not None and not path.exists()]
    if missing:
        raise InputError([Problem(str(path), 0, 0, "there is no such file or folder") for path in missing])
    checked = check(config, rules)
    if as_json:
        click.echo(json.dumps(checked.as_json(), indent=2))
        return 0 if checked.valid else 1
    for problem in checked.problems:
        click.echo(str(problem))
    for notice in checked.notices:
        click.secho(f"{notice} (notice)", fg="yellow")
    files = f"{len(checked.files)} file{'s' * (len(checked.files) != 1)}, {checked.rules} rules"
    if checked.valid:
        click.secho(f"ok: {files}", fg="green", err=True)
        return 0
    count = len(checked.problems)
    click.secho(f"{count} problem{'s' * (count != 1)} in {files}", fg="red", err=True)
    return 1
