"""What a failed request means: whether asking again can help, how long to wait, and how to say it to a person."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

import aiohttp
import msgspec
from yarl import URL

from alertd.errors import CredentialsError, NotFoundError, SourceError

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
LONGEST_RETRY_AFTER = 300.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a request gave nothing.

    `reason` is a short slug or the HTTP status, for metrics; `text` is for people; `again` says that another try can
    help, `wait` for how many seconds the server asked to be left alone; `error` is what to raise in the end;
    `answered` says that only this request is at fault: Twilio is there, and takes the account's key.
    """

    reason: str
    text: str
    again: bool = False
    wait: float = 0.0
    error: type[SourceError] = SourceError
    answered: bool = False


def unanswered(failure: Exception) -> Trouble:
    """The trouble behind an exception of aiohttp or the socket below it: no complete answer came."""
    match failure:
        case TimeoutError():
            return Trouble("timeout", "no complete answer within the time-out", again=True)
        case aiohttp.ClientConnectorCertificateError():
            return Trouble("tls", f"{_tls(failure)}: {_certificate_fault(failure)}")
        case aiohttp.ClientSSLError():
            return Trouble("tls", f"{_tls(failure)}: the handshake failed ({_os_fault(failure)})", again=True)
        case aiohttp.ClientConnectorDNSError():
            text = f"the name {failure.host} could not be resolved; check base_url and this machine's DNS"
            return Trouble("dns", text, again=True)
        case aiohttp.ClientConnectorError():
            text = (
                f"no connection to {failure.host}:{failure.port} ({_os_fault(failure)}); check base_url and firewalls"
            )
            return Trouble("connection", text, again=True)
        case aiohttp.ClientPayloadError():
            return Trouble("truncated", "the answer was cut short", again=True)
        case _:
            return Trouble("connection", f"the connection broke ({type(failure).__name__})", again=True)


def refused(status: int, headers: Mapping[str, str], body: bytes, now: float) -> Trouble:
    """The trouble that a status other than 200 stands for; `now` is the server's time, for a Retry-After date."""
    text = _told(status, headers, body)
    if status in (401, 403):
        text = f"Twilio refused the API key ({text}); check api_key and api_key_secret of this account"
        return Trouble(str(status), text, error=CredentialsError)
    if status == 404:
        return Trouble(str(status), text, error=NotFoundError, answered=True)
    if 300 <= status < 400:
        text = f"{text}: a redirect{_destination(headers)}, which is not followed; set base_url to the final address"
        return Trouble(str(status), text)
    if status in (408, 429) or status >= 500:
        asked = headers.get("Retry-After", "") if status in (429, 503) else ""
        return Trouble(str(status), text, again=True, wait=retry_after(asked, now))
    return Trouble(str(status), text, answered=status >= 400)


def retry_after(header: str, now: float) -> float:
    """Seconds to wait by a Retry-After header, which is a number of seconds or an HTTP date (RFC 9110, 10.2.3).

    0 if it is missing, past or unreadable; never more than LONGEST_RETRY_AFTER.
    """
    if header.isascii() and header.isdigit():
        # float() reads any number of digits; int() has a limit.
        return min(float(header), LONGEST_RETRY_AFTER)
    date = http_date(header)
    return 0.0 if date is None else max(0.0, min(date - now, LONGEST_RETRY_AFTER))


def http_date(header: str) -> float | None:
    """Seconds since the epoch of an HTTP date (RFC 9110, 5.6.7), None if it is none."""
    try:
        moment = parsedate_to_datetime(header)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def pause(tries: int, dice: random.Random) -> float:
    """Seconds to wait after so many failed tries: exponential back-off with full jitter.

    Full jitter: a uniform draw from 0 to the doubled bound (Marc Brooker, "Exponential Backoff And Jitter", AWS 2015).
    """
    return dice.uniform(0.0, min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (tries - 1)))


def _tls(failure: aiohttp.ClientConnectorError) -> str:
    return f"TLS problem with {failure.host}:{failure.port}"


def _certificate_fault(failure: aiohttp.ClientConnectorCertificateError) -> str:
    fault = getattr(failure.certificate_error, "verify_message", "") or "not trusted"
    remedy = "check this machine's CA certificates and clock, and any proxy between"
    return f"its certificate was not accepted ({fault}); {remedy}"


def _os_fault(failure: aiohttp.ClientConnectorError) -> str:
    return failure.os_error.strerror or type(failure.os_error).__name__


def _destination(headers: Mapping[str, str]) -> str:
    try:
        host = URL(headers.get("Location", "")).raw_host
    except ValueError:
        host = None
    return f" to {host}" if host else ""


def _told(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """What the server said: `HTTP 429, Twilio error 20429: Too Many Requests, request RQ…`."""
    parts = [f"HTTP {status}"]
    code, message = _twilio_error(body)
    if code is not None:
        parts[0] += f", Twilio error {code}"
    if message:
        parts[0] += f": {message}"
    if request := _plain(headers.get("Twilio-Request-Id", "")):
        parts.append(f"request {request}")
    return ", ".join(parts)


def _twilio_error(body: bytes) -> tuple[int | None, str]:
    """Code and message of an error body, in Twilio's own shape or that of RFC 9457 (title, detail)."""
    try:
        told = msgspec.json.decode(body, type=dict[str, object])
    except (ValueError, RecursionError):
        return None, ""
    code = told.get("code")
    message = told.get("message") or told.get("detail") or told.get("title")
    return (code if isinstance(code, int) else None), (_plain(message) if isinstance(message, str) else "")


def _plain(text: str) -> str:
    # The other side's words end up in logs and messages: one line, printable, and not too many.
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]
