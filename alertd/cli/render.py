"""`alertd render`: what a rule would send to whom, with made-up figures and calls, without sending anything."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from alertd import logs
from alertd.cli.names import rules_named
from alertd.config import Config, Loaded, load
from alertd.config.mistakes import suggestion
from alertd.config.reading import read
from alertd.config.tomltext import parse_toml
from alertd.engine.alerts import Alert
from alertd.engine.durations import format_duration
from alertd.engine.groups import Notification, flush, joined
from alertd.engine.rules import Rule
from alertd.errors import AlertdError, Problem
from alertd.policy import forwards_of, integrations_of, policy_of
from alertd.pseudonyms import shown
from alertd.receivers.alertmanager import Present
from alertd.receivers.preview import Preview, forwarded, preview
from alertd.receivers.wording import text
from alertd.specimens import specimen

LONGEST = 1_000_000
"""Characters that are printed of one message; templates are bounded well below."""


class Rendered(NamedTuple):
    """What one integration would be sent on behalf of a rule."""

    rule: Rule
    receiver: str
    integration: str
    status: str
    shown: Preview


def print_rendered(
    config: Path, rule: str, receiver: str | None, *, resolved: bool, as_json: bool, html: Path | None
) -> int:
    """Print the messages; status 1 if a template failed. InputError if the configuration cannot be used."""
    logs.set_up("auto", "error")  # failed templates are told below, by their place
    loaded = load(config)
    rules = rules_named(rule, loaded.rules)
    _check_receiver(receiver, loaded.config)
    found = [one for each in rules for one in _rendered(loaded, each, receiver, resolved=resolved)]
    if as_json:
        click.echo(json.dumps([_as_json(one) for one in found], indent=2))
    else:
        _print(found, resolved=resolved)
    if html is not None:
        _write_html(html, found)
    problems = [problem for one in found for problem in _problems(loaded.config, one)]
    for problem in dict.fromkeys(problems):
        click.echo(str(problem), err=True)
    return 1 if problems else 0


def _check_receiver(name: str | None, config: Config) -> None:
    if name is not None and name not in config.receivers:
        known = sorted(config.receivers)
        raise click.BadParameter(f'there is no receiver "{name}"{suggestion(name, known)}', param_hint="--receiver")


def _rendered(loaded: Loaded, rule: Rule, receiver: str | None, *, resolved: bool) -> list[Rendered]:
    config, now = loaded.config, int(time.time()) // 60 * 60
    seen = now - rule.keep_firing_for if resolved else now  # it is over once it has been quiet for so long
    try:
        alert = specimen(rule, [account.name for account in config.accounts], shown(config, b"made up"), seen)
    except ValueError as error:
        raise AlertdError(f"{rule.source}: {error}") from None
    found = []
    for told in _notifications(loaded, rule, alert, receiver, (seen, now), resolved=resolved):
        settings = next(one for name, _, one in integrations_of(config, told.receiver) if name == told.integration)
        what = preview(settings, told, config.http.address, now)
        found.append(Rendered(rule, told.receiver, told.integration, told.status, what))
    over = _over(rule, alert, now) if resolved else alert
    return [*found, *_forwarded(loaded, rule, over, receiver, now)]


def _over(rule: Rule, alert: Alert, now: int) -> Alert:
    quiet = format_duration(rule.keep_firing_for)
    return msgspec.structs.replace(alert, state="resolved", ends_at=now, reason=f"not elevated for {quiet}")


def _forwarded(loaded: Loaded, rule: Rule, alert: Alert, receiver: str | None, now: int) -> Iterator[Rendered]:
    """What other Alertmanagers are sent of the alert: those that the routes lead to, or `receiver`'s if it is named."""
    config = loaded.config
    what = forwarded(alert, config.http.address, Present(now, now))
    routes = [place.route.receiver for place in policy_of(loaded).tree.match(alert.labels)]
    for name in dict.fromkeys([receiver] if receiver else routes):
        for integration, _ in forwards_of(config, name):
            yield Rendered(rule, name, integration, alert.state, what)


def _notifications(
    loaded: Loaded, rule: Rule, alert: Alert, receiver: str | None, times: tuple[int, int], *, resolved: bool
) -> Iterator[Notification]:
    """What the routes make of the alert, in one group for each; all to `receiver` if one is named.

    `times` are when it was last seen and now.
    """
    policy, (seen, now) = policy_of(loaded), times
    for group in joined({}, policy.tree, alert, seen):
        place = policy.tree.at(group.route) or policy.tree.root
        told = msgspec.structs.replace(group, receiver=receiver or group.receiver)
        integrations = policy.integrations.get(told.receiver, ())
        after, notifications, _ = flush(told, place.route, {alert.fingerprint: alert}, integrations, seen)
        if resolved and after is not None:
            over = {alert.fingerprint: _over(rule, alert, now)}
            _, notifications, _ = flush(after, place.route, over, integrations, now)
        yield from notifications


def _as_json(one: Rendered) -> dict[str, Any]:
    return {
        "rule": one.rule.key,
        "source": one.rule.source,
        "made_up": True,
        "receiver": one.receiver,
        "integration": one.integration,
        "status": one.status,
        "content": one.shown.content,
        "mistakes": one.shown.mistakes,
    }


def _print(found: Sequence[Rendered], *, resolved: bool) -> None:
    if not found:
        what = "a recovery" if resolved else "it"
        click.echo(f"the receivers of this rule have no integration that is told of {what}", err=True)
    click.secho("Figures and calls are made up; nothing is sent.", dim=True, err=True)
    for one in found:
        click.secho(f"\n{one.integration} · {one.rule.alert} ({one.rule.source})", bold=True)
        click.echo("")
        click.echo(text(one.shown.text, LONGEST))


def _write_html(path: Path, found: Sequence[Rendered]) -> None:
    """Write the HTML part of the first mail."""
    contents = [one.shown.content for one in found]
    pages = [content["html"] for content in contents if isinstance(content, dict) and "html" in content]
    if not pages:
        raise AlertdError("--html: this rule sends no email; name a --receiver that has [[receivers.email]]")
    try:
        path.write_text(pages[0], encoding="utf-8")
    except OSError as error:
        raise AlertdError(f"--html: cannot write {path} ({error.strerror})") from None


def _problems(config: Config, one: Rendered) -> Iterator[Problem]:
    """The templates that failed, where they stand in the configuration."""
    if not one.shown.mistakes:
        return
    document = read(config.path, parse_toml)
    receiver, _, place = one.integration.rpartition("/")
    kind, _, number = place.rstrip("]").partition("[")
    names = list(config.receivers)
    for name, mistake in one.shown.mistakes.items():
        path = ("receivers", names.index(receiver), kind, int(number), "template", name)
        yield document.problem(path, f"receivers.{one.integration}: {mistake}")
