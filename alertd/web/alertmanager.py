"""What Alertmanager's clients are told of alerts, groups and routes: its API v2, exact enough for amtool and Karma.

Shapes and behaviour are those of Alertmanager 0.34 (api/v2/openapi.yaml, api/v2/api.go).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from alertd import __version__
from alertd.clock import Clock
from alertd.config.intervaltables import WEEKDAYS
from alertd.engine.alerts import Alert
from alertd.engine.inhibition import Inhibitions
from alertd.engine.intervals import Range, TimeInterval, muting
from alertd.engine.outcome import Policy, Snapshot
from alertd.engine.posted import Posted, as_alert, is_posted
from alertd.engine.routes import Matcher, Place
from alertd.engine.silencenotes import silenced_by
from alertd.receivers.wording import alert_link
from alertd.store import Store
from alertd.web.answers import Handler, answering, as_json, time_text
from alertd.web.filters import filters_of, flag, pattern_of
from alertd.web.metrics import ALERTMANAGER

STANDS_FOR = 300
"""Seconds that an alert which fires is said to stand at least: clients expect an end, and it is put off as long as it
fires (Alertmanager's resolve_timeout)."""


@dataclass(frozen=True, slots=True)
class AlertmanagerApi:
    """The API over a store; `running` gives the policy of the running configuration, `address` that of the page."""

    store: Store
    running: Callable[[], Policy]
    address: Callable[[], str]
    clock: Clock
    began: float

    def routes(self) -> list[web.RouteDef]:
        """Every path."""
        paths: dict[str, Handler] = {
            "status": self.status,
            "alerts": self.alerts,
            "alerts/groups": self.groups,
            "receivers": self.receivers,
        }
        return [web.get(f"/api/v2/{path}", answering(handler)) for path, handler in paths.items()]

    async def status(self, _request: web.Request) -> web.Response:
        """What alertd is, and its routes; it is in no cluster."""
        return as_json(
            {
                "cluster": {"status": "disabled", "peers": []},
                "versionInfo": {
                    "version": ALERTMANAGER,
                    "revision": f"alertd {__version__}",
                    "branch": "",
                    "buildUser": "",
                    "buildDate": "",
                    "goVersion": "",
                },
                "config": {"original": as_alertmanager_yaml(self.running())},
                "uptime": time_text(self.began),
            }
        )

    async def alerts(self, request: web.Request) -> web.Response:
        """The alerts that fire, by fingerprint."""
        wanted = Wanted.of(request)
        told = [one.as_json(self.address()) for one in await self._standing() if wanted.takes(one)]
        return as_json(sorted(told, key=lambda one: str(one["fingerprint"])))

    async def groups(self, request: web.Request) -> web.Response:
        """The same in the groups of the routes; one that is in several stands in each."""
        wanted, found = Wanted.of(request), dict[str, dict[str, Any]]()
        for one in await self._standing():
            for place, muted in one.places:
                if not wanted.takes(one, place) or (muted and not wanted.muted):
                    continue
                group = found.setdefault(place.group_key(one.alert.labels), _group(place, one.alert.labels))
                group["alerts"].append(one.as_json(self.address(), wanted.receiver))
        told = sorted(found.values(), key=lambda group: (sorted(group["labels"].items()), group["receiver"]["name"]))
        for group in told:
            group["alerts"].sort(key=lambda one: sorted(one["labels"].items()))
        return as_json(told)

    async def receivers(self, _request: web.Request) -> web.Response:
        """The names of all receivers."""
        return as_json([{"name": name} for name in self.running().integrations])

    async def _standing(self) -> list[Standing]:
        now = int(self.clock.now())
        return standing(self.running(), await self.store.snapshot(now), now)


class Standing(NamedTuple):
    """An alert that fires, at `now`: where it is told, each with the time intervals that mute it there, what inhibits
    it (fingerprints), what silences it (ids), and how it was posted, if it was."""

    alert: Alert
    places: tuple[tuple[Place, tuple[str, ...]], ...]
    inhibited_by: tuple[str, ...]
    silenced_by: tuple[str, ...]
    is_grouped: bool
    now: int
    posted: Posted | None = None

    @property
    def state(self) -> str:
        """Alertmanager's word for how it stands."""
        if self.inhibited_by or self.silenced_by:
            return "suppressed"
        return "active" if self.is_grouped else "unprocessed"

    def as_json(self, address: str, among: re.Pattern[str] | None = None) -> dict[str, Any]:
        """As a client reads it; it links to the page at `address`, and names the receivers `among` those asked for."""
        alert = self.alert
        names = dict.fromkeys(place.route.receiver for place, _ in self.places)
        return {
            "annotations": dict(alert.annotations),
            "endsAt": time_text(self.posted.ends_at if self.posted else self.now + STANDS_FOR),
            "fingerprint": alert.fingerprint,
            "receivers": [{"name": name} for name in names if among is None or among.fullmatch(name)],
            "startsAt": time_text(alert.starts_at or alert.changed_at),
            "status": {
                "inhibitedBy": list(self.inhibited_by),
                "mutedBy": sorted({name for _, muted in self.places for name in muted}),
                "silencedBy": list(self.silenced_by),
                "state": self.state,
            },
            "updatedAt": time_text(self.posted.updated_at if self.posted else _changed_at(alert)),
            "generatorURL": self.posted.generator_url if self.posted else alert_link(address, alert.fingerprint),
            "labels": {name: value for name, value in alert.labels.items() if value},
        }


def standing(policy: Policy, snapshot: Snapshot, now: int) -> list[Standing]:
    """The alerts that fire, as a snapshot has them; those that were just posted are there before any decision."""
    posted = {one.fingerprint: one for one in snapshot.posted if one.fires(now)}
    firing = _firing(snapshot, posted)
    inhibitions = Inhibitions(policy.inhibit_rules, [(alert.fingerprint, alert.labels) for alert in firing])
    grouped = {member for group in snapshot.groups.values() for member in group.members}
    return [
        Standing(
            alert,
            tuple((place, _muted(policy, place, now)) for place in policy.tree.match(alert.labels)),
            inhibitions.of(alert.fingerprint, alert.labels),
            tuple(one.id for one in silenced_by(snapshot.silences, alert, now)),
            alert.fingerprint in grouped,
            now,
            posted.get(alert.fingerprint) if is_posted(alert) else None,
        )
        for alert in firing
    ]


def _firing(snapshot: Snapshot, posted: Mapping[str, Posted]) -> list[Alert]:
    firing = [alert for alert in snapshot.alerts.values() if alert.state == "firing"]
    known = {alert.fingerprint for alert in firing}
    soon = [one for one in posted.values() if one.fingerprint not in known]
    return firing + [
        msgspec.structs.replace(
            as_alert(one), annotations=one.annotations, starts_at=one.starts_at, changed_at=one.updated_at
        )
        for one in soon
    ]


def _changed_at(alert: Alert) -> int:
    return max(alert.changed_at, alert.elevated_at or 0)


def _muted(policy: Policy, place: Place, now: int) -> tuple[str, ...]:
    route = place.route
    return muting(route.mute_time_intervals, route.active_time_intervals, policy.intervals, now)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which alerts a request asks for."""

    active: bool
    silenced: bool
    inhibited: bool
    muted: bool
    matchers: tuple[Matcher, ...]
    receiver: re.Pattern[str] | None

    @classmethod
    def of(cls, request: web.Request) -> Wanted:
        """What the query says; BadRequestError if it cannot be read."""
        return cls(
            **{name: flag(request, name) for name in ("active", "silenced", "inhibited", "muted")},
            matchers=filters_of(request),
            receiver=pattern_of(request.query.get("receiver", "")),
        )

    def takes(self, one: Standing, place: Place | None = None) -> bool:
        """Whether the alert is asked for, at this place or at any."""
        hidden = (one.silenced_by and not self.silenced) or (one.inhibited_by and not self.inhibited)
        if hidden or (one.state == "active" and not self.active):
            return False
        if not all(matcher.matches(one.alert.labels) for matcher in self.matchers):
            return False
        names = [place.route.receiver] if place else [each.route.receiver for each, _ in one.places]
        return self.receiver is None or any(map(self.receiver.fullmatch, names))


def _group(place: Place, labels: Mapping[str, str]) -> dict[str, Any]:
    group_labels = place.group_labels(labels)
    return {
        "labels": group_labels,
        "routeLabels": {},
        "receiver": {"name": place.route.receiver},
        "alerts": [],
    }


def as_alertmanager_yaml(policy: Policy) -> str:
    """The routes as a configuration that Alertmanager's tools can read: receivers by name only, no secrets."""
    import yaml

    found: dict[str, Any] = {"route": _route(policy.tree.root)}
    found["receivers"] = [{"name": name} for name in policy.integrations]
    rules = [
        {
            "source_matchers": [str(matcher) for matcher in rule.source],
            "target_matchers": [str(matcher) for matcher in rule.target],
            "equal": list(rule.equal),
        }
        for rule in policy.inhibit_rules
    ]
    found |= {"inhibit_rules": rules} if rules else {}
    intervals = [_interval(named) for named in policy.intervals.values()]
    found |= {"time_intervals": intervals} if intervals else {}
    return str(yaml.safe_dump(found, sort_keys=False, allow_unicode=True))


def _route(place: Place) -> dict[str, Any]:
    route = place.route
    said: dict[str, Any] = {"receiver": route.receiver, "group_by": list(_labels(place))}
    said |= {"matchers": [str(matcher) for matcher in route.matchers]} if route.matchers else {}
    said |= {"continue": True} if route.continue_ else {}
    for name in ("mute_time_intervals", "active_time_intervals"):
        said |= {name: list(getattr(route, name))} if getattr(route, name) else {}
    said |= {name: f"{getattr(route, name)}s" for name in ("group_wait", "group_interval", "repeat_interval")}
    return said | ({"routes": [_route(below) for below in place.below]} if place.below else {})


def _interval(named: TimeInterval) -> dict[str, Any]:
    parts = []
    for one in named.intervals:
        times = [{"start_time": _clock(start), "end_time": _clock(end)} for start, end in one.times]
        part = {
            "times": times,
            "weekdays": [f"{WEEKDAYS[first]}:{WEEKDAYS[last]}" for first, last in one.weekdays],
            "days_of_month": _ranges(one.days_of_month),
            "months": _ranges(one.months),
            "years": _ranges(one.years),
            "location": one.location,
        }
        parts.append({name: value for name, value in part.items() if value})
    return {"name": named.name, "time_intervals": parts}


def _ranges(ranges: Iterable[Range]) -> list[str]:
    return [f"{first}:{last}" for first, last in ranges]


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _labels(place: Place) -> Iterable[str]:
    return ("...",) if place.route.group_by_all else place.route.group_by
