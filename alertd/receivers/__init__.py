"""Which kinds of receiver there are, what each can be told, and how one is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from alertd.receivers.alertmanager import AlertmanagerSettings
from alertd.receivers.console import ConsoleReceiver, ConsoleSettings
from alertd.receivers.email import EmailReceiver, EmailSettings
from alertd.receivers.receiver import Receiver, ReceiverSettings
from alertd.receivers.slack import SlackReceiver, SlackSettings
from alertd.receivers.webhook import WebhookReceiver, WebhookSettings
from alertd.settings import Table

if TYPE_CHECKING:
    import aiohttp

__all__ = ["FORWARDING", "KINDS", "SETTINGS", "Kind", "Receiver", "ReceiverSettings", "build"]


class Kind(NamedTuple):
    """A kind of receiver: the model of its settings, and its maker (settings, HTTP session, external URL)."""

    settings: type[ReceiverSettings]
    make: Callable[[Any, aiohttp.ClientSession, str], Receiver]


KINDS: dict[str, Kind] = {
    "slack": Kind(SlackSettings, SlackReceiver),
    "email": Kind(EmailSettings, lambda settings, _session, external_url: EmailReceiver(settings, external_url)),
    "webhook": Kind(WebhookSettings, WebhookReceiver),
    "console": Kind(ConsoleSettings, lambda settings, _session, external_url: ConsoleReceiver(settings, external_url)),
}
FORWARDING: dict[str, type[AlertmanagerSettings]] = {"alertmanager": AlertmanagerSettings}
"""The kinds that get no notifications: the alerts themselves are sent there, see alertd.forward."""
SETTINGS: dict[str, type[Table]] = {**{name: kind.settings for name, kind in KINDS.items()}, **FORWARDING}
"""What a configuration may say of each kind."""


def build(kind: str, settings: ReceiverSettings, *, session: aiohttp.ClientSession, external_url: str) -> Receiver:
    """The receiver of a kind in KINDS with settings of its model; messages link to `external_url`."""
    return KINDS[kind].make(settings, session, external_url)
