"""`alertd receivers test`: a drill marked TEST straight through receivers, and what the other sides answered."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import click
from aiohttp import ClientSession

from alertd import logs
from alertd.cli.names import rule_named
from alertd.config import Config, load
from alertd.config.mistakes import suggestion
from alertd.drill import Drill, drill
from alertd.engine.durations import format_duration
from alertd.errors import DeliveryError
from alertd.insights.client import open_session
from alertd.policy import forwards_of, integrations_of, members_of, receivers_of
from alertd.receivers.alertmanager import Present

COLOURS = {"sent": "green", "failed": "red"}
REFUSED = {
    "slack": "look at webhook_url: it may have been revoked, or the channel is archived; make a new one in Slack",
    "email": "look at smarthost, at username and password, and at from and to",
    "webhook": "look at url and secret, and at the log of the other side",
    "alertmanager": "look at url, at username and password or bearer_token, and at the log of the other side",
}
"""What to do about what is refused for good, by the kind of receiver."""


class Answer(NamedTuple):
    """How it went with one integration: what the other side answered, or why it did not, and what to do about it."""

    integration: str
    result: Literal["sent", "failed"]
    answer: str
    remedy: str = ""


class Way(NamedTuple):
    """How an integration is told: its kind, how long that would be tried, and a call for each of its other sides."""

    kind: str
    patience: str
    sends: Sequence[Callable[[], Awaitable[str]]]


def test_receivers(config: Path, name: str, *, rule: str | None, as_json: bool) -> int:
    """Send a drill to a receiver, or to one integration of it, and print the answers; status 1 if one did not take it.

    InputError if the configuration cannot be used, click.BadParameter if there is no such receiver or rule.
    """
    logs.set_up("auto", "error")  # templates that fail are told with the answer
    loaded = load(config)
    integrations = _named(name, loaded.config)
    receiver = name if name in loaded.config.receivers else name.rpartition("/")[0]
    told = None if rule is None else rule_named(rule, loaded.rules)
    test = drill(loaded, receiver, told, int(time.time()))
    if rule is not None and receiver not in test.led_to:
        click.echo(f"notice: the routes lead {rule} to {', '.join(test.led_to)}, not to {receiver}", err=True)
    if not integrations:
        click.echo(f"alertd: the receiver {receiver} has no integrations, so nobody is told", err=True)
    with redirect_stdout(sys.stderr) if as_json else nullcontext():  # where a console is told, JSON must stay JSON
        answers = asyncio.run(_ask_all(loaded.config, integrations, test))
    _print(answers, as_json=as_json)
    return 0 if answers and all(one.result == "sent" for one in answers) else 1


def _named(name: str, config: Config) -> list[str]:
    """The integrations of a receiver, or the one that is called so."""
    all_of = {receiver: _all_of(config, receiver) for receiver in config.receivers}
    if name in all_of:
        return all_of[name]
    known = [one for receiver, integrations in all_of.items() for one in (receiver, *integrations)]
    if name not in known:
        complaint = f'there is no receiver or integration "{name}"{suggestion(name, known)}'
        raise click.BadParameter(f"{complaint}\nThere are {', '.join(known)}.", param_hint="NAME")
    return [name]


def _all_of(config: Config, receiver: str) -> list[str]:
    """The names of a receiver's integrations."""
    told = [name for name, _, _ in integrations_of(config, receiver)]
    return told + [name for name, _ in forwards_of(config, receiver)]


async def _ask_all(config: Config, integrations: Sequence[str], test: Drill) -> list[Answer]:
    """All at once, each within its own time-out; the answers in their order."""
    async with open_session() as session:
        ways = _ways(config, session, test)
        return list(await asyncio.gather(*(_ask(name, ways[name]) for name in integrations)))


def _ways(config: Config, session: ClientSession, test: Drill) -> dict[str, Way]:
    """How each integration is told of the drill; an Alertmanager is told of an alert that ends by itself."""
    now = time.time()
    ways = {
        name: Way(
            receiver.kind,
            f"for {format_duration(receiver.retry_for)}",
            [partial(receiver.send, test.notification(name), now)],
        )
        for name, receiver in receivers_of(config, session).items()
    }
    for name, members in members_of(config, session).items():
        sends = [partial(member.send, [test.passing()], Present(now, now)) for member in members]
        ways[name] = Way("alertmanager", "as long as an alert fires", sends)
    return ways


async def _ask(integration: str, way: Way) -> Answer:
    tried = await asyncio.gather(*(send() for send in way.sends), return_exceptions=True)
    failed = [one for one in tried if isinstance(one, BaseException)]
    told = [_said(one) for one in tried]
    if len(told) > 1:
        told = [f"member {nth} of {len(told)}: {one}" for nth, one in enumerate(told, start=1)]
    if failed:
        return Answer(integration, "failed", "; ".join(told), _remedy(way, failed[0]))
    return Answer(integration, "sent", "; ".join(told))


def _said(result: str | BaseException) -> str:
    """The answer, or the error; one that is no DeliveryError is alertd's own, and must not hide the other answers."""
    if isinstance(result, str | DeliveryError):
        return str(result)
    return f"{type(result).__name__}: {result}"


def _remedy(way: Way, error: BaseException) -> str:
    if not isinstance(error, DeliveryError):
        return "please report this: alertd is wrong"
    if error.permanent:
        return REFUSED.get(way.kind, "look at its settings")
    return f"see whether it is up and can be reached from here; alertd would try again {way.patience}"


def _print(answers: Sequence[Answer], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([one._asdict() for one in answers], indent=2))
        return
    for one in answers:
        said = click.style(one.answer, fg=COLOURS[one.result])
        click.echo(f"{one.integration}: {said}{f'; {one.remedy}' if one.remedy else ''}")
