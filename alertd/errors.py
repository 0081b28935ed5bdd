"""The error family: every failure that alertd names, and whom it concerns.

AlertdError
├── InputError            a file or an argument is wrong; carries every problem found, each with its place
├── StoreError            the database cannot be used as it is
├── SourceError           Twilio did not give what was asked for
│   ├── CredentialsError  it refused the API key
│   ├── NotFoundError     it does not have (or no longer has) the room
│   └── CircuitOpenError  it was not even asked, for too much failed just before
└── DeliveryError         a receiver did not take a notification; says whether trying again can help
"""

from __future__ import annotations

from dataclasses import dataclass


class AlertdError(Exception):
    """Base of all errors that are meant to be shown to a person as they are."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in one place, said as `file:line:column: message`; line and column count from 1, 0 means unknown."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}"


class InputError(AlertdError):
    """A configuration, rule file or argument is wrong; `problems` holds every mistake found in one pass."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(map(str, self.problems)))


class StoreError(AlertdError):
    """The database is locked, read-only, unreachable or of another version; the message says which and what to do."""


class SourceError(AlertdError):
    """A request to Twilio failed for good; the message names the account and what was asked."""


class CredentialsError(SourceError):
    """Twilio refused the API key (401 or 403)."""


class NotFoundError(SourceError):
    """Twilio answered 404: not summarised yet, older than it keeps, or of another account."""


class CircuitOpenError(SourceError):
    """The account is left alone for a while; nothing more can be read now. Also a CredentialsError if it is the key."""


class DeliveryError(AlertdError):
    """A receiver did not take a notification.

    `permanent` says that trying again cannot help; `retry_after` is the wait in seconds that the other side asked for.
    """

    def __init__(self, message: str, *, permanent: bool, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after
