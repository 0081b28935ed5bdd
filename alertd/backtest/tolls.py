"""What alerts cost people: how often they fired, for how long, how many notifications, how many nights woken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from alertd.backtest.run import Findings
from alertd.engine.groups import Notification

EVENING, MORNING = 22, 7
"""The hours between which people sleep."""


@dataclass(slots=True)
class Toll:
    """What one rule (or all of them) cost; `firing` in seconds, each night by the day on which it began."""

    alerts: int = 0
    late: int = 0
    firing: int = 0
    notifications: int = 0
    nights: set[date] = field(default_factory=set)


def tolls(findings: Findings, zone: ZoneInfo) -> tuple[Toll, dict[str, Toll]]:
    """The toll of all alerts, and of each rule by its key; those of alertd about itself have keys of their own.

    A notification that tells alerts of two rules counts for both, and once in all. Firing times of alerts that overlap
    add up.
    """
    total = Toll(notifications=len(findings.notifications))
    by_rule = {rule.key: Toll() for rule in findings.rules}
    owner: dict[str, str] = {}
    for firing in findings.firings:
        owner[firing.fingerprint] = firing.rule
        for toll in (total, by_rule.setdefault(firing.rule, Toll())):
            toll.alerts += 1
            toll.late += firing.late
            toll.firing += firing.seconds(findings.end)
    for notification in findings.notifications:
        for rule in {owner[alert.fingerprint] for alert in notification.alerts if alert.fingerprint in owner}:
            by_rule[rule].notifications += 1
    for at, fingerprints in wakings(findings.notifications):
        night = night_of(at, zone)
        if night is not None:
            total.nights.add(night)
            for rule in {owner[one] for one in fingerprints if one in owner}:
                by_rule[rule].nights.add(night)
    return total, by_rule


def wakings(notifications: Iterable[Notification]) -> Iterator[tuple[int, set[str]]]:
    """When somebody is told of alerts that they had not been told of before, and of which ones (fingerprints)."""
    told: dict[tuple[str, str], set[str]] = {}
    for notification in notifications:
        line = (notification.group_key, notification.integration)
        firing = {alert.fingerprint for alert in notification.firing()}
        fresh = firing - told.get(line, set())
        told[line] = firing
        if fresh:
            yield notification.at, fresh


def night_of(at: int, zone: ZoneInfo) -> date | None:
    """The day on which the night began that an instant falls into; None by day."""
    moment = datetime.fromtimestamp(at, zone)
    if moment.hour >= EVENING:
        return moment.date()
    return moment.date() - timedelta(days=1) if moment.hour < MORNING else None
