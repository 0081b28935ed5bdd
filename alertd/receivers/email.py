"""How a mailbox is told: one message a notification, text and HTML, all of a group in one thread.

Headers: RFC 5322 (Message-ID, References), RFC 2919 (List-Id), RFC 3834 (Auto-Submitted). Whatever a label says, a
header is one line: values lose their line ends before, and Python's email policy refuses any that is left.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.headerregistry import HeaderRegistry, MessageIDHeader
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, getaddresses, parseaddr
from functools import cache
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from alertd.errors import DeliveryError
from alertd.receivers import wording
from alertd.receivers.receiver import Escapes, Overrides, ReceiverSettings, Template
from alertd.receivers.wording import State
from alertd.settings import Secret, Table
from alertd.templating import Render, compile_text, message_variables

if TYPE_CHECKING:
    from aiosmtplib import SMTPResponse

    from alertd.engine.groups import Notification

COLOURS: dict[State, str] = {"FIRING": "#d92d20", "RESOLVED": "#12825a", "LATE": "#6b7280", "TEST": "#6b7280"}
HTML_LIMIT = 1024 * 1024
"""Bytes; ten alerts with the longest texts that are told, every character of them escaped, stay below."""
_ADDRESS = re.compile(r"[!#-'*+\-./0-9=?A-Z^_`a-z{|}~]+@[A-Za-z0-9.-]*[A-Za-z0-9]")
_BODY = re.compile(r"<body\b[^>]*>", re.IGNORECASE)
_SMARTHOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


def _address(written: str) -> str:
    mailboxes = getaddresses([written])
    if len(mailboxes) != 1 or not _ADDRESS.fullmatch(mailboxes[0][1]) or not written.isprintable():
        raise ValueError("write one address, like oncall@example.com or On Call <oncall@example.com>")
    return written


def _smarthost(written: str) -> str:
    found = _SMARTHOST.fullmatch(written)
    if found is None or not 0 < int(found[2]) < 65536:
        raise ValueError("write host:port, such as localhost:25 or smtp.example.com:587")
    return written


def _list_id(written: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.-]+", written):
        raise ValueError("write an identifier like alerts.example.com")
    return written


def _readable(path: Path) -> Path:
    import ssl

    try:
        ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"cannot read certificates from {path}: {error.strerror or error}") from None
    return path


Mailbox = Annotated[str, AfterValidator(_address)]

ESCAPES: Escapes = {"html": True, "text": wording.text}
"""How values that a person's templates put into a part are escaped; True: as HTML."""


class EmailTemplate(Table):
    """A person's own words."""

    subject: Template | None = Field(None, description="Jinja2 template of the subject.")
    text: Template | None = Field(None, description="Jinja2 template of the text part.")
    html: Template | None = Field(None, description="Jinja2 template of the HTML part; values are escaped.")


class EmailSettings(ReceiverSettings):
    """Mailboxes, and the server that takes mail for them."""

    to: list[Mailbox] = Field(min_length=1, description="Who is told.")
    sender: Mailbox = Field(alias="from", description="Whom the mail is from.")
    smarthost: Annotated[str, AfterValidator(_smarthost)] = Field(description="The mail server, host:port.")
    starttls: bool | None = Field(None, description="Whether to insist on STARTTLS; default true beyond loopback.")
    tls: bool = Field(False, description="Whether the connection is TLS from its first byte (port 465).")
    username: str | None = Field(None, description="Login at the server.")
    password: Secret | None = Field(None, description="Its password.")
    ca_file: Annotated[Path, AfterValidator(_readable)] | None = Field(
        None, description="PEM file of the authorities to trust instead of the system's."
    )
    list_id: Annotated[str, AfterValidator(_list_id)] | None = Field(
        None, description="List-Id to filter by; default alertd. and the sender's domain."
    )
    template: EmailTemplate | None = Field(None, description="Templates that replace the built-in texts.")

    @property
    def server(self) -> tuple[str, int]:
        """Host (without brackets) and port of the smarthost."""
        host, _, port = self.smarthost.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def insists_on_starttls(self) -> bool:
        """What `starttls` says, or else: yes beyond loopback, unless the connection is TLS anyway."""
        return self.starttls if self.starttls is not None else not (self.tls or _loopback(self.server[0]))

    @property
    def domain(self) -> str:
        """The sender's domain."""
        return parseaddr(self.sender)[1].rpartition("@")[2]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.tls and self.starttls:
            raise ValueError("tls and starttls exclude each other; port 465 takes tls, 587 and 25 take starttls")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together; one of them is missing")
        open_line = not (self.tls or self.insists_on_starttls or _loopback(self.server[0]))
        if self.password is not None and open_line:
            raise ValueError("the password would travel unencrypted; set starttls = true or tls = true")
        return self


