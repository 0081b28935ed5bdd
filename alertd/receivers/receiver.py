"""What every receiver is: the settings they share, the one thing they do, and how templates replace their words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, NamedTuple, Protocol
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from alertd.receivers.wording import line
from alertd.settings import Duration, Secret, Table
from alertd.templating import MESSAGE_LIMIT, MESSAGE_VARIABLES, Render, compile_text

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alertd.engine.groups import Notification


class Receiver(Protocol):
    """One way to tell people or systems; for `retry_for` seconds after its making a notification is tried again."""

    kind: str
    send_resolved: bool
    retry_for: int

    async def send(self, notification: Notification, now: float) -> str:
        """Send at `now` (seconds since the epoch) and return in one line what the other side answered.

        Raises alertd.errors.DeliveryError where it did not take the notification.
        """


class ReceiverSettings(Table):
    """What each receiver can be told besides where to send; durations in seconds."""

    send_resolved: bool = Field(True, description="Whether to tell that alerts are over.")
    timeout: Duration = Field(10, ge=1, le=300, description="How long one attempt may take.")
    retry_for: Duration = Field(86400, ge=0, description="How long to go on trying when the other side fails.")


def _http(address: SecretStr) -> SecretStr:
    words = address.get_secret_value()
    try:
        parts = urlsplit(words)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or not words.isprintable() or " " in words:
        raise ValueError("write a whole address that begins with https:// or http://")
    return address


Address = Annotated[Secret, AfterValidator(_http)]
"""Where to POST; a secret, because such addresses hold tokens."""


def _compiles(source: str) -> str:
    compile_text(source, name="the template", limit=MESSAGE_LIMIT, known=MESSAGE_VARIABLES)
    return source


Template = Annotated[str, AfterValidator(_compiles)]
"""A Jinja2 template over MESSAGE_VARIABLES that is known to compile."""


class Texts(NamedTuple):
    """What a person's templates gave, by name, and in one line each what went wrong with the others."""

    given: Mapping[str, str]
    mistakes: tuple[str, ...]

    def answer(self, said: str) -> str:
        """The other side's answer, with what went wrong on our side behind it."""
        return "; ".join([said, *self.mistakes])


Escapes = Mapping[str, Callable[[str], str] | bool]
"""For each template how to escape the values put into it: in a way of its own, or (True) as HTML."""


class Overrides:
    """A person's templates for one receiver. One that fails never costs the message: the built-in text goes instead."""

    def __init__(self, kind: str, template: Table | None, escapes: Escapes) -> None:
        self._kind = kind
        sources = {} if template is None else template.model_dump(exclude_none=True)
        self._renders = {name: _compiled(source, name, escapes.get(name)) for name, source in sources.items()}

    def texts(self, variables: Mapping[str, object]) -> Texts:
        """What the templates say; a failure is logged and named in the answer."""
        given, mistakes = {}, []
        for name, render in self._renders.items():
            try:
                given[name] = render(variables)
            except ValueError as error:
                said = line(str(error), 200)
                _log().warning("template_failed", receiver=self._kind, template=name, error=said)
                mistakes.append(f"the template {name} failed ({said}), the built-in text was sent")
        return Texts(given, tuple(mistakes))


def _log() -> FilteringBoundLogger:
    """The log; `alertd check` reads settings and never logs, and structlog takes longer to load than all the rest."""
    import structlog

    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def _compiled(source: str, name: str, escape: Callable[[str], str] | bool | None) -> Render:
    way = escape if callable(escape) else None
    return compile_text(source, name=f"template {name}", autoescape=escape is True, limit=MESSAGE_LIMIT, escape=way)
