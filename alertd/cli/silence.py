"""`alertd silence`: asking a running daemon to say nothing of some alerts for a while, and ending that."""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from alertd.cli.daemon import DaemonError, ask
from alertd.engine.durations import format_duration, parse_duration
from alertd.engine.routes import Matcher
from alertd.receivers.wording import line

COLOURS = {"active": "green", "pending": "yellow", "expired": "bright_black"}


def add_silence(
    url: str, matchers: Iterable[str], *, lasts: str, start: str | None, comment: str, author: str | None
) -> None:
    """Make a silence, and print its id."""
    parsed = [_matcher(text) for text in matchers]
    begins = datetime.now(UTC) if start is None else _moment(start)
    try:
        ends = begins + timedelta(seconds=parse_duration(lasts))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--for") from None
    answer = ask(
        url,
        "POST",
        "/api/v2/silences",
        {
            "matchers": [
                {
                    "name": one.name,
                    "value": one.value,
                    "isRegex": one.op in ("=~", "!~"),
                    "isEqual": one.op in ("=", "=~"),
                }
                for one in parsed
            ],
            "startsAt": begins.isoformat(),
            "endsAt": ends.isoformat(),
            "createdBy": author or getpass.getuser(),
            "comment": comment,
        },
    )
    click.echo(answer["silenceID"])


def list_silences(url: str, *, with_expired: bool, as_json: bool) -> None:
    """Print the silences that are active or to come."""
    found = ask(url, "GET", f"/api/v2/silences?expired={'true' if with_expired else 'false'}")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo("no silences", err=True)
    for one in found:
        click.echo(_line(one))


def expire_silences(url: str, ids: Sequence[str]) -> int:
    """End these silences; status 1 if one of them is not there."""
    status = 0
    for id_ in ids:
        try:
            ask(url, "DELETE", f"/api/v2/silence/{id_}")
        except DaemonError as error:
            if error.status not in (404, 422):
                raise
            click.echo(f"alertd: there is no silence {id_}; see `alertd silence list`", err=True)
            status = 1
        else:
            click.echo(f"{id_} is over")
    return status


def _matcher(text: str) -> Matcher:
    """A word alone is the name of an alert."""
    try:
        return Matcher.parse(text if re.search("[=~]", text) else f'alertname="{text}"')
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="MATCHER") from None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a time; write it like 2026-03-02T12:00Z", param_hint="--start"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _line(one: dict[str, Any]) -> str:
    state = one["status"]["state"]
    matchers = ", ".join(_text(matcher) for matcher in one["matchers"])
    times = f"{one['startsAt'][:16]}Z to {one['endsAt'][:16]}Z"
    left = f", {_left(one['endsAt'])} left" if state == "active" else ""
    said = f": {line(one['comment'])}" if one["comment"] else ""
    head = f"{one['id']}  {click.style(f'{state:8}', fg=COLOURS.get(state))}  {times}{left}"
    return f"{head}\n    {line(matchers)}\n    {line(one['createdBy'])}{said}"


def _text(matcher: dict[str, Any]) -> str:
    op = ("=~" if matcher.get("isEqual", True) else "!~") if matcher["isRegex"] else None
    return f'{matcher["name"]}{op or ("=" if matcher.get("isEqual", True) else "!=")}"{matcher["value"]}"'


def _left(ends_at: str) -> str:
    seconds = (datetime.fromisoformat(ends_at) - datetime.now(UTC)).total_seconds()
    return format_duration(max(0, int(seconds) // 60 * 60))
