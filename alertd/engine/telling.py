"""Who is told what now: alerts find their groups, groups that are due send what is not kept quiet."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec

from alertd.engine.alerts import Alert
from alertd.engine.groups import Group, Notification, Quiet, flush, joined, settled_in
from alertd.engine.inhibition import Inhibitions
from alertd.engine.intervals import muted_by
from alertd.engine.outcome import Policy
from alertd.engine.routes import Route


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


def tell(
    now: int, policy: Policy, alerts: Mapping[str, Alert], changed: Collection[str], before: Mapping[str, Group]
) -> Telling:
    """What is told at `now` of the alerts as they stand, of which some just `changed`, given the groups of `before`."""
    groups, touched = dict(before), set[str]()
    for alert in alerts.values():
        if alert.state == "firing" or (alert.told_late(now) and alert.fingerprint in changed):
            for group in joined(groups, policy.tree, alert, now):
                groups[group.key] = group
                touched.add(group.key)
    sent, withheld, gone, told = [], [], [], dict[str, Alert]()
    due = [group for group in groups.values() if group.flush_at <= now]
    inhibitions = _inhibitions(policy, alerts) if due else Inhibitions((), ())
    for group in sorted(due, key=lambda group: (group.flush_at, group.key)):
        place = policy.tree.at(group.route)
        after: Group | None = None
        if place is not None:
            today = settled_in(group, policy.tree, alerts)
            quiet = _quiet(policy, place.route, today, alerts, inhibitions, now)
            integrations = policy.integrations.get(today.receiver, ())
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
    return Telling(
        groups=tuple(groups[key] for key in sorted(touched) if key in groups),
        gone=tuple(gone),
        notifications=tuple(sent),
        withheld=tuple(withheld),
        alerts=told,
        next_at=min((group.flush_at for group in groups.values()), default=None),
    )


def _inhibitions(policy: Policy, alerts: Mapping[str, Alert]) -> Inhibitions:
    firing = [(alert.fingerprint, alert.labels) for alert in alerts.values() if alert.state == "firing"]
    return Inhibitions(policy.inhibit_rules, firing)


def _quiet(
    policy: Policy, route: Route, group: Group, alerts: Mapping[str, Alert], inhibitions: Inhibitions, now: int
) -> Quiet:
    """What keeps the group, or some of its alerts, from being told."""
    hidden = {}
    for member in group.members:
        sources = inhibitions.of(member, alerts[member].labels) if member in alerts else ()
        if sources:
            named = [f"{alerts[source].labels['alertname']} ({source})" for source in sources]
            hidden[member] = f"inhibited by {', '.join(named)}"
    return Quiet(muted_by(route.mute_time_intervals, route.active_time_intervals, policy.intervals, now), hidden)


def _told(group: Group, alerts: Mapping[str, Alert], quiet: Quiet) -> dict[str, Alert]:
    """The alerts of the group of which somebody is told now for the first time."""
    shown = [alerts[member] for member in group.members if member in alerts and member not in quiet.hidden]
    return {
        alert.fingerprint: msgspec.structs.replace(alert, told=True)
        for alert in shown
        if alert.state == "firing" and not alert.told
    }
