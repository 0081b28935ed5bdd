"""`alertd backtest`: goes over a history, and prints what its rules would have fired and sent."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from alertd import logs
from alertd.backtest.comparison import Comparison, compare
from alertd.backtest.run import Findings, Firing, go_over
from alertd.backtest.tolls import Toll, tolls
from alertd.cli.progress import shown
from alertd.cli.sources import Found, Wanted, described, from_file, from_store, from_twilio
from alertd.config import Loaded, load, load_rules
from alertd.engine.durations import format_duration
from alertd.engine.groups import Notification
from alertd.engine.outcome import Event
from alertd.engine.rules import Rule
from alertd.errors import AlertdError, InputError, Problem
from alertd.policy import policy_of
from alertd.receivers.wording import line

CURVES = 12
"""Groups of a rule whose curves are drawn."""
SAY_EVERY = 1.0
"""Real seconds between two lines that say how far it is."""
MOST_FIRINGS = 200
"""Alerts told one by one to people."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the command."""

    config: Path
    since: str | None
    begin: str | None
    end: str | None
    data: Path | None
    skip_bad: bool
    own: bool
    rules: Path | None
    against: Path | None
    html: Path | None
    zone: str
    progress: bool
    as_json: bool


def run_backtest(asked: Asked) -> None:
    """Go over the history and print what was found; InputError and SourceError as from what is read."""
    zone = _zone(asked.zone)
    loaded = _loaded(asked)
    logs.set_up(loaded.config.log.format, "critical")  # what happened in the past is no news to a log
    others = () if asked.against is None else load_rules([asked.against]).rules
    wanted = Wanted(asked.since, asked.begin, asked.end, zone)
    findings, comparison = asyncio.run(_work(asked, loaded, others, wanted))
    if asked.html is not None:
        _write(asked.html, findings, zone, comparison)
    _note(findings, in_lines=asked.progress and asked.as_json)
    if asked.as_json:
        for said in _lines(findings, zone, comparison):
            click.echo(json.dumps(said, ensure_ascii=False))
    else:
        _print(findings, zone, comparison)


def _loaded(asked: Asked) -> Loaded:
    """The configuration, with the rules that are asked for."""
    loaded = load(asked.config)
    return loaded if asked.rules is None else replace(loaded, rules=load_rules([asked.rules]).rules)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f"there is no time zone {name!r}; write one like Europe/Berlin"
        raise click.BadParameter(message, param_hint="--zone") from None


async def _work(
    asked: Asked, loaded: Loaded, others: tuple[Rule, ...], wanted: Wanted
) -> tuple[Findings, Comparison | None]:
    found = await _found(asked, loaded, (*loaded.rules, *others), wanted)
    if not asked.as_json:
        click.echo(f"going over {described(found.history)} …", err=True)
    here = await _findings(asked, loaded, loaded.rules, found)
    if asked.against is None:
        return here, None
    return here, compare(here, await _findings(asked, loaded, others, found), str(asked.against))


async def _found(asked: Asked, loaded: Loaded, rules: tuple[Rule, ...], wanted: Wanted) -> Found:
    if asked.data is not None:
        return from_file(loaded, asked.data, wanted, skip_bad=asked.skip_bad)
    found = await from_store(loaded, rules, wanted)
    if found is None and asked.own:
        raise InputError([Problem("the own history", 0, 0, "no room in it ended within the range; name another one")])
    return await from_twilio(loaded, rules, wanted) if found is None else found


