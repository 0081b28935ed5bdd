"""`alertd alerts` and `alertd ack`: what fires in a running daemon and why, and saying that one looks after it."""

from __future__ import annotations

import getpass
import json
from typing import Any
from urllib.parse import quote

import click

from alertd.cli.daemon import DaemonError, ask
from alertd.receivers.wording import line

COLOURS = {"firing": "red", "pending": "yellow"}


def print_alerts(url: str, *, as_json: bool) -> None:
    """Print what is pending or fires, with its reasons."""
    found = ask(url, "GET", "/api/alertd/alerts")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo("nothing fires", err=True)
    for one in found:
        click.echo("\n".join(_lines(one)))


def acknowledge(url: str, fingerprint: str, *, lasts: str, comment: str, author: str | None) -> int:
    """Say that somebody looks after an alert; status 1 if it does not fire."""
    body = {"by": author or getpass.getuser(), "comment": comment, "duration": lasts}
    answer = _asked(url, "PUT", fingerprint, body)
    if answer is None:
        return 1
    click.echo(f"{fingerprint} is acknowledged by {line(answer['by'])} until {answer['until']}, or until it is over")
    return 0


def leave(url: str, fingerprint: str) -> int:
    """Say that nobody looks after it any more; status 1 if nobody did."""
    if _asked(url, "DELETE", fingerprint, None) is None:
        return 1
    click.echo(f"{fingerprint} is not acknowledged any more")
    return 0


def _asked(url: str, method: str, fingerprint: str, body: object) -> Any:  # noqa: ANN401 - whatever JSON the daemon sends
    """The answer, `{}` for an empty one; None, and a line that says why, where it is about nothing."""
    try:
        return ask(url, method, f"/api/alertd/alerts/{quote(fingerprint, safe='')}/ack", body) or {}
    except DaemonError as error:
        if error.status != 404:
            raise
        click.echo(f"{error}; see `alertd alerts`", err=True)
        return None


def _lines(one: dict[str, Any]) -> list[str]:
    labels = ", ".join(f'{name}="{value}"' for name, value in sorted(one["labels"].items()) if name != "alertname")
    state = click.style(f"{one['state']:8}", fg=COLOURS.get(one["state"]))
    since = one["startsAt"] or one["activeAt"] or ""
    ack = one["acknowledged"]
    told = [f"{each['integration']}: {_told(each)}" for each in one["notifications"]]
    shown = [
        f"{one['fingerprint']}  {state}  since {since}  {line(one['labels'].get('alertname', ''))}",
        f"    {line(labels)}",
        f"    {line(one['annotations'].get('summary', ''))}",
        f"    why: {line(one['reason'])}",
        *([f"    {line(one['quiet'])}"] if one["quiet"] else []),
        *([f"    acknowledged by {line(ack['by'])} until {ack['until']}: {line(ack['comment'])}"] if ack else []),
        *[f"    {line(way)}" for way in told],
        *[f"    {line(forwarded_to(each))}: {line(_taken(each))}" for each in one["forwarded"]],
    ]
    return [words for words in shown if words.strip()]


def forwarded_to(each: dict[str, Any]) -> str:
    """What a member of a cluster of Alertmanagers is called."""
    return f"{each['integration']}" + (f", member {each['member']} of {each['members']}" if each["members"] > 1 else "")


def _taken(each: dict[str, Any]) -> str:
    error = f"; {each['error']}" if each["error"] else ""
    return (f"forwarded at {each['taken']}" if each["taken"] else "not forwarded yet") + error


def _told(each: dict[str, Any]) -> str:
    return f"told at {each['told']}" if each["told"] else f"not told: {each['why']}"
