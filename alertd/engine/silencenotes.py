"""What is said about silences, as alerts of alertd's own: one began, it ends soon and hides something, it is over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from alertd.engine.alerts import Alert
from alertd.engine.health import RULE_PREFIX
from alertd.engine.silences import Silence, silencing

BEGAN, ENDS = "AlertdSilenceStarted", "AlertdSilenceEnding"
SEVERITY = "info"
"""A silence wakes nobody."""
SOON = 900
"""Seconds before its end at which a silence is said to end soon; of a short one its last quarter."""
NAMED = 5
"""Hidden alerts that are named."""
COMMENT = 500
"""Characters of the comment that are told."""
NOT_COPIED = frozenset({"alertname", "severity"})


class Note(NamedTuple):
    """One thing to be said about a silence, as long as it `holds`."""

    rule: str
    labels: dict[str, str]
    holds: bool
    why: str
    annotations: dict[str, str]


def silenced_by(silences: Iterable[Silence], alert: Alert, now: int) -> tuple[Silence, ...]:
    """The silences that keep the alert quiet at `now`: what is said about silences none of them can."""
    return () if _is_note(alert) else silencing(silences, alert.labels, now)


def notes(silences: Iterable[Silence], firing: Iterable[Alert], now: int) -> Iterator[Note]:
    """What there is to say about the silences at `now`, given the alerts that fire; nothing about those to come."""
    alerts = [alert for alert in firing if not _is_note(alert)]
    for one in silences:
        state = one.state(now)
        if state == "pending" or one.starts_at >= one.ends_at:  # to come, or ended before it began
            continue
        hidden = [alert for alert in alerts if one.matches(alert.labels)]
        yield _began(one, hidden, active=state == "active")
        yield _ends(one, hidden, now)


def _is_note(alert: Alert) -> bool:
    return alert.rule.startswith(f"{RULE_PREFIX}silence/")


def _began(one: Silence, hidden: list[Alert], *, active: bool) -> Note:
    if active:
        said, why = f"Silence until {_clock(one.ends_at)} by {_author(one)}", "the silence is active"
        told = f"{_told(one)} It hides {_named(hidden)} now." if hidden else f"{_told(one)} It hides nothing now."
    else:
        said, why = f"The silence by {_author(one)} is over", "the silence is over"
        told = f"{_told(one)} What it hid still fires: {_named(hidden)}." if hidden else f"{_told(one)} Nothing fires."
    return _note(one, BEGAN, active, why, said, told)


def _ends(one: Silence, hidden: list[Alert], now: int) -> Note:
    soon = min(SOON, (one.ends_at - one.starts_at) // 4)
    holds = bool(hidden) and one.ends_at - soon <= now < one.ends_at
    said = f"The silence by {_author(one)} ends at {_clock(one.ends_at)}; {_named(hidden)} would be told"
    if not holds:
        said = f"The silence by {_author(one)} no longer ends soon, or hides nothing"
    return _note(one, ENDS, holds, "it ends soon" if holds else "it does not end soon", said, _told(one))


def _note(one: Silence, name: str, holds: bool, why: str, summary: str, description: str) -> Note:
    labels = {m.name: m.value for m in one.matchers if m.op == "=" and m.value and m.name not in NOT_COPIED}
    labels |= {"alertname": name, "severity": SEVERITY, "silence": one.id}
    annotations = {"summary": summary, "description": description}
    return Note(f"{RULE_PREFIX}silence/{name}", labels, holds, why, annotations)


def _told(one: Silence) -> str:
    comment = one.comment[:COMMENT].rstrip(".")
    return f"{', '.join(map(str, one.matchers))[:COMMENT]}.{f' {comment}.' if comment else ''}"


def _author(one: Silence) -> str:
    return one.created_by[:100] or "somebody"


def _named(hidden: list[Alert]) -> str:
    names = [f"{alert.labels.get('alertname', '')} ({alert.fingerprint})" for alert in hidden[:NAMED]]
    more = len(hidden) - NAMED
    return ", ".join(names) + (f" and {more} more" if more > 0 else "") if names else "nothing"


def _clock(instant: int) -> str:
    return f"{datetime.fromtimestamp(instant, UTC):%F %H:%M} UTC"
