"""Who else is told of an alert that nobody looks after: some time after it was told, if it still fires."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from alertd.engine.alerts import Alert
from alertd.engine.groups import Flushed, Group, Integration, Notification, Quiet, flush
from alertd.engine.routes import Place

NEWS = ("first notification", "new alerts added")


def passed_on(
    groups: Mapping[str, Group], place: Place, told: Group, alerts: Mapping[str, Alert], now: int
) -> list[Group]:
    """The groups of the place's escalations that change because of what was told of a group by `now`.

    Each keeps `since` when the alert was told. One that fires anew begins anew.
    """
    known = {mark for each in told.told.values() for mark in each.firing}
    firing = [mark for mark in sorted(known) if mark in alerts and alerts[mark].state == "firing"]
    changed = []
    for step in place.steps:
        key = step.key + told.key.removeprefix(place.key)
        group = groups.get(key) or _new(key, step, told)
        fresh = {mark: now for mark in firing if group.since.get(mark, -1) < (alerts[mark].starts_at or 0)}
        if fresh:
            members = tuple(sorted({*group.members, *fresh}))
            soonest = min(group.flush_at, now + step.after) if group.members else now + step.after
            changed.append(
                msgspec.structs.replace(group, members=members, since=dict(group.since) | fresh, flush_at=soonest)
            )
    return changed


def _new(key: str, step: Place, told: Group) -> Group:
    return Group(key=key, route=step.key, receiver=step.route.receiver, labels=told.labels)


class _Due(NamedTuple):
    """The members of an escalation: those whose time has come, and those that fire and wait, with when it comes."""

    due: tuple[str, ...]
    waiting: dict[str, int]


def escalate(
    group: Group,
    place: Place,
    alerts: Mapping[str, Alert],
    integrations: tuple[Integration, ...],
    now: int,
    quiet: Quiet,
) -> Flushed:
    """What a due group of an escalation sends: of those alerts that were told long enough ago and nobody acknowledged.

    Who was told is told of the recovery, too.
    """
    found = _due(group, place, alerts, now)
    unacknowledged = Quiet(quiet.muted, dict(quiet.acked) | dict(quiet.hidden), {})
    ripe = msgspec.structs.replace(group, members=found.due)
    flushed = flush(ripe, place.route, alerts, integrations, now, unacknowledged)
    sent = [_escalated(one) for one in flushed.notifications]
    return Flushed(_left(group, flushed.group, found, now, place), sent, flushed.withheld)


def _due(group: Group, place: Place, alerts: Mapping[str, Alert], now: int) -> _Due:
    due, waiting = list[str](), dict[str, int]()
    for mark in group.members:
        ripe_at = max(group.since.get(mark, now), alerts[mark].starts_at or 0) + place.after
        if alerts[mark].state == "firing" and ripe_at > now:
            waiting[mark] = ripe_at
        else:
            due.append(mark)
    return _Due(tuple(due), waiting)


def _left(group: Group, after: Group | None, found: _Due, now: int, place: Place) -> Group | None:
    """The group afterwards: who still fires, and who waits."""
    if after is None and not found.waiting:
        return None
    after = after or msgspec.structs.replace(group, members=(), told={}, flush_at=now + place.route.group_interval)
    members = tuple(sorted({*after.members, *found.waiting}))
    deadlines = [*found.waiting.values(), *([after.flush_at] if after.members else [])]
    since = {mark: instant for mark, instant in group.since.items() if mark in members}
    return msgspec.structs.replace(after, members=members, since=since, flush_at=min(deadlines))


def _escalated(one: Notification) -> Notification:
    return msgspec.structs.replace(one, reason="escalated") if one.reason in NEWS else one
