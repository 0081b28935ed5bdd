"""What leaves as JSON: Alertmanager's webhook payload version 4 with alertd's own facts beside it, signed on request.

Formats: `alertmanager` (prometheus/alertmanager, template.Data: https://prometheus.io/docs/alerting/latest/configuration/)
and `cloudevents` (the same object as `data` of a CloudEvents 1.0 event in structured mode).
Signatures follow Standard Webhooks 1.0 (https://www.standardwebhooks.com).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr

from alertd import __version__
from alertd.receivers.posting import post
from alertd.receivers.receiver import Address, ReceiverSettings
from alertd.receivers.webhook_schema import webhook_schema
from alertd.receivers.wording import alert_link
from alertd.settings import Secret

if TYPE_CHECKING:
    import aiohttp

    from alertd.engine.alerts import Alert
    from alertd.engine.explain import Slice
    from alertd.engine.groups import Notification, NotifiedAlert
    from alertd.engine.windows import Evidence

__all__ = ["WebhookReceiver", "WebhookSettings", "cloudevent", "payload", "signed", "webhook_schema"]

EVENT_TYPE = "dev.alertd.notification.v1"
NOT_ENDED = "0001-01-01T00:00:00Z"
"""What Alertmanager writes for an alert that still fires."""
SAMPLE_FIELDS = (
    *("value", "limit", "of", "matched", "total", "rooms", "rooms_affected", "identities"),
    *("lower", "upper", "baseline", "window", "position", "settled_share"),
)
EVIDENCE_FIELDS = (
    *("account", "room_sid", "room_name", "participant_sid", "identity", "end_reason", "error_code", "error_url"),
    *("sdk", "media_region", "edge_location"),
)
SLICE_FIELDS = ("field", "value", "matched", "total", "relative_risk")


def _signing_key(secret: SecretStr) -> SecretStr:
    if not key(secret):
        raise ValueError("the secret is empty")
    return secret


def key(secret: SecretStr) -> bytes:
    """The signing key: `whsec_` and base64 as Standard Webhooks writes it, or the text itself. Raises ValueError."""
    words = secret.get_secret_value()
    if not words.startswith("whsec_"):
        return words.encode()
    try:
        return base64.b64decode(words.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("what follows whsec_ is not base64") from None


class WebhookSettings(ReceiverSettings):
    """An address that takes JSON; it may hold a token, so it is a secret too."""

    url: Address = Field(description="Where to POST, http or https.")
    secret: Annotated[Secret, AfterValidator(_signing_key)] | None = Field(
        None, description="Key of the Standard Webhooks signature: whsec_ and base64, or any text."
    )
    format: Literal["alertmanager", "cloudevents"] = Field("alertmanager", description="Shape of the body.")


class WebhookReceiver:
    """Posts JSON."""

    kind = "webhook"

    def __init__(
        self,
        settings: WebhookSettings,
        session: aiohttp.ClientSession,
        external_url: str,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.send_resolved = settings.send_resolved
        self.retry_for = settings.retry_for
        self._settings = settings
        self._session = session
        self._external_url = external_url
        self._wall = wall

    async def send(self, notification: Notification, now: float) -> str:
        """Post the notification and return the answer's status and first line. Raises DeliveryError."""
        settings = self._settings
        shape = payload if settings.format == "alertmanager" else cloudevent
        media = "application/json" if settings.format == "alertmanager" else "application/cloudevents+json"
        body = json.dumps(shape(notification, self._external_url)).encode()
        headers = {"Content-Type": media, "User-Agent": f"alertd/{__version__}"}
        # The machine's own time, whatever clock alertd lives by: consumers compare it with theirs against replays.
        headers |= signed(notification.id, int(self._wall()), body, settings.secret)
        url = settings.url.get_secret_value()
        return await post(self._session, url, body, headers, within=settings.timeout, now=now)


def signed(identity: str, at: int, body: bytes, secret: SecretStr | None) -> dict[str, str]:
    """The headers `webhook-id`, `webhook-timestamp` (the attempt's, epoch seconds) and, with a key, the signature."""
    headers = {"webhook-id": identity, "webhook-timestamp": str(at)}
    if secret is not None:
        digest = hmac.new(key(secret), f"{identity}.{at}.".encode() + body, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def payload(notification: Notification, external_url: str) -> dict[str, Any]:
    """Alertmanager's payload version 4; times are RFC 3339 in UTC."""
    return {
        "version": "4",
        "groupKey": notification.group_key,
        "truncatedAlerts": notification.truncated,
        "status": notification.status,
        "receiver": notification.receiver,
        "groupLabels": notification.group_labels,
        "commonLabels": notification.common_labels,
        "commonAnnotations": notification.common_annotations,
        "externalURL": external_url,
        "notification_reason": notification.reason,
        "alerts": [_alert(alert, external_url) for alert in notification.alerts],
    }


def cloudevent(notification: Notification, external_url: str) -> dict[str, Any]:
    """The payload in a CloudEvents 1.0 envelope (https://github.com/cloudevents/spec, JSON event format)."""
    return {
        "specversion": "1.0",
        "id": notification.id,
        "source": external_url,
        "type": EVENT_TYPE,
        "subject": notification.group_key,
        "time": rfc3339(notification.at),
        "datacontenttype": "application/json",
        "data": payload(notification, external_url),
    }


def rfc3339(instant: int | None) -> str | None:
    """Epoch seconds as `2026-03-02T12:08:00Z`."""
    return None if instant is None else f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _alert(alert: NotifiedAlert, external_url: str) -> dict[str, Any]:
    return {
        "status": alert.status,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": rfc3339(alert.starts_at),
        "endsAt": NOT_ENDED if alert.ends_at is None else rfc3339(alert.ends_at),
        "generatorURL": alert_link(external_url, alert.fingerprint),
        "fingerprint": alert.fingerprint,
        "alertd": facts(alert),
    }


def facts(alert: NotifiedAlert | Alert) -> dict[str, Any]:
    """What alertd knows of an alert beyond Alertmanager's fields, as JSON: sample, evidence, explanation."""
    sample = {name: getattr(alert.sample, name, None) for name in SAMPLE_FIELDS}
    explanation = alert.explain
    seen = {
        "late": alert.late,
        "evidence": [_evidence(item) for item in alert.evidence],
        "localised": None if explanation is None else explanation.localised,
        "explain": [_slice(one) for one in explanation.slices] if explanation is not None else [],
    }
    return {**sample, **seen}


def _slice(one: Slice) -> dict[str, Any]:
    return {name: getattr(one, name) for name in SLICE_FIELDS}


def _evidence(item: Evidence) -> dict[str, Any]:
    return {**{name: getattr(item, name) for name in EVIDENCE_FIELDS}, "ended": rfc3339(item.ended)}
