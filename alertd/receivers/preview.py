"""What an integration would send, without sending it: the payload that it would make, and the same to read."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from alertd.receivers import alertmanager, console, email, slack
from alertd.receivers.console import ConsoleSettings
from alertd.receivers.email import EmailSettings, message
from alertd.receivers.receiver import Escapes, Overrides
from alertd.receivers.slack import SlackSettings
from alertd.receivers.webhook import WebhookSettings, cloudevent, payload
from alertd.templating import message_variables

if TYPE_CHECKING:
    from alertd.engine.alerts import Alert
    from alertd.engine.groups import Notification
    from alertd.receivers.alertmanager import Present
    from alertd.receivers.receiver import ReceiverSettings

_LINK = re.compile(r"<([^|>]+)\|([^>]*)>")


class Preview(NamedTuple):
    """What would be sent: `content` is plain data for JSON, `text` the same for people.

    Content is the body of a webhook or of a Slack message, `{headers, text, html}` of a mail, `{text}` of a terminal,
    and the list of alerts for an Alertmanager. `mistakes` are the templates that
    failed, by name, in words; the built-in text stands in for them.
    """

    content: dict[str, Any] | list[dict[str, Any]]
    text: str
    mistakes: dict[str, str]


def preview(settings: ReceiverSettings, notification: Notification, external_url: str, now: float) -> Preview:
    """What a receiver of these settings would send of the notification at `now` (seconds since the epoch)."""
    match settings:
        case WebhookSettings():
            return _webhook(settings, notification, external_url)
        case SlackSettings():
            return _slack(settings, notification, external_url)
        case EmailSettings():
            return _email(settings, notification, external_url, now)
        case ConsoleSettings():
            return _console(settings, notification, external_url)
    raise TypeError(f"there is no preview for {type(settings).__name__}")


def forwarded(alert: Alert, external_url: str, present: Present) -> Preview:
    """What an Alertmanager would be sent of the alert."""
    body = alertmanager.payload([alert], external_url, present)
    return Preview(body, json.dumps(body, indent=2, ensure_ascii=False), {})


class _Texts(NamedTuple):
    given: Mapping[str, str]
    mistakes: dict[str, str]


def _texts(
    settings: SlackSettings | EmailSettings | ConsoleSettings,
    escapes: Escapes,
    notification: Notification,
    external_url: str,
) -> _Texts:
    """What a person's templates say; those that gave no text have a mistake each, in their order."""
    names = [] if settings.template is None else settings.template.model_dump(exclude_none=True)
    found = Overrides("preview", settings.template, escapes).texts(message_variables(notification, external_url))
    failed = [name for name in names if name not in found.given]
    return _Texts(found.given, dict(zip(failed, found.mistakes, strict=True)))


def _webhook(settings: WebhookSettings, notification: Notification, external_url: str) -> Preview:
    body = (payload if settings.format == "alertmanager" else cloudevent)(notification, external_url)
    return Preview(body, json.dumps(body, indent=2, ensure_ascii=False), {})


def _slack(settings: SlackSettings, notification: Notification, external_url: str) -> Preview:
    texts = _texts(settings, slack.ESCAPES, notification, external_url)
    body = slack.payload(notification, external_url, texts.given)
    return Preview(body, "\n".join(_readable(body)), texts.mistakes)


def _email(settings: EmailSettings, notification: Notification, external_url: str, now: float) -> Preview:
    texts = _texts(settings, email.ESCAPES, notification, external_url)
    mail = message(notification, settings, external_url, now, texts.given)
    parts = {part.get_content_subtype(): part.get_content() for part in mail.iter_parts()}
    headers = {name: str(value) for name, value in mail.items() if not name.lower().startswith(("content", "mime"))}
    content = {"headers": headers, "text": parts["plain"], "html": parts["html"]}
    read = "\n".join(f"{name}: {value}" for name, value in headers.items())
    return Preview(content, f"{read}\n\n{parts['plain'].rstrip()}", texts.mistakes)


def _console(settings: ConsoleSettings, notification: Notification, external_url: str) -> Preview:
    texts = _texts(settings, console.ESCAPES, notification, external_url)
    words = console.message(notification, external_url, texts.given)
    return Preview({"text": words}, words.rstrip(), texts.mistakes)


def _readable(message: Mapping[str, Any]) -> Iterator[str]:
    """A Slack message as people see it there: its header, then each attachment beside its bar."""
    for block in message["blocks"]:
        yield from _lines(block)
    for bar in message["attachments"]:
        for block in bar["blocks"]:
            yield from (f"┃ {one}".rstrip() for one in _lines(block))
        yield "┃"


def _lines(block: Mapping[str, Any]) -> list[str]:
    if "fields" in block:
        return [_unescaped(field).replace("\n", " ") for field in block["fields"]]
    texts = [block["text"]] if "text" in block else block.get("elements", ())
    return [one for text in texts for one in _unescaped(text).split("\n")]


def _unescaped(text: Mapping[str, Any]) -> str:
    words = text["text"]
    return html.unescape(_LINK.sub(r"\2 (\1)", words) if text["type"] == "mrkdwn" else words)
