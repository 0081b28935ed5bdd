"""Somebody looks after an alert: until it is over, or for as long as they said, it is not told again and again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from alertd.engine.alerts import Alert


class Ack(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who looks after the alert with this fingerprint, from `at` to `until` (seconds since the epoch), and why so."""

    fingerprint: str
    at: int
    until: int
    by: str
    comment: str = ""

    def holds(self, alert: Alert | None, now: int) -> bool:
        """Whether it stands: a recovery ends it, so that what fires anew is nobody's."""
        if alert is None or alert.state != "firing" or not self.at <= now < self.until:
            return False
        return self.at >= (alert.starts_at or 0)

    def __str__(self) -> str:
        said = f": {self.comment}" if self.comment else ""
        return f"acknowledged by {self.by or 'somebody'}{said}"


def standing(acks: Iterable[Ack], alerts: Mapping[str, Alert], now: int) -> dict[str, Ack]:
    """The acknowledgements that stand at `now`, by fingerprint; of several the latest."""
    ordered = sorted(acks, key=lambda ack: ack.at)
    return {ack.fingerprint: ack for ack in ordered if ack.holds(alerts.get(ack.fingerprint), now)}