async def _findings(asked: Asked, loaded: Loaded, rules: tuple[Rule, ...], found: Found) -> Findings:
    policy = replace(policy_of(loaded), rules=rules)
    begin, end = found.history.begin, found.history.end
    said_at = -SAY_EVERY
    with shown("hours judged") as show:

        def progress(at: int) -> None:
            nonlocal said_at
            show((at - begin) // 3600)
            if asked.progress and asked.as_json and time.monotonic() - said_at >= SAY_EVERY:
                said_at = time.monotonic()
                done = round((at - begin) / (end - begin), 3)
                click.echo(json.dumps({"at": _iso(at), "event": "progress", "done": done}))

        return await go_over(
            found.history, policy, found.show, curves=0 if asked.html is None else CURVES, progress=progress
        )


def _write(path: Path, findings: Findings, zone: ZoneInfo, comparison: Comparison | None) -> None:
    from alertd.backtest.report import page

    try:
        path.write_text(page(findings, zone, comparison), encoding="utf-8")
    except OSError as error:
        message = f"cannot write {path} ({error.strerror}); name a file in a folder that can be written"
        raise AlertdError(message) from None


def _note(findings: Findings, *, in_lines: bool) -> None:
    """What is odd about the figures: on standard error, or where all is to come in lines, in lines."""
    failed = [f"rule {line(key)} failed: {line(error)}" for key, error in findings.errors.items()]
    for note in (*findings.notes, *(failed if in_lines else ())):
        if in_lines:
            click.echo(json.dumps({"event": "note", "message": note}, ensure_ascii=False))
        else:
            click.secho(f"note: {note}", fg="yellow", err=True)


# For machines


def _lines(findings: Findings, zone: ZoneInfo, comparison: Comparison | None) -> Iterator[dict[str, Any]]:
    """Every event and notification in the order of time, then the comparison, then the summary."""
    told: list[tuple[int, dict[str, Any]]] = []
    for event in findings.events:
        names = ("firing", "resolved") if event.event == "late" else (event.event,)
        told += [(event.at, _event(event, name)) for name in names]
    told += [(one.at, _notification(one)) for one in findings.notifications]
    for _, said in sorted(told, key=lambda pair: pair[0]):
        yield said
    if comparison is not None:
        yield _comparison(comparison, zone)
    yield {
        "event": "summary",
        "rooms": findings.rooms,
        "participants": findings.participants,
        "firing": len(findings.firings),
        "notifications": len(findings.notifications),
        "seconds": round(findings.seconds, 3),
    }


def _event(event: Event, name: str) -> dict[str, Any]:
    sample = event.sample
    return {
        "at": _iso(event.at),
        "event": name,
        "alert": event.labels.get("alertname", ""),
        "labels": event.labels,
        "fingerprint": event.fingerprint,
        "value": None if sample is None else sample.value,
        "matched": None if sample is None else sample.matched,
        "total": None if sample is None else sample.total,
        "rooms": None if sample is None else sample.rooms,
        "late": event.late,
    }


def _notification(notification: Notification) -> dict[str, Any]:
    return {
        "at": _iso(notification.at),
        "event": "notification",
        "receiver": notification.receiver,
        "reason": notification.reason,
        "status": notification.status,
        "alerts": [alert.fingerprint for alert in notification.alerts],
    }


def _comparison(comparison: Comparison, zone: ZoneInfo) -> dict[str, Any]:
    here, there = (tolls(side, zone)[0] for side in (comparison.here, comparison.there))
    return {
        "event": "comparison",
        "against": comparison.name,
        "only_here": [_firing(one) for one in comparison.lost],
        "only_there": [_firing(one) for one in comparison.gained],
        "both": [_firing(pair.here) | {"sooner_there": pair.sooner} for pair in comparison.both],
        "notifications": {"here": here.notifications, "there": there.notifications},
        "nights": {"here": len(here.nights), "there": len(there.nights)},
    }


def _firing(firing: Firing) -> dict[str, Any]:
    ends = None if firing.ends_at is None else _iso(firing.ends_at)
    known = {"alert": firing.labels.get("alertname", ""), "labels": firing.labels, "fingerprint": firing.fingerprint}
    return known | {"starts_at": _iso(firing.starts_at), "ends_at": ends, "late": firing.late}


def _iso(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


# For people


def _print(findings: Findings, zone: ZoneInfo, comparison: Comparison | None) -> None:
    for key, error in findings.errors.items():
        click.secho(f"rule {line(key)} failed: {line(error)}", fg="red", err=True)
    total, by_rule = tolls(findings, zone)
    click.echo(f"{_when(findings.begin, zone)} to {_when(findings.end, zone)} {zone.key}, {findings.source}\n")
    click.echo("\n".join(_table(findings, total, by_rule)))
    if findings.firings:
        click.echo()
    for firing in findings.firings[:MOST_FIRINGS]:
        click.echo(_sentence(firing, findings, zone))
    if len(findings.firings) > MOST_FIRINGS:
        click.echo(f"and {len(findings.firings) - MOST_FIRINGS:,} more")
    if comparison is not None:
        _print_comparison(comparison, zone)
    rooms = f"{findings.rooms:,} rooms with {findings.participants:,} participants"
    click.echo(f"\n{rooms}, judged in {findings.seconds:.1f} s", err=True)


def _table(findings: Findings, total: Toll, by_rule: Mapping[str, Toll]) -> Iterator[str]:
    names = {rule.key: line(rule.key, 60) for rule in findings.rules}
    rows = [(names.get(key, line(key, 60)), toll) for key, toll in by_rule.items()]
    rows.sort(key=lambda row: (-row[1].alerts, -row[1].firing))
    width = max([len(name) for name, _ in rows] + [4])
    yield click.style(f"{'rule':{width}}  alerts  notifications     firing  nights woken", bold=True)
    for name, toll in [*rows, ("all", total)]:
        text = (
            f"{name:{width}}  {toll.alerts:>6,}  {toll.notifications:>13,}  {_lasting(toll.firing):>9}"
            f"  {len(toll.nights):>12,}"
        )
        yield text if toll.alerts or name == "all" else click.style(text, dim=True)


def _sentence(firing: Firing, findings: Findings, zone: ZoneInfo) -> str:
    labels = " ".join(f"{name}={line(value, 60)}" for name, value in _own(firing.labels))
    lasted = _lasting(firing.seconds(findings.end))
    state = f"told late at {_when(firing.told_at, zone)}" if firing.late else "fired"
    over = f"for {lasted}" if firing.ends_at is not None else f"for {lasted}, and still does at the end"
    name = click.style(line(firing.labels.get("alertname", ""), 80), bold=True)
    return f"{_when(firing.starts_at, zone)}  {name} {labels}\n    {state} {over}: {line(firing.why, 300)}"


def _own(labels: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    return sorted((line(name, 60), value) for name, value in labels.items() if name != "alertname")


def _print_comparison(comparison: Comparison, zone: ZoneInfo) -> None:
    here, there = (tolls(side, zone)[0] for side in (comparison.here, comparison.there))
    click.secho(f"\nwith {line(comparison.name)} instead", bold=True)
    gained, lost, both = len(comparison.gained), len(comparison.lost), len(comparison.both)
    click.echo(f"alerts         {here.alerts:,} → {there.alerts:,}: {gained} gained, {lost} lost, {both} kept")
    click.echo(f"notifications  {here.notifications:,} → {there.notifications:,}")
    click.echo(f"nights woken   {len(here.nights)} → {len(there.nights)}")
    for sign, color, firings in (("+", "green", comparison.gained), ("-", "red", comparison.lost)):
        for firing in firings[:MOST_FIRINGS]:
            click.secho(f"{sign} {_brief(firing, zone)}", fg=color)
    for pair in comparison.both:
        if pair.sooner:
            when = f"{_lasting(abs(pair.sooner))} {'sooner' if pair.sooner > 0 else 'later'}"
            click.echo(f"~ {_brief(pair.here, zone)}: {when}")


def _brief(firing: Firing, zone: ZoneInfo) -> str:
    labels = " ".join(f"{name}={line(value, 60)}" for name, value in _own(firing.labels))
    return f"{_when(firing.starts_at, zone)}  {line(firing.labels.get('alertname', ''), 80)} {labels}"


def _when(at: int, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M}"


def _lasting(seconds: int) -> str:
    return format_duration(seconds if seconds < 60 else seconds // 60 * 60)
