"""What alertd's own alerts come to: its troubles, its heartbeat, and what is to be said about silences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from alertd.engine.alerts import Alert, Finding, Timing, advance, fingerprint
from alertd.engine.health import AT_WORK, RULE_PREFIX, WATCHDOG, ailments, wants_watchdog
from alertd.engine.outcome import Policy, Snapshot
from alertd.engine.silencenotes import Note, notes

Move = tuple[Alert, Alert]
"""An alert before and after."""


def moved(now: int, policy: Policy, snapshot: Snapshot, alerts: Mapping[str, Alert]) -> Iterator[Move]:
    """The own alerts that change at `now`, given all `alerts` as they stand after the rules were judged.

    Nothing more is said about what has left the configuration, or is no longer known.
    """
    told = set()
    for before, after in _all(now, policy, snapshot, alerts):
        told.add(before.fingerprint)
        if after is not before:
            yield before, after
    for before in alerts.values():
        alive = before.state in ("pending", "firing") and before.rule.startswith(RULE_PREFIX)
        if alive and before.fingerprint not in told:
            yield before, advance(before, _gone("it is no longer known to be in trouble"), now)


def _all(now: int, policy: Policy, snapshot: Snapshot, alerts: Mapping[str, Alert]) -> Iterator[Move]:
    """Every own alert that there is any reason for, changed or not."""
    yield from _troubles(now, policy, snapshot, alerts)
    if policy.heartbeat and wants_watchdog(policy.tree):
        yield _beat(now, alerts)
    firing = [alert for alert in alerts.values() if alert.state == "firing"]
    for note in notes(snapshot.silences, firing, now):
        yield _noted(note, now, alerts)


def _troubles(now: int, policy: Policy, snapshot: Snapshot, alerts: Mapping[str, Alert]) -> Iterator[Move]:
    known = [trouble for trouble in snapshot.troubles if policy.concerns(trouble)]
    for ailment in ailments(known, now, policy.health_severity, policy.blind_after // 2):
        before = _known(ailment.rule, ailment.labels, alerts)
        after = advance(before, ailment.finding, now)
        if after is not before:
            said = ailment.afterwards if after.state == "resolved" else ailment.annotations
            after = msgspec.structs.replace(after, annotations=said)
        yield before, after


def _beat(now: int, alerts: Mapping[str, Alert]) -> Move:
    """The heartbeat begins, or goes on without a word."""
    before = _known(f"{RULE_PREFIX}watchdog", WATCHDOG, alerts)
    if before.state == "firing":
        return before, before
    finding = Finding(timing=Timing(may_flap=False), holds=True, why="alertd is at work")
    return before, msgspec.structs.replace(advance(before, finding, now), annotations=AT_WORK)


def _noted(note: Note, now: int, alerts: Mapping[str, Alert]) -> Move:
    """A note about a silence begins, ends, or goes on without a word."""
    before = _known(note.rule, note.labels, alerts)
    if note.holds == (before.state == "firing"):
        return before, before
    begins = Finding(timing=Timing(may_flap=False), holds=True, why=note.why)
    finding = begins if note.holds else _gone(note.why)
    return before, msgspec.structs.replace(advance(before, finding, now), annotations=note.annotations)


def _known(rule: str, labels: Mapping[str, str], alerts: Mapping[str, Alert]) -> Alert:
    mark = fingerprint(labels)
    return alerts.get(mark) or Alert(fingerprint=mark, rule=rule, labels=dict(labels))


def _gone(why: str) -> Finding:
    return Finding(timing=Timing(), holds=False, gone=why)
