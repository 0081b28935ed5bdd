"""What several commands share: their options, and how errors of alertd's own become messages and exit statuses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

FILE = click.Path(path_type=Path)
CONFIG = click.option(
    "--config",
    "config",
    type=FILE,
    required=True,
    metavar="FILE",
    help="The configuration (TOML); see config.example.toml.",
)
URL = click.option(
    "--url",
    default="http://127.0.0.1:9095",
    show_default=True,
    envvar="ALERTD_URL",
    show_envvar=True,
    metavar="URL",
    help="Where the daemon is. Where it asks for a login: http://USER:PASSWORD@HOST:PORT, or a token in ALERTD_TOKEN.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print machine-readable JSON on standard output.")


@contextmanager
def told() -> Iterator[None]:
    """Turns alertd's own errors into a message on standard error: wrong input ends with status 2, all else with 1."""
    from alertd.errors import AlertdError, InputError

    try:
        yield
    except InputError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(2)
    except AlertdError as error:
        click.echo(f"alertd: {error}", err=True)
        sys.exit(1)
