"""What Prometheus' clients are told: the rules and the alerts, in the shapes of its HTTP API.

Shapes, parameters and errors are those of Prometheus 3 (https://prometheus.io/docs/prometheus/latest/querying/api/,
"Rules" and "Alerts"; web/api/v1/api.go). Each alert has one more object, `alertd`, as it has in webhooks.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePath
from typing import Any, NamedTuple

from aiohttp import web

from alertd.clock import Clock
from alertd.engine.alerts import Alert
from alertd.engine.conditions import EVERYTHING
from alertd.engine.outcome import Policy, Snapshot
from alertd.engine.rules import Rule
from alertd.engine.windows import MINUTE
from alertd.errors import StoreError
from alertd.receivers.webhook import facts, rfc3339
from alertd.store import Store
from alertd.web.answers import as_json

Handler = Callable[[web.Request], Awaitable[object]]

NEVER = "0001-01-01T00:00:00Z"
"""What Go writes for a time that has not come."""
YES, NO = frozenset({"1", "t", "true"}), frozenset({"", "0", "f", "false"})
"""How a flag of a request is set or not."""


class BadDataError(ValueError):
    """What a client asked for cannot be answered."""


@dataclass(frozen=True, slots=True)
class PrometheusApi:
    """The API over a store; `running` gives the policy of the running configuration."""

    store: Store
    running: Callable[[], Policy]
    clock: Clock

    def routes(self) -> list[web.RouteDef]:
        """Both paths."""
        return [
            web.get("/api/v1/rules", _answering(self.rules)),
            web.get("/api/v1/alerts", _answering(self.alerts)),
        ]

    async def rules(self, request: web.Request) -> object:
        """The rules by file, each with its alerts."""
        wanted = Wanted.of(request)
        found = await self._moment()
        files: dict[str, list[Rule]] = {}
        for rule in self.running().rules:
            files.setdefault(_file(rule), []).append(rule)
        groups = [_group(found, wanted, file, rules) for file, rules in files.items() if wanted.takes_group(file)]
        return {"groups": [group for group in groups if group["rules"]]}

    async def alerts(self, _request: web.Request) -> object:
        """What fires and what is pending, alerts about alertd itself among them."""
        found = await self._moment()
        of_rules = {rule.key for rule in self.running().rules}
        return {"alerts": [_alert(alert, found, by_rule=alert.rule in of_rules) for alert in found.active]}

    async def _moment(self) -> Moment:
        """Read in this order, an alert is never older than what is said of the time."""
        judged_until = await self.store.evaluated_until()
        return Moment.of(await self.store.snapshot(int(self.clock.now())), judged_until)


class Moment(NamedTuple):
    """What the store holds: up to when rules were judged, what is pending or fires, also by rule, and what fails."""

    judged_until: int | None
    active: Sequence[Alert]
    by_rule: Mapping[str, Sequence[Alert]]
    errors: Mapping[str, str]

    @classmethod
    def of(cls, snapshot: Snapshot, judged_until: int | None) -> Moment:
        """From a snapshot; alerts by fingerprint."""
        active = [alert for _, alert in sorted(snapshot.alerts.items()) if alert.state in ("pending", "firing")]
        by_rule: dict[str, list[Alert]] = {}
        for alert in active:
            by_rule.setdefault(alert.rule, []).append(alert)
        lasting = [one for one in snapshot.troubles if one.kind == "rule" and one.until is None]
        return cls(judged_until, active, by_rule, {one.subject: one.message for one in lasting})

    @property
    def judged_at(self) -> str:
        """When rules were last judged."""
        return rfc3339(self.judged_until) or NEVER


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rules a request asks for; an empty set leaves it open."""

    recording_only: bool
    names: frozenset[str]
    groups: frozenset[str]
    files: frozenset[str]
    with_alerts: bool

    @classmethod
    def of(cls, request: web.Request) -> Wanted:
        """What the query says; BadDataError if it cannot be read or is not supported."""
        query = request.query
        if "match[]" in query:
            raise BadDataError('invalid parameter "match[]": alertd has no selectors of series; use rule_name[]')
        kind = query.get("type", "").lower()
        if kind not in ("", "alert", "record"):
            raise BadDataError(f'invalid parameter "type": not supported value "{kind}"')
        exclude = query.get("exclude_alerts", "").lower()
        if exclude not in YES | NO:
            raise BadDataError(f'invalid parameter "exclude_alerts": "{exclude}" is neither true nor false')
        names, groups, files = (
            frozenset(query.getall(f"{name}[]", ())) for name in ("rule_name", "rule_group", "file")
        )
        return cls(kind == "record", names, groups, files, exclude in NO)

    def takes_group(self, file: str) -> bool:
        """Whether the rules of this file are asked for."""
        return (not self.files or file in self.files) and (not self.groups or _name(file) in self.groups)

    def takes(self, rule: Rule) -> bool:
        """Whether the rule is asked for; alertd has no recording rules."""
        return not self.recording_only and (not self.names or rule.alert in self.names)


