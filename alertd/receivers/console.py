"""How a terminal is told: the plain message on standard output, coloured only where somebody looks at it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from pydantic import Field

from alertd.errors import DeliveryError
from alertd.receivers import wording
from alertd.receivers.receiver import Escapes, Overrides, ReceiverSettings, Template
from alertd.receivers.wording import State
from alertd.settings import Table
from alertd.templating import message_variables

if TYPE_CHECKING:
    from alertd.engine.groups import Notification

_COLOURS: dict[State, str] = {"FIRING": "\x1b[1;31m", "RESOLVED": "\x1b[1;32m", "LATE": "\x1b[1;33m", "TEST": "\x1b[1m"}
_PLAIN = "\x1b[0m"

ESCAPES: Escapes = {"text": wording.text}
"""How values that a person's template puts into the message are escaped."""


class ConsoleTemplate(Table):
    """A person's own words."""

    text: Template | None = Field(None, description="Jinja2 template of the whole message; values are made harmless.")


class ConsoleSettings(ReceiverSettings):
    """Standard output of the daemon."""

    template: ConsoleTemplate | None = Field(None, description="Template that replaces the built-in message.")


class ConsoleReceiver:
    """Prints to standard output."""

    kind = "console"

    def __init__(self, settings: ConsoleSettings, external_url: str) -> None:
        self.send_resolved = settings.send_resolved
        self.retry_for = settings.retry_for
        self._external_url = external_url
        self._overrides = Overrides(self.kind, settings.template, ESCAPES)

    async def send(self, notification: Notification, now: float) -> str:  # noqa: ARG002 - what is printed has its own time
        """Print the message. Raises DeliveryError where standard output is closed or full."""
        texts = self._overrides.texts(message_variables(notification, self._external_url))
        words = message(notification, self._external_url, texts.given)
        if wants_colour(sys.stdout, os.environ):
            words = coloured(words, wording.state(notification))
        try:
            _write(sys.stdout, words.rstrip("\n") + "\n\n")
        except OSError as error:
            raise DeliveryError(f"cannot print: {error.strerror}", permanent=False) from None
        return texts.answer("printed")


def message(notification: Notification, external_url: str, texts: Mapping[str, str]) -> str:
    """The message; `texts` is a person's own `text`, if there is one."""
    return wording.marked_text(texts.get("text", ""), notification) or wording.plain(notification, external_url)


def wants_colour(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether the stream is a terminal and the person did not ask for none (https://no-color.org)."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def coloured(words: str, state: State) -> str:
    """The message with its first line in the colour of its state."""
    first, end, rest = words.partition("\n")
    return f"{_COLOURS[state]}{first}{_PLAIN}{end}{rest}"


def _write(stream: TextIO, words: str) -> None:
    """Write what the terminal's encoding can say, and `?` for the rest."""
    encoding = stream.encoding or "utf-8"
    stream.write(words.encode(encoding, "replace").decode(encoding))
    stream.flush()