class EmailReceiver:
    """Hands messages to a mail server."""

    kind = "email"

    def __init__(self, settings: EmailSettings, external_url: str) -> None:
        self.send_resolved = settings.send_resolved
        self.retry_for = settings.retry_for
        self._settings = settings
        self._external_url = external_url
        self._overrides = Overrides(self.kind, settings.template, ESCAPES)

    async def send(self, notification: Notification, now: float) -> str:
        """Hand the message over and return the server's answer, with whom it refused. Raises DeliveryError.

        Permanent for what SMTP calls permanent (5yz, RFC 5321 4.2.1) once the connection stands; tried again for 4yz,
        time-outs, broken connections, and a server that does not offer the STARTTLS that was asked for.
        """
        from asyncio import timeout

        import aiosmtplib

        texts = self._overrides.texts(message_variables(notification, self._external_url))
        mail = message(notification, self._settings, self._external_url, now, texts.given)
        try:
            async with timeout(self._settings.timeout):
                refused, answer = await self._hand_over(mail)
        except (OSError, aiosmtplib.SMTPException) as error:
            raise self._failed(error) from None
        return texts.answer(wording.line(f"{answer}{_refusals(refused)}", 300))

    async def _hand_over(self, mail: EmailMessage) -> tuple[dict[str, SMTPResponse], str]:
        from ssl import create_default_context

        import aiosmtplib

        settings = self._settings
        host, port = settings.server
        tls = settings.tls or settings.insists_on_starttls
        return await aiosmtplib.send(
            mail,
            sender=parseaddr(settings.sender)[1],
            recipients=[parseaddr(mailbox)[1] for mailbox in settings.to],
            hostname=host,
            port=port,
            timeout=settings.timeout,
            use_tls=settings.tls,
            start_tls=settings.insists_on_starttls,
            tls_context=create_default_context(cafile=settings.ca_file) if tls else None,
            username=settings.username,
            password=settings.password.get_secret_value() if settings.password else None,
        )

    def _failed(self, error: Exception) -> DeliveryError:
        import aiosmtplib

        host = self._settings.server[0]
        if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
            codes = [refused.code for refused in error.recipients]
            said = _refusals({refused.recipient: (refused.code, refused.message) for refused in error.recipients})
            return DeliveryError(f"{host} took no recipient{said}", permanent=all(code >= 500 for code in codes))
        if isinstance(error, TimeoutError):
            return DeliveryError(f"{host} did not answer within {self._settings.timeout} s", permanent=False)
        if isinstance(error, aiosmtplib.SMTPResponseException):
            permanent = error.code >= 500 and not isinstance(error, aiosmtplib.SMTPConnectError)
            return DeliveryError(f"{host} answered {error.code} {wording.line(error.message)}", permanent=permanent)
        return DeliveryError(f"the connection to {host} failed: {wording.line(str(error))}", permanent=False)


def message(
    notification: Notification, settings: EmailSettings, external_url: str, now: float, texts: Mapping[str, str]
) -> EmailMessage:
    """The mail, sent at `now` (epoch seconds); `texts` are a person's subject, text and html where there are any."""
    mail = EmailMessage(policy=SMTP.clone(header_factory=_headers()))
    subject = wording.marked_title(wording.line(texts.get("subject", ""), 300), notification)
    mail["Subject"] = subject or wording.headline(notification)
    mail["From"] = settings.sender
    mail["To"] = ", ".join(settings.to)
    mail["Date"] = format_datetime(datetime.fromtimestamp(int(now), UTC))
    mail["Message-ID"] = _identifier(notification.id, settings.domain)
    mail["In-Reply-To"] = mail["References"] = _identifier(f"group {notification.group_key}", settings.domain)
    mail["List-Id"] = f"<{settings.list_id or f'alertd.{settings.domain}'}>"
    mail["Auto-Submitted"] = "auto-generated"
    text = wording.marked_text(texts.get("text", ""), notification)
    mail.set_content(text or wording.plain(notification, external_url))
    own_html = _marked_html(texts.get("html", ""), notification)
    mail.add_alternative(own_html or html(notification, external_url), subtype="html")
    return mail


def _marked_html(page: str, notification: Notification) -> str:
    """A person's own page; that of a drill says on top that it is one."""
    if not page or not wording.is_drill(notification):
        return page
    mark = f"<p><strong>TEST · {wording.DRILL}</strong></p>"
    return _BODY.sub(lambda body: f"{body[0]}{mark}", page, count=1) if _BODY.search(page) else f"{mark}{page}"


def _headers() -> HeaderRegistry:
    """Python's headers, with ids that are never folded into encoded words, however long they are."""
    registry = HeaderRegistry()
    for name in ("references", "in-reply-to"):
        registry.map_to_type(name, MessageIDHeader)  # type: ignore[arg-type]  # typeshed asks for a base that Python does not have
    return registry


def html(notification: Notification, external_url: str) -> str:
    """The HTML part: it fetches nothing from outside, and reads in light, in dark and on a telephone."""
    variables = message_variables(notification, external_url) | {
        "headline": wording.headline(notification),
        "state": wording.state(notification),
        "colours": COLOURS,
        "drill": wording.DRILL if wording.is_drill(notification) else "",
        "stories": wording.stories(notification, external_url),
        "left_out": wording.left_out(notification),
        "page": wording.web_address(f"{external_url.rstrip('/')}/alerts"),
        "why_sent": wording.reason(notification),
    }
    return _layout()(variables)


@cache
def _layout() -> Render:
    source = Path(__file__).with_name("templates").joinpath("email.html").read_text(encoding="utf-8")
    return compile_text(source, name="email.html", autoescape=True, limit=HTML_LIMIT)


def _identifier(of: str, domain: str) -> str:
    return f"<{sha256(of.encode('utf-8', 'replace')).hexdigest()[:24]}.alertd@{domain}>"


def _refusals(refused: Mapping[str, tuple[int, str]]) -> str:
    said = [f"{mailbox} ({code} {wording.line(words, 100)})" for mailbox, (code, words) in refused.items()]
    return f"; refused: {', '.join(said)}" if said else ""


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
