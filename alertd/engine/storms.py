"""How many messages one integration gets at one instant: beyond some, the others are told together, and counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

import msgspec

from alertd.engine.groups import MOST_ALERTS, Notification

MOST_MESSAGES = 50
"""Messages of their own that an integration gets at one instant."""


def gathered(notifications: Iterable[Notification]) -> list[Notification]:
    """The notifications of one instant, for each integration at most MOST_MESSAGES and one that tells all others.

    Nothing is dropped silently: what that one has no room for is counted in its `truncated`.
    """
    by_integration: dict[str, list[Notification]] = {}
    for one in notifications:
        by_integration.setdefault(one.integration, []).append(one)
    told = []
    for ones in by_integration.values():
        told += ones[:MOST_MESSAGES]
        rest = ones[MOST_MESSAGES:]
        told += rest if len(rest) < 2 else [_together(rest)]
    return told


def _together(rest: Sequence[Notification]) -> Notification:
    """One message for many groups: the alerts that fire first, then the others, each once."""
    known = {alert.fingerprint: alert for one in rest for alert in one.alerts}
    alerts = sorted(known.values(), key=lambda alert: (alert.status != "firing", alert.starts_at, alert.fingerprint))
    first = rest[0]
    identity = "\0".join(one.id for one in rest)
    return msgspec.structs.replace(
        first,
        id=f"msg_{sha256(identity.encode()).hexdigest()[:26]}",
        group_key=f"{{}}:storm/{first.receiver}",
        reason=first.reason if len({one.reason for one in rest}) == 1 else "new alerts added",
        status="firing" if any(one.status == "firing" for one in rest) else "resolved",
        group_labels={},
        alerts=tuple(alerts[:MOST_ALERTS]),
        truncated=sum(one.truncated for one in rest) + max(0, len(alerts) - MOST_ALERTS),
    )
