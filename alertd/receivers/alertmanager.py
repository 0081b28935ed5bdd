"""What another Alertmanager is told: the alerts themselves, as Prometheus sends them, so that it routes them.

Source: Alertmanager's API v2 (prometheus/alertmanager, api/v2/openapi.yaml, `postableAlerts`) and what Prometheus does
with it (prometheus/prometheus, rules/alerting.go and rules/manager.go).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from math import floor
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema, model_validator

from alertd import __version__
from alertd.receivers.posting import post
from alertd.receivers.receiver import Address
from alertd.receivers.webhook import rfc3339
from alertd.receivers.wording import alert_link
from alertd.settings import SECRET_FORMS, Duration, Secret, Table

if TYPE_CHECKING:
    import aiohttp

    from alertd.engine.alerts import Alert

PATH = "/api/v2/alerts"
STANDS_FOR = 240
"""Real seconds for which an alert that fires stands there unless it is sent again: four times as long as until then
(Prometheus: 4 times the larger of resend delay and evaluation interval, both a minute)."""

ROUNDING = 0.00001
"""Seconds that may be lost to rounding where instants are taken from one another."""
LONGEST_TIMEOUT = 60
"""Seconds."""


def _root(url: SecretStr) -> SecretStr:
    """The address without a slash at its end; ValueError where the path of the API cannot be put behind it."""
    words = url.get_secret_value().rstrip("/")
    if urlsplit(words).username is not None:
        raise ValueError("write user and password as username and password beside url, not in the address")
    if "?" in words or "#" in words:
        raise ValueError("write an address like http://127.0.0.1:9093, without ? or #")
    if re.search(r"/api/v\d(/alerts)?$", words):
        raise ValueError("write the address of Alertmanager itself; /api/v2/alerts is put behind it")
    return SecretStr(words)


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


def _different(members: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if len(set(members)) < len(members):
        raise ValueError("an address stands twice; name each member of the cluster once")
    return members


def _token(secret: SecretStr) -> SecretStr:
    if re.fullmatch(r"[!-~]+", secret.get_secret_value()) is None:
        raise ValueError("write the token alone, without Bearer before it, spaces or line ends")
    return secret


def _patient(seconds: int) -> int:
    if not 1 <= seconds <= LONGEST_TIMEOUT:
        raise ValueError("must be between 1s and 1m: after a minute the next attempt is due")
    return seconds


_ONE_OR_MORE = {"anyOf": [*SECRET_FORMS, {"type": "array", "items": {"anyOf": SECRET_FORMS}, "minItems": 1}]}
Members = Annotated[
    tuple[Annotated[Address, AfterValidator(_root)], ...],
    Field(min_length=1),
    BeforeValidator(_listed),
    AfterValidator(_different),
    WithJsonSchema(_ONE_OR_MORE),
]
"""The members of a cluster, one address or a list of them; secrets, as every address is to which something is sent."""


class AlertmanagerSettings(Table):
    """An Alertmanager, or all members of a cluster of them; it decides who is told."""

    url: Members = Field(
        description="Address of the Alertmanager, http or https; of a cluster the list of all its members.",
        examples=["http://127.0.0.1:9093", ["http://am-1.example.com:9093", "http://am-2.example.com:9093"]],
    )
    username: str | None = Field(None, description="Login, if it asks for one.")
    password: Secret | None = Field(None, description="Its password.")
    bearer_token: Annotated[Secret, AfterValidator(_token)] | None = Field(
        None, description="Token to send instead of username and password."
    )
    timeout: Annotated[Duration, AfterValidator(_patient)] = Field(10, description="How long one attempt may take.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together; one of them is missing")
        if self.bearer_token is not None and self.username is not None:
            raise ValueError("username and bearer_token exclude each other; leave out one of them")
        if ":" in (self.username or ""):
            raise ValueError("a username cannot hold a colon (RFC 7617)")
        return self


class Present(NamedTuple):
    """The present by alertd's clock (`now`) and by the machine's (`wall`); `speed` of its seconds pass in a real one.

    Other programs live by the machine's clock. In a rehearsal alertd's is far ahead of it, and what is told by that
    would not be over for them.
    """

    now: float
    wall: float
    speed: float = 1.0

    def by_machine(self, instant: float) -> int:
        """An instant of alertd's clock as the machine's shows it, in whole seconds.

        Never later than it was: an end that lies ahead by a moment is none to an Alertmanager that had a later one.
        """
        return floor(self.wall - (self.now - instant) / self.speed + ROUNDING)


class AlertmanagerMember:
    """One Alertmanager, by itself or of a cluster."""

    def __init__(
        self, settings: AlertmanagerSettings, url: SecretStr, session: aiohttp.ClientSession, external_url: str
    ) -> None:
        self._settings = settings
        self._url = url
        self._session = session
        self._external_url = external_url

    async def send(self, alerts: Sequence[Alert], present: Present) -> str:
        """Post the alerts and return the answer's status and first line; none at all asks whether it is there.

        Raises DeliveryError. With a 400 Alertmanager refuses single alerts and takes the others.
        """
        body = json.dumps(payload(alerts, self._external_url, present)).encode()
        headers = {"Content-Type": "application/json", "User-Agent": f"alertd/{__version__}"}
        headers |= _authorization(self._settings)
        url, within = f"{self._url.get_secret_value()}{PATH}", self._settings.timeout
        return await post(self._session, url, body, headers, within=within, now=present.wall)


def _authorization(settings: AlertmanagerSettings) -> dict[str, str]:
    """The header that logs in (RFC 7617, RFC 6750), if one is asked for."""
    if settings.bearer_token is not None:
        return {"Authorization": f"Bearer {settings.bearer_token.get_secret_value()}"}
    if settings.username is None or settings.password is None:
        return {}
    login = f"{settings.username}:{settings.password.get_secret_value()}".encode()
    return {"Authorization": f"Basic {base64.b64encode(login).decode()}"}


def payload(alerts: Sequence[Alert], external_url: str, present: Present) -> list[dict[str, Any]]:
    """The body of a POST to `/api/v2/alerts`; times are RFC 3339 in UTC, by the machine's clock.

    An alert that fires has an end in the near future, which is put off as long as it is sent again.
    """
    return [_alert(alert, external_url, present) for alert in alerts]


def _alert(alert: Alert, external_url: str, present: Present) -> dict[str, Any]:
    starts_at = present.by_machine(alert.starts_at or alert.changed_at)
    fires = alert.state == "firing" or alert.ends_at is None
    ends_at = floor(present.wall) + STANDS_FOR if fires else present.by_machine(alert.ends_at or 0)
    return {
        "labels": {name: value for name, value in alert.labels.items() if value},
        "annotations": alert.annotations,
        "startsAt": rfc3339(starts_at),
        "endsAt": rfc3339(ends_at),
        "generatorURL": alert_link(external_url, alert.fingerprint),
    }
