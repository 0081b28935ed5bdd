"""`alertd drill`: fires a rule in a running daemon, marked TEST, and follows who is told of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from alertd.cli.alerts import forwarded_to
from alertd.cli.daemon import ask
from alertd.cli.names import rule_named
from alertd.config import load
from alertd.drill import Drill
from alertd.drill import drill as made_up
from alertd.engine.durations import format_duration
from alertd.receivers.wording import line

LOOK_EVERY = 1.0
"""Seconds between two looks at what has become of it."""
POST_EVERY = 60.0
"""Seconds between two posts: the daemon takes an alert to be over that it has not heard of for five minutes."""
PATIENCE = 150.0
"""Seconds beyond the group's own waiting: the next whole minute must come, and the other side must answer."""
COLOURS = {"sent": "green", "failed": "red", "withheld": "yellow"}
DONE = ("sent", "failed", "withheld")


def fire(config: Path, name: str, url: str) -> int:
    """Post the alert and print what becomes of it; status 0 once all integrations have taken it, 1 if one did not.

    InputError if the configuration cannot be used, click.BadParameter if there is no such rule, DaemonError if no
    daemon can be asked.
    """
    loaded = load(config)
    test = made_up(loaded, "", rule_named(name, loaded.rules), int(time.time()))
    click.echo(f"firing {line(name)} as {test.alert.fingerprint}: the routes lead it to {', '.join(test.led_to)}")
    return _follow(url, test)


def _follow(url: str, test: Drill) -> int:
    """Look at it, and post it again, until all is known of it or that takes too long."""
    begun, posted, known = time.monotonic(), float("-inf"), dict[str, str]()
    while time.monotonic() < begun + test.waits + PATIENCE:
        if time.monotonic() >= posted + POST_EVERY:
            ask(url, "POST", "/api/v2/alerts", [{"labels": test.alert.labels, "annotations": test.alert.annotations}])
            posted = time.monotonic()
        stand = dict(_stand(url, test.alert.fingerprint))
        for integration, (state, words) in stand.items():
            if known.get(integration) != words:
                click.echo(f"{integration}: {click.style(line(words), fg=COLOURS.get(state))}")
                known[integration] = words
        if stand and all(state in DONE for state, _ in stand.values()):
            return _end([state for state, _ in stand.values()])
        time.sleep(LOOK_EVERY)
    waited = format_duration(int(time.monotonic() - begun))
    click.echo(f"not all is known after {waited}; see `alertd alerts` and `alertd deliveries`", err=True)
    return 1


def _end(states: list[str]) -> int:
    click.echo("it is over by itself within five minutes; who was told is then told that, too")
    return 0 if all(state == "sent" for state in states) else 1


def _stand(url: str, fingerprint: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """By integration how it stands (`waiting`, or as in the outbox), and in words; nothing until the alert fires."""
    found = [one for one in ask(url, "GET", "/api/alertd/alerts") if one["fingerprint"] == fingerprint]
    if not found or found[0]["state"] != "firing":
        return
    if not found[0]["notifications"] and not found[0]["forwarded"]:
        yield "nobody", ("failed", "its route leads to a receiver without integrations")
    for each in found[0]["forwarded"]:
        yield forwarded_to(each), _forwarded(each)
    entries = ask(url, "GET", "/api/alertd/notifications?limit=200")
    for way in found[0]["notifications"]:
        yield way["integration"], _way(way, found[0], entries)


def _forwarded(each: Mapping[str, Any]) -> tuple[str, str]:
    """How one Alertmanager stands that it is forwarded to."""
    if each["taken"]:
        return "sent", f"forwarded at {each['taken']}; what it does with it is its own matter"
    return ("failed", f"not forwarded: {each['error']}") if each["error"] else ("waiting", "not forwarded yet")


def _way(way: Mapping[str, Any], alert: Mapping[str, Any], entries: list[dict[str, Any]]) -> tuple[str, str]:
    """How one integration stands, by what the outbox has for it."""
    for entry in entries:
        if entry["integration"] != way["integration"]:
            continue
        if way["told"] is not None and entry["created_at"] == way["told"]:
            answer = entry["last_answer"] or "no answer yet"
            return entry["state"], f"{entry['state']} at {entry['sent_at'] or way['told']}: {answer}"
        is_its_own = alert["labels"]["alertname"] in entry["alerts"] and entry["created_at"] >= alert["startsAt"]
        if way["told"] is None and entry["state"] == "withheld" and is_its_own:
            return "withheld", f"not told: {entry['withheld']}"
    return "waiting", f"told at {way['told']}" if way["told"] else f"not told yet: {way['why']}"
