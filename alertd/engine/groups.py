"""Which notifications are due for a group of alerts, each with its reason and its key; as Alertmanager means it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from hashlib import sha256
from typing import Literal, NamedTuple

import msgspec

from alertd.engine.alerts import Alert
from alertd.engine.explain import Explanation
from alertd.engine.routes import Place, Route, Tree
from alertd.engine.samples import Sample
from alertd.engine.windows import Evidence

MOST_ALERTS = 200
"""Alerts in one notification; the rest is counted in `truncated`."""

Status = Literal["firing", "resolved"]
Reason = Literal[
    "first notification",
    "new alerts added",
    "some alerts resolved",
    "all alerts resolved",
    "repeat interval elapsed",
    "reopened",
    "escalated",
    "late",
    "test",
]


class NotifiedAlert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An alert as one notification tells it; instants in seconds since the epoch, `ends_at` None while it fires."""

    fingerprint: str
    status: Status
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: int
    ends_at: int | None = None
    late: bool = False
    reason: str = ""
    sample: Sample | None = None
    evidence: tuple[Evidence, ...] = ()
    explain: Explanation | None = None
    explained_at: int | None = None
    first_seen: int | None = None
    last_seen: int | None = None


class Notification(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message about one group to one receiver integration (`oncall/slack[0]`); what the outbox keeps.

    `id` is the same at every attempt (it is the `webhook-id`). `truncated` counts alerts left out of `alerts`.
    `withheld` says why it is not sent: it is kept to be shown.
    """

    id: str
    at: int
    group_key: str
    receiver: str
    integration: str
    reason: Reason
    status: Status
    group_labels: dict[str, str]
    alerts: tuple[NotifiedAlert, ...]
    truncated: int = 0
    withheld: str = ""

    @property
    def common_labels(self) -> dict[str, str]:
        """The labels on which all alerts agree."""
        return _common([alert.labels for alert in self.alerts])

    @property
    def common_annotations(self) -> dict[str, str]:
        """The annotations on which all alerts agree."""
        return _common([alert.annotations for alert in self.alerts])

    def firing(self) -> list[NotifiedAlert]:
        """The alerts that fire."""
        return [alert for alert in self.alerts if alert.status == "firing"]

    def resolved(self) -> list[NotifiedAlert]:
        """The alerts that are over."""
        return [alert for alert in self.alerts if alert.status == "resolved"]


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one integration was last told about a group: when, and the fingerprints of the alerts that fired then;
    `repeats` is how many times the same was told again."""

    at: int
    firing: tuple[str, ...] = ()
    repeats: int = 0


class Quiet(NamedTuple):
    """Why a group's alerts are not told: all of them (`muted`, by a time interval), or single ones, by fingerprint.

    Those that are `acked` are told like others, but not again.
    """

    muted: str = ""
    hidden: Mapping[str, str] = {}
    acked: Mapping[str, str] = {}


class Flushed(NamedTuple):
    """What a due group comes to: the group afterwards (None when nothing in it is left to watch), what is sent, and
    what would have been sent but for what keeps it quiet."""

    group: Group | None
    notifications: list[Notification]
    withheld: list[Notification]


class Group(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The alerts that one route tells together; `route` is the key of its place in the tree, `flush_at` when it is next
    looked at. By integration, `told` is what was last told, and `withheld` what was last kept back, to say so once.

    In the group of an escalation `since` is when each alert was told to those before.
    """

    key: str
    receiver: str
    route: str
    labels: dict[str, str]
    members: tuple[str, ...] = ()
    flush_at: int = 0
    flushed: bool = False
    told: dict[str, Told] = {}
    withheld: dict[str, str] = {}
    since: dict[str, int] = {}


def _common(sets: list[dict[str, str]]) -> dict[str, str]:
    if not sets:
        return {}
    return {name: value for name, value in sets[0].items() if all(other.get(name) == value for other in sets[1:])}


class Integration(NamedTuple):
    """One way a receiver is told (`oncall/slack[0]`), and whether it wants to hear of recoveries."""

    name: str
    send_resolved: bool = True


def joined(groups: Mapping[str, Group], tree: Tree, alert: Alert, now: int) -> list[Group]:
    """The groups that change because an alert which fires (or is told late) belongs to them.

    A new group waits `group_wait` for company, unless the alert has been firing that long already.
    """
    changed = []
    for place in tree.match(alert.labels):
        key = place.group_key(alert.labels)
        group = groups.get(key)
        if group is None:
            waited = 0 if alert.late else now - (alert.starts_at or now)
            group = Group(
                key=key,
                route=place.key,
                receiver=place.route.receiver,
                labels=place.group_labels(alert.labels),
                flush_at=now if waited > place.route.group_wait else now + place.route.group_wait,
            )
        if alert.fingerprint not in group.members:
            members = tuple(sorted([*group.members, alert.fingerprint]))
            changed.append(msgspec.structs.replace(group, members=members))
    return changed


def settled_in(group: Group, tree: Tree, alerts: Mapping[str, Alert]) -> Group:
    """The group as the tree of today has it: with its route's receiver, without alerts that are now told elsewhere."""
    place = tree.at(group.route)
    members = tuple(
        member
        for member in group.members
        if member in alerts
        and any(group.key in _keys(found, alerts[member].labels) for found in tree.match(alerts[member].labels))
    )
    receiver = group.receiver if place is None else place.route.receiver
    return msgspec.structs.replace(group, receiver=receiver, members=members)


def _keys(place: Place, labels: Mapping[str, str]) -> list[str]:
    """The groups of an alert at a place: its own, and those of its escalations."""
    return [place.group_key(labels), *(step.group_key(labels) for step in place.steps)]


def flush(
    group: Group,
    route: Route,
    alerts: Mapping[str, Alert],
    integrations: Iterable[Integration],
    now: int,
    quiet: Quiet = Quiet(),  # noqa: B008 - a constant
) -> Flushed:
    """What a due group sends. Other than in Alertmanager a recovery is told to whoever was told of the alert, though it
    is hidden by now, and a group that is muted keeps what it would have told until it is not."""
    members = [alerts[member] for member in group.members if member in alerts]
    told, withheld = dict(group.told), dict(group.withheld)
    sent, kept_back = [], []
    for integration in integrations:
        name, before = integration.name, told.get(integration.name)
        wanted, allowed = (_due(integration, before, members, route, now, by) for by in (Quiet(), quiet))
        if allowed:
            known = set(before.firing if before else ()) & set(quiet.hidden)
            repeats = before.repeats + 1 if before and allowed == "repeat interval elapsed" else 0
            told[name] = Told(at=now, firing=_firing(members, quiet.hidden.keys() - known), repeats=repeats)
            tells = _told_alerts(members, before, integration.send_resolved, quiet)
            sent += [_notification(group, integration, allowed, tells, now)] if tells else []
        mark = _kept_back(wanted, members, quiet) if wanted and not allowed else ""
        if mark and mark != withheld.get(name):
            tells = _told_alerts(members, before, integration.send_resolved, Quiet())
            one = _notification(group, integration, wanted or "late", tells, now)
            kept_back += [msgspec.structs.replace(one, withheld=_because(members, quiet))] if tells else []
        withheld = {**withheld, name: mark} if mark else {key: old for key, old in withheld.items() if key != name}
    firing = _firing(members)
    if not firing and not (quiet.muted and withheld):
        return Flushed(None, sent, kept_back)
    left = firing if not quiet.muted else tuple(alert.fingerprint for alert in members)
    after = msgspec.structs.replace(
        group, members=left, told=told, withheld=withheld, flush_at=now + route.group_interval, flushed=True
    )
    return Flushed(after, sent, kept_back)


def _firing(members: Iterable[Alert], without: AbstractSet[str] = frozenset()) -> tuple[str, ...]:
    marks = [alert.fingerprint for alert in members if alert.state == "firing" and alert.fingerprint not in without]
    return tuple(sorted(marks))


def _due(
    integration: Integration, before: Told | None, members: Sequence[Alert], route: Route, now: int, quiet: Quiet
) -> Reason | None:
    """Why the integration is to be told now of what is not kept quiet."""
    if quiet.muted:
        return None
    shown = [alert for alert in members if alert.fingerprint not in quiet.hidden]
    again = {alert.fingerprint for alert in shown if alert.state == "firing" and alert.reopened}
    over = [alert for alert in members if alert.state != "firing"]
    over = [alert for alert in over if not alert.late or alert.fingerprint not in quiet.hidden]
    hidden = _firing([alert for alert in members if alert.fingerprint in quiet.hidden])
    firing = _firing(shown)
    repeat = route.repeat_after(before.repeats if before else 0)
    reason = needs(before, firing, over, integration.send_resolved, repeat, now, again, hidden)
    is_known = reason == "repeat interval elapsed" and set(firing) <= quiet.acked.keys()
    return None if is_known else reason


def _kept_back(reason: Reason | None, members: Iterable[Alert], quiet: Quiet) -> str:
    """What is the same as long as nothing new is kept back."""
    why = sorted({*quiet.hidden.values(), *quiet.acked.values()})
    return "\0".join([str(reason), quiet.muted, *_firing(members), *why])


def _because(members: Iterable[Alert], quiet: Quiet) -> str:
    why = dict(quiet.acked) | dict(quiet.hidden)
    reasons = [why[alert.fingerprint] for alert in members if alert.fingerprint in why]
    return "; ".join(dict.fromkeys([quiet.muted] if quiet.muted else reasons))


def needs(
    told: Told | None,
    firing: tuple[str, ...],
    over: Iterable[Alert],
    send_resolved: bool,
    repeat: int,
    now: int,
    again: AbstractSet[str] = frozenset(),
    hidden: Collection[str] = (),
) -> Reason | None:
    """Why this integration is to be told now, or None; the order is that of Alertmanager's notify/dedup_stage.go.

    `over` are the group's alerts that fire no more; one that was resolved may be pending again. Other than there,
    nobody hears of the recovery of an alert that they were never told of. `again` are those that go on with an incident
    that seemed over: where nothing else is new they are `reopened`. `hidden` are those that fire and are not told.
    """
    late = any(alert.late for alert in over)
    known = () if told is None else told.firing
    new = set(firing).difference(known)
    if new:
        return "reopened" if new <= again else ("new alerts added" if known else "first notification")
    if told is None:
        return "late" if late else None
    if not firing and not hidden and told.firing:
        return "all alerts resolved"
    if late:
        return "late"
    if send_resolved and any(alert.fingerprint in told.firing for alert in over):
        return "some alerts resolved" if firing or hidden else None
    if not firing:
        return None
    return "repeat interval elapsed" if now - told.at >= repeat else None


def _told_alerts(members: list[Alert], before: Told | None, send_resolved: bool, quiet: Quiet) -> list[Alert]:
    """Those that fire, those that were late, and the recoveries of alerts that this integration had been told of."""
    known = set(before.firing) if before and send_resolved else set()
    return [
        alert
        for alert in members
        if (alert.state != "firing" and alert.fingerprint in known)
        or ((alert.state == "firing" or alert.late) and alert.fingerprint not in quiet.hidden)
    ]


def _notification(
    group: Group, integration: Integration, reason: Reason, alerts: list[Alert], now: int
) -> Notification:
    ordered = sorted(alerts, key=lambda alert: (alert.state != "firing", alert.starts_at or 0, alert.fingerprint))
    identity = "\0".join([group.key, integration.name, str(now), reason, *(alert.fingerprint for alert in ordered)])
    return Notification(
        id=f"msg_{sha256(identity.encode()).hexdigest()[:26]}",
        at=now,
        group_key=group.key,
        receiver=group.receiver,
        integration=integration.name,
        reason=reason,
        status="firing" if any(alert.state == "firing" for alert in alerts) else "resolved",
        group_labels=group.labels,
        alerts=tuple(_as_told(alert) for alert in ordered[:MOST_ALERTS]),
        truncated=max(0, len(ordered) - MOST_ALERTS),
    )


def _as_told(alert: Alert) -> NotifiedAlert:
    return NotifiedAlert(
        fingerprint=alert.fingerprint,
        status="firing" if alert.state == "firing" else "resolved",
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at=alert.starts_at or alert.changed_at,
        ends_at=None if alert.state == "firing" else alert.ends_at,
        late=alert.late,
        reason=alert.reason,
        sample=alert.sample,
        evidence=alert.evidence,
        explain=alert.explain,
        explained_at=alert.explained_at,
        first_seen=alert.first_seen,
        last_seen=alert.last_seen,
    )
