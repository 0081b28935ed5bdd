"""Who is told what now: alerts find their groups, groups that are due send what is not kept quiet."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import NamedTuple

import msgspec

from alertd.engine import acks
from alertd.engine.alerts import Alert
from alertd.engine.drills import is_drill
from alertd.engine.escalation import escalate, passed_on
from alertd.engine.groups import Group, Notification, Quiet, flush, joined, settled_in
from alertd.engine.inhibition import Inhibitions
from alertd.engine.intervals import muted_by
from alertd.engine.outcome import Policy, Snapshot
from alertd.engine.routes import Route
from alertd.engine.silencenotes import silenced_by
from alertd.engine.storms import gathered


class Telling(NamedTuple):
    """What telling changes: `groups` that are others now, the keys of those that are `gone`, the messages, those kept
    back, and by fingerprint the `alerts` of which somebody was told for the first time; `next_at` is the next deadline
    of a group."""

    groups: tuple[Group, ...]
    gone: tuple[str, ...]
    notifications: tuple[Notification, ...]
    withheld: tuple[Notification, ...]
    alerts: dict[str, Alert]
    next_at: int | None


def tell(now: int, policy: Policy, alerts: Mapping[str, Alert], changed: Collection[str], before: Snapshot) -> Telling:
    """What is told at `now` of the alerts as they stand, of which some just `changed`; of `before` the groups and
    silences count."""
    groups, touched = dict(before.groups), set[str]()
    for alert in alerts.values():
        if alert.state == "firing" or (alert.told_late(now) and alert.fingerprint in changed):
            for group in joined(groups, policy.tree, alert, now):
                groups[group.key] = group
                touched.add(group.key)
    sent, withheld, gone, told = [], [], [], dict[str, Alert]()
    due = [group for group in groups.values() if group.flush_at <= now]
    quieted = Quieted(policy, alerts, before, now)
    for group in sorted(due, key=lambda group: (group.flush_at, group.key)):
        place = policy.tree.at(group.route)
        after: Group | None = None
        if place is not None:
            today = settled_in(group, policy.tree, alerts)
            quiet = quieted.quiet(place.route, today)
            integrations = policy.integrations.get(today.receiver, ())
            if place.after:
                after, notifications, kept_back = escalate(today, place, alerts, integrations, now, quiet)
            else:
                after, notifications, kept_back = flush(today, place.route, alerts, integrations, now, quiet)
            sent += notifications
            withheld += kept_back
            told |= _told(today, alerts, quiet) if notifications else {}
        if after is None:
            del groups[group.key]
            gone.append(group.key)
        else:
            groups[group.key] = after
            touched.add(group.key)
            for other in passed_on(groups, place, after, alerts, now) if place is not None else ():
                groups[other.key] = other
                touched.add(other.key)
    return Telling(
        groups=tuple(groups[key] for key in sorted(touched) if key in groups),
        gone=tuple(gone),
        notifications=tuple(gathered(sent)),
        withheld=tuple(withheld),
        alerts=told,
        next_at=min((group.flush_at for group in groups.values()), default=None),
    )


class Quieted:
    """What keeps alerts from being told at one instant."""

    def __init__(self, policy: Policy, alerts: Mapping[str, Alert], before: Snapshot, now: int) -> None:
        self._policy, self._alerts, self._now = policy, alerts, now
        self._silences = [one for one in before.silences if one.state(now) == "active"]
        self._acks = acks.standing(before.acks, alerts, now)

    @cached_property
    def _inhibitions(self) -> Inhibitions:
        firing = [alert for alert in self._alerts.values() if alert.state == "firing"]
        real = [(alert.fingerprint, alert.labels) for alert in firing if not is_drill(alert.labels)]  # drills hide none
        return Inhibitions(self._policy.inhibit_rules, real)

    def quiet(self, route: Route, group: Group) -> Quiet:
        """What keeps the group, or some of its alerts, from being told."""
        why = {member: self.why(self._alerts[member]) for member in group.members if member in self._alerts}
        muted = muted_by(route.mute_time_intervals, route.active_time_intervals, self._policy.intervals, self._now)
        acked = {member: str(self._acks[member]) for member in group.members if member in self._acks}
        return Quiet(muted, {member: reason for member, reason in why.items() if reason}, acked)

    def why(self, alert: Alert) -> str:
        """What silences or inhibits the alert, in words; empty if nothing does."""
        reasons = [f"silenced by {silence}" for silence in silenced_by(self._silences, alert, self._now)]
        sources = self._inhibitions.of(alert.fingerprint, alert.labels)
        named = [f"{self._alerts[source].labels['alertname']} ({source})" for source in sources]
        return "; ".join([*reasons, *([f"inhibited by {', '.join(named)}"] if named else [])])


def _told(group: Group, alerts: Mapping[str, Alert], quiet: Quiet) -> dict[str, Alert]:
    """The alerts of the group of which somebody is told now for the first time."""
    shown = [alerts[member] for member in group.members if member in alerts and member not in quiet.hidden]
    return {
        alert.fingerprint: msgspec.structs.replace(alert, told=True)
        for alert in shown
        if alert.state == "firing" and not alert.told
    }
