"""What a configuration comes to: the policy that decisions follow, and the receivers that notifications go through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from alertd.config import Config, Loaded
from alertd.engine.groups import Integration
from alertd.engine.outcome import BLIND_AFTER, Policy
from alertd.engine.routes import Tree
from alertd.engine.windows import MINUTE
from alertd.receivers import FORWARDING, KINDS, Receiver, ReceiverSettings, build
from alertd.receivers.alertmanager import AlertmanagerMember, AlertmanagerSettings

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from alertd.settings import Table


def policy_of(loaded: Loaded, *, heartbeat: bool = False) -> Policy:
    """The policy of a configuration with its rules; looks that are rare leave an account unseen for longer.

    What runs beats (`heartbeat`), what goes over the past does not.
    """
    config = loaded.config
    return Policy(
        rules=loaded.rules,
        tree=Tree(config.route),
        integrations=_integrations(config),
        forwards={receiver: tuple(name for name, _ in forwards_of(config, receiver)) for receiver in config.receivers},
        inhibit_rules=config.inhibit_rules,
        intervals=config.intervals,
        heartbeat=heartbeat,
        accounts=tuple(account.name for account in config.accounts),
        blind_after=max(BLIND_AFTER, 3 * config.collect.every),
        listed_after=-(-config.collect.every // MINUTE) + 1,
    )


def receivers_of(config: Config, session: ClientSession) -> dict[str, Receiver]:
    """Every integration by its name, such as `oncall/slack[0]`; those that speak HTTP do so through `session`."""
    address = config.http.address
    return {
        name: build(kind, settings, session=session, external_url=address)
        for receiver in config.receivers
        for name, kind, settings in integrations_of(config, receiver)
    }


def members_of(config: Config, session: ClientSession) -> dict[str, tuple[AlertmanagerMember, ...]]:
    """The Alertmanagers that alerts are forwarded to, by the name of the integration (`central/alertmanager[0]`)."""
    address = config.http.address
    return {
        name: tuple(AlertmanagerMember(settings, url, session, address) for url in settings.url)
        for receiver in config.receivers
        for name, settings in forwards_of(config, receiver)
    }


def integrations_of(config: Config, receiver: str) -> Iterator[tuple[str, str, ReceiverSettings]]:
    """The integrations of one receiver that get notifications: name (`oncall/slack[0]`), kind, settings."""
    for name, kind, settings in _named(config, receiver):
        if kind in KINDS:
            yield name, kind, settings  # type: ignore[misc]  # SETTINGS says which Table it is


def forwards_of(config: Config, receiver: str) -> Iterator[tuple[str, AlertmanagerSettings]]:
    """The integrations of one receiver that alerts are forwarded to: name (`central/alertmanager[0]`), settings."""
    for name, kind, settings in _named(config, receiver):
        if kind in FORWARDING:
            yield name, settings  # type: ignore[misc]  # SETTINGS says which Table it is


def _named(config: Config, receiver: str) -> Iterator[tuple[str, str, Table]]:
    """All integrations of one receiver; their names are counted by kind, from 0."""
    seen: Counter[str] = Counter()
    for kind, settings in config.receivers[receiver]:
        yield f"{receiver}/{kind}[{seen[kind]}]", kind, settings
        seen[kind] += 1


def _integrations(config: Config) -> dict[str, tuple[Integration, ...]]:
    return {
        receiver: tuple(
            Integration(name, settings.send_resolved) for name, _, settings in integrations_of(config, receiver)
        )
        for receiver in config.receivers
    }
