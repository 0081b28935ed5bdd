"""The commands that talk to a running daemon over its HTTP API."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from alertd.cli.options import CONFIG, JSON, URL, told


@click.command()
@URL
@JSON
def alerts(url: str, as_json: bool) -> None:
    """What is pending or fires in a running daemon: why, since when, who was told, and who was not and why."""
    from alertd.cli.alerts import print_alerts

    with told():
        print_alerts(url, as_json=as_json)


@click.command()
@click.argument("fingerprint")
@click.option("--for", "lasts", default="4h", show_default=True, metavar="DURATION", help="How long at most, up to 7d.")
@click.option("--comment", default="", metavar="TEXT", help="What you are doing about it.")
@click.option("--author", metavar="NAME", help="Who looks after it, instead of the name of this user.")
@click.option("--end", is_flag=True, help="Nobody looks after it any more.")
@URL
def ack(fingerprint: str, url: str, lasts: str, comment: str, author: str | None, end: bool) -> None:
    """Say that somebody looks after the alert with this FINGERPRINT.

    It is not told again and again then, until it is over or DURATION has passed; its recovery and whatever else is new
    is told. `alertd alerts` shows fingerprints, as do messages.
    """
    from alertd.cli.alerts import acknowledge, leave

    with told():
        sys.exit(
            leave(url, fingerprint)
            if end
            else acknowledge(url, fingerprint, lasts=lasts, comment=comment, author=author)
        )


@click.command()
@click.argument("rule")
@CONFIG
@URL
def drill(rule: str, config: Path, url: str) -> None:
    """Fire the rule RULE in a running daemon, marked TEST, and follow who is told of it.

    An alert with the rule's labels and texts is posted to the daemon and goes the way of any other: routes, groups,
    silences, inhibitions, the outbox. It is over by itself five minutes later. Exit status 1 if nobody is told.
    """
    from alertd.cli.drill import fire

    with told():
        sys.exit(fire(config, rule, url))


@click.group()
def silence() -> None:
    """Silences of a running daemon: nobody is told of the alerts that one matches."""


@silence.command()
@click.argument("matchers", nargs=-1, required=True, metavar="MATCHER...")
@click.option("--for", "lasts", required=True, metavar="DURATION", help="How long, such as 2h.")
@click.option("--start", metavar="TIME", help="From TIME on, such as 2026-03-02T12:00Z, instead of now.")
@click.option("--comment", required=True, metavar="TEXT", help="Why, for those who wonder at night.")
@click.option("--author", metavar="NAME", help="Who asks for it, instead of the name of this user.")
@URL
def add(url: str, matchers: tuple[str, ...], lasts: str, start: str | None, comment: str, author: str | None) -> None:
    """Say nothing of the alerts that all these matchers match, for a while; prints the silence's id.

    MATCHER is like severity="page", with =, !=, =~ or !~; a word alone is the name of an alert.
    """
    from alertd.cli.silence import add_silence

    with told():
        add_silence(url, matchers, lasts=lasts, start=start, comment=comment, author=author)


@silence.command("list")
@click.option("--expired", is_flag=True, help="Those too that were over within the last five days.")
@URL
@JSON
def listed(url: str, expired: bool, as_json: bool) -> None:
    """List the silences that are active, and those to come."""
    from alertd.cli.silence import list_silences

    with told():
        list_silences(url, with_expired=expired, as_json=as_json)


@silence.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@URL
def expire(url: str, ids: tuple[str, ...]) -> None:
    """End silences now; what they hid and still fires is told with the next turn of its group."""
    from alertd.cli.silence import expire_silences

    with told():
        sys.exit(expire_silences(url, ids))
