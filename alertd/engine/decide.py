"""decide(now, policy, windows, snapshot) -> Outcome: the whole flow, from counted rooms to due notifications."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from alertd.engine import rules as kinds
from alertd.engine.alerts import Alert, Finding, Timing, advance, fingerprint, over
from alertd.engine.counting import GroupWindow, Windows
from alertd.engine.groups import Group, Integration, Notification, flush, joined
from alertd.engine.health import RULE_PREFIX, Trouble, ailments
from alertd.engine.routes import Tree
from alertd.engine.rules import Rule, Sample
from alertd.engine.settle import OpenRoom
from alertd.engine.windows import MINUTE, Evidence, Series

BLIND_AFTER = 600
"""Seconds without a complete look at an account after which nothing counts as recovered there."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time in which an account was polled without a gap."""

    account: str
    seen_from: int
    seen_until: int


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change of state worth keeping: the history of an alert."""

    at: int
    event: Literal["firing", "resolved", "late"]
    fingerprint: str
    rule: str
    labels: dict[str, str]
    reason: str
    sample: Sample | None = None
    late: bool = False
    starts_at: int | None = None
    ends_at: int | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What the store holds when a decision begins; alerts by fingerprint, groups by key."""

    alerts: dict[str, Alert]
    groups: dict[str, Group]
    troubles: tuple[Trouble, ...] = ()
    sights: tuple[Sight, ...] = ()
    open_rooms: tuple[OpenRoom, ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision changes, to be committed whole; `errors` is by rule key, `next_at` the next group deadline."""

    alerts: tuple[Alert, ...] = ()
    groups: tuple[Group, ...] = ()
    gone_groups: tuple[str, ...] = ()
    notifications: tuple[Notification, ...] = ()
    events: tuple[Event, ...] = ()
    errors: dict[str, str] = {}
    next_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What people have decided: rules, routes, and the integrations of each receiver."""

    rules: tuple[Rule, ...]
    tree: Tree
    integrations: Mapping[str, tuple[Integration, ...]]
    accounts: tuple[str, ...] = ()
    health_severity: str = "page"


@dataclass(slots=True)
class _Tick:
    """The working copy of one decision."""

    now: int
    policy: Policy
    windows: Windows
    snapshot: Snapshot
    alerts: dict[str, Alert]
    groups: dict[str, Group]
    changed: dict[str, Alert] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    gone: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def minute(self) -> int:
        """The whole minute of the tick."""
        return self.now // MINUTE


def decide(now: int, policy: Policy, windows: Windows, snapshot: Snapshot) -> Outcome:
    """What follows at `now` (seconds since the epoch) from what was counted and what stood before.

    Total and without side effects: the same arguments give the same outcome, and nothing passed in is changed. A rule
    that fails is an entry in `errors`; its alerts stay as they are and all other rules are judged.
    """
    tick = _Tick(now, policy, windows, snapshot, dict(snapshot.alerts), dict(snapshot.groups))
    for rule in policy.rules:
        _judge_rule(tick, rule)
    _judge_orphans(tick)
    _judge_health(tick)
    _join_groups(tick)
    _flush_groups(tick)
    return Outcome(
        alerts=tuple(tick.changed.values()),
        groups=tuple(tick.groups[key] for key in sorted(tick.touched) if key in tick.groups),
        gone_groups=tuple(tick.gone),
        notifications=tuple(tick.notifications),
        events=tuple(tick.events),
        errors=tick.errors,
        next_at=min((group.flush_at for group in tick.groups.values()), default=None),
    )


def _judge_rule(tick: _Tick, rule: Rule) -> None:
    try:
        for group in tick.windows.groups(rule):
            _judge_group(tick, rule, group)
    except Exception as error:  # noqa: BLE001 - one poisoned rule must not stop the others; it is reported by name
        tick.errors[rule.key] = f"{type(error).__name__}: {error}"
    if tick.windows.refused(rule):
        tick.errors.setdefault(rule.key, f"more than {rule.max_groups} combinations of {', '.join(rule.by)}")


def _judge_group(tick: _Tick, rule: Rule, group: GroupWindow) -> None:
    before = tick.alerts.get(group.fingerprint) or Alert(
        fingerprint=group.fingerprint, rule=rule.key, labels=group.labels
    )
    idle = before.state in ("inactive", "resolved")
    if idle and not group.series.matched:
        return
    floor = before.floor // MINUTE
    verdict = kinds.judge(rule.kind, group.series, tick.minute, floor)
    if idle and not verdict.holds:
        _judge_past(tick, rule, group, before)
        return
    _record(tick, before, advance(before, _finding(tick, rule, group, before, verdict), tick.now), rule)


def _finding(tick: _Tick, rule: Rule, group: GroupWindow, before: Alert, verdict: kinds.Verdict) -> Finding:
    floor, since = before.floor // MINUTE, (before.elevated_at or tick.now) // MINUTE
    sample = msgspec.structs.replace(
        verdict.sample, settled_share=_settled_share(tick, group.labels.get("account"), verdict.sample)
    )
    return Finding(
        timing=Timing(rule.hold_for, rule.keep_firing_for, rule.no_traffic),
        holds=verdict.holds,
        elevated=kinds.elevated(rule.kind, group.series, tick.minute, floor),
        traffic=kinds.traffic_judged(rule.kind, group.series, since, tick.minute),
        blind=_blind(tick, group.labels.get("account")),
        sample=sample,
        evidence=_evidence(group.series, sample, tick.minute),
        why=kinds.describe(rule.kind, sample),
    )


def _evidence(series: Series, sample: Sample, minute: int) -> tuple[Evidence, ...]:
    """The most recent matches inside the window that decided."""
    upto = minute - sample.position // MINUTE
    after = upto - sample.window // MINUTE
    inside = [item for item in series.evidence if after < item.ended // MINUTE <= upto]
    return tuple(reversed(inside[-5:]))


def _judge_past(tick: _Tick, rule: Rule, group: GroupWindow, before: Alert) -> None:
    """Tell what held unseen: rooms that came to be known only now are judged as they would have been then."""
    oldest = tick.windows.fresh_minute(rule, group)
    if oldest is None:
        return
    past = kinds.judge_past(rule.kind, group.series, tick.minute, oldest, before.floor // MINUTE, rule.hold_for)
    if past is None:
        return
    finding = _finding(tick, rule, group, before, kinds.Verdict(True, past.sample))
    why = f"held unseen for {past.minutes} min: {finding.why}"
    after = over(before, (past.first * MINUTE, past.last * MINUTE), finding, tick.now, why)
    _record(tick, before, after, rule)


def _judge_orphans(tick: _Tick) -> None:
    """Alerts that are still on while their group has been forgotten, or their rule removed."""
    rules = {rule.key: rule for rule in tick.policy.rules}
    seen = {group.fingerprint for rule in tick.policy.rules for group in tick.windows.groups(rule)}
    for before in list(tick.alerts.values()):
        if before.state not in ("pending", "firing") or before.fingerprint in seen:
            continue
        if before.rule.startswith(RULE_PREFIX):
            continue
        rule = rules.get(before.rule)
        if rule is None:
            gone = Finding(timing=Timing(), holds=False, elevated=False, gone="its rule was removed")
            _record(tick, before, advance(before, gone, tick.now), None)
        else:
            _judge_group(tick, rule, GroupWindow(before.labels, before.fingerprint, tick.minute))


def _judge_health(tick: _Tick) -> None:
    for ailment in ailments(tick.snapshot.troubles, tick.now, tick.policy.health_severity):
        mark = fingerprint(ailment.labels)
        before = tick.alerts.get(mark) or Alert(fingerprint=mark, rule=ailment.rule, labels=ailment.labels)
        after = advance(before, ailment.finding, tick.now)
        if after is not before:
            _keep(tick, before, msgspec.structs.replace(after, annotations=ailment.annotations))


def _record(tick: _Tick, before: Alert, after: Alert, rule: Rule | None) -> None:
    if after is before:
        return
    if rule is not None and (after.sample is not before.sample or after.state != before.state):
        after = msgspec.structs.replace(after, annotations=_annotations(tick, rule, after))
    _keep(tick, before, after)


def _keep(tick: _Tick, before: Alert, after: Alert) -> None:
    tick.alerts[after.fingerprint] = tick.changed[after.fingerprint] = after
    late = after.late and after.changed_at == tick.now
    if late or (after.state != before.state and "firing" in (after.state, before.state)):
        tick.events.append(
            Event(
                at=tick.now,
                event="late" if late else ("firing" if after.state == "firing" else "resolved"),
                fingerprint=after.fingerprint,
                rule=after.rule,
                labels=after.labels,
                reason=after.reason,
                sample=after.sample,
                late=after.late,
                starts_at=after.starts_at,
                ends_at=after.ends_at,
            )
        )


def _annotations(tick: _Tick, rule: Rule, alert: Alert) -> dict[str, str]:
    """The rule's texts for this alert; one that fails gives way to its error, and is reported."""
    texts: dict[str, str] = {}
    variables = {"labels": alert.labels, "sample": alert.sample, "rule": {"alert": rule.alert, "source": rule.source}}
    for name, render in rule.annotations.items():
        try:
            texts[name] = render(variables)
        except ValueError as error:
            texts[name] = f"(the template of {name} failed: {error})"
            tick.errors[rule.key] = f"annotation {name}: {error}"
    return texts


def _join_groups(tick: _Tick) -> None:
    for alert in tick.alerts.values():
        told_late = alert.late and alert.changed_at == tick.now and alert.fingerprint in tick.changed
        if alert.state == "firing" or told_late:
            for group in joined(tick.groups, tick.policy.tree, alert, tick.now):
                tick.groups[group.key] = group
                tick.touched.add(group.key)


def _flush_groups(tick: _Tick) -> None:
    for group in [group for group in tick.groups.values() if group.flush_at <= tick.now]:
        place = tick.policy.tree.at(group.route)
        after: Group | None = None
        if place is not None:
            integrations = tick.policy.integrations.get(group.receiver, ())
            after, notifications = flush(group, place.route, tick.alerts, integrations, tick.now)
            tick.notifications += notifications
        if after is None:
            del tick.groups[group.key]
            tick.gone.append(group.key)
        else:
            tick.groups[group.key] = after
            tick.touched.add(group.key)


def _blind(tick: _Tick, account: str | None) -> bool:
    """Whether an account (None: any of them) has not been seen for so long that quiet means nothing."""
    watched = tick.policy.accounts if account is None else (account,)
    return any(not _seen(tick, name) for name in watched if name in tick.policy.accounts)


def _seen(tick: _Tick, account: str) -> bool:
    return any(
        sight.account == account and sight.seen_from <= tick.now <= sight.seen_until + BLIND_AFTER
        for sight in tick.snapshot.sights
    )


def _settled_share(tick: _Tick, account: str | None, sample: Sample) -> float | None:
    """Rooms settled of rooms known in the sample's window, for its account (or all)."""
    upto = tick.minute - sample.position // MINUTE
    after = upto - sample.window // MINUTE
    waiting = sum(1 for minute in _open_minutes(tick, account) if after < minute <= upto)
    settled = tick.windows.settled_rooms(account, after, upto)
    return settled / (settled + waiting) if settled + waiting else None


def _open_minutes(tick: _Tick, account: str | None) -> Iterator[int]:
    for room in tick.snapshot.open_rooms:
        if room.ended is not None and room.listed_at <= tick.now and account in (None, room.account):
            yield room.ended // MINUTE