def _file(rule: Rule) -> str:
    return rule.source.rpartition(":")[0]


def _name(file: str) -> str:
    return PurePath(file).stem


def _group(found: Moment, wanted: Wanted, file: str, rules: Iterable[Rule]) -> dict[str, Any]:
    """The rules of a file; how long they take is not measured, so that stays 0."""
    return {
        "name": _name(file),
        "file": file,
        "rules": [_rule(rule, found, wanted) for rule in rules if wanted.takes(rule)],
        "interval": MINUTE,
        "limit": 0,
        "evaluationTime": 0,
        "lastEvaluation": found.judged_at,
    }


def _rule(rule: Rule, found: Moment, wanted: Wanted) -> dict[str, Any]:
    active = found.by_rule.get(rule.key, ())
    states = {alert.state for alert in active}
    error = found.errors.get(rule.key)
    said = {
        "state": next((state for state in ("firing", "pending") if state in states), "inactive"),
        "name": rule.alert,
        "query": in_words(rule),
        "duration": rule.hold_for,
        "keepFiringFor": rule.keep_firing_for,
        "labels": rule.labels,
        "annotations": rule.templates,
        "alerts": [_alert(alert, found, by_rule=True) for alert in active if wanted.with_alerts],
        "health": "err" if error else "ok" if found.judged_until is not None else "unknown",
        "evaluationTime": 0,
        "lastEvaluation": found.judged_at,
        "type": "alerting",
    }
    return said | ({"lastError": error} if error else {})


def in_words(rule: Rule) -> str:
    """When an alert of the rule fires: `more than 5 % of participants within 1h; match: error == true; by: account`."""
    parts = [rule.kind.in_words()]
    parts += [f"match: {rule.match}"] if rule.match != EVERYTHING else []
    parts += [f"among: {rule.among}"] if rule.among != EVERYTHING else []
    return "; ".join([*parts, *([f"by: {', '.join(rule.by)}"] if rule.by else [])])


def _alert(alert: Alert, found: Moment, *, by_rule: bool) -> dict[str, Any]:
    quiet_since = _quiet_since(alert, found.judged_until) if by_rule else None
    said = {
        "labels": alert.labels,
        "annotations": alert.annotations,
        "state": alert.state,
        "activeAt": rfc3339(alert.active_at or alert.starts_at or alert.changed_at),
        "value": as_go_writes(1.0 if alert.sample is None else alert.sample.value),
        "alertd": facts(alert),
    }
    return said | ({"keepFiringSince": rfc3339(quiet_since)} if quiet_since is not None else {})


def _quiet_since(alert: Alert, judged_until: int | None) -> int | None:
    """The first minute without trouble of an alert that still fires; None while trouble goes on."""
    if alert.state != "firing" or alert.elevated_at is None or judged_until is None:
        return None
    calm = alert.elevated_at + MINUTE
    return calm if calm <= judged_until else None


def as_go_writes(value: float) -> str:
    """A number as Prometheus writes it, strconv.FormatFloat(value, 'e', -1, 64): `1e+00`, `1.017e-01`."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'+' if value > 0 else '-'}Inf"
    digits = len(Decimal(repr(float(value))).normalize().as_tuple().digits)
    return f"{value:.{digits - 1}e}"


def _answering(handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler's answer in Prometheus' envelope, and its errors."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return as_json({"status": "success", "data": await handler(request)})
        except BadDataError as error:
            return as_json({"status": "error", "errorType": "bad_data", "error": str(error)}, 400)
        except StoreError as error:
            return as_json({"status": "error", "errorType": "unavailable", "error": str(error)}, 503)

    return answer
