"""Whether rules do what a test expects: its rooms through the evaluator that runs live, with the clock of the case."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from alertd.backtest.curves import scene_of, seen
from alertd.caserooms import settled_rooms
from alertd.config.casefiles import Cases
from alertd.config.casetables import AlertTable, CaseTable, NotificationTable
from alertd.engine.alerts import Alert
from alertd.engine.counting import Windows
from alertd.engine.durations import format_duration
from alertd.engine.fields import Field
from alertd.engine.groups import Notification
from alertd.engine.kinds import Absent
from alertd.engine.outcome import LISTED_AFTER, Outcome, Policy, Sight, Snapshot
from alertd.engine.populations import GroupWindow
from alertd.engine.records import SettledRoom
from alertd.engine.routes import Tree
from alertd.engine.rules import Rule
from alertd.engine.samples import Peer, Scene
from alertd.engine.shortfall import shortfall
from alertd.engine.windows import MINUTE
from alertd.replay import FOREVER, Replay, play

UNTIL = 86400
"""Seconds behind the last room for which a case goes on that expects nothing at any moment."""

MOST_TOLD = 5
"""Groups of a rule that are told where an alert is missing."""
ALL_LISTED = "a test lists all alerts, of all rules of its file, that are pending or firing at the moment"


class Mismatch(NamedTuple):
    """Where a test fails: `place` in its file, what (`alerts at 40m`), the lines expected and come, and why so."""

    place: str
    what: str
    expected: tuple[str, ...]
    came: tuple[str, ...]
    why: tuple[str, ...] = ()


class Verdict(NamedTuple):
    """What became of one test; it passed if there are no mismatches. `seconds` is how long it took."""

    file: str
    place: str
    name: str
    seconds: float
    mismatches: tuple[Mismatch, ...]


class _Played(NamedTuple):
    """A case after it was played: its rooms, what stood at each moment that it asks about, and what was sent."""

    case: CaseTable
    start: int
    rooms: Sequence[SettledRoom]
    at: dict[int, Snapshot]
    notifications: Sequence[Notification]

    def offset(self, moment: int | None) -> str:
        """A moment as the case writes it."""
        return format_duration(max(0, (moment or self.start) - self.start))


async def run_test(cases: Cases, place: int) -> Verdict:
    """Play the test at this place of the file, and compare."""
    began, case = time.perf_counter(), cases.tests[place]
    played = await _play(cases, case)
    mismatches = [*_alerts_compared(cases, place, played), *_notifications_compared(cases, place, played)]
    seconds = time.perf_counter() - began
    return Verdict(cases.file, cases.place(place, "name"), case.name, seconds, tuple(mismatches))


async def _play(cases: Cases, case: CaseTable) -> _Played:
    start, routing = int(case.start.timestamp()), cases.routing
    rooms = settled_rooms(case, routing.settle_timeout)
    accounts = tuple(sorted({room.account for room in rooms})) or ("production",)
    sights = [Sight(account=account, seen_from=start, seen_until=FOREVER) for account in accounts]
    policy = Policy(
        rules=cases.rules,
        tree=Tree(routing.route),
        integrations=routing.integrations,
        accounts=accounts,
        inhibit_rules=routing.inhibit_rules,
        intervals=routing.intervals,
    )
    replay = Replay(rooms, begin=start - 1, sights=sights)
    moments = sorted({start + expected.at for expected in case.expect}) or [(replay.last or start) + UNTIL]
    found: dict[int, Snapshot] = {}

    def judged(at: int, _outcome: Outcome, after: Snapshot) -> None:
        found[moments[bisect_left(moments, at)]] = after

    await play(replay, policy, _shown, moments[-1], judged)
    stands = Snapshot(alerts={}, groups={})
    for moment in moments:  # of two in one minute the second may have no decision of its own
        stands = found.setdefault(moment, stands)
    return _Played(case, start, rooms, found, replay.notifications)


def _shown(_field: Field, value: str) -> str:
    """Nobody in a test is real."""
    return value


# Alerts


def _alerts_compared(cases: Cases, place: int, played: _Played) -> Iterator[Mismatch]:
    for nth, expected in enumerate(played.case.expect):
        moment = played.start + expected.at
        alerts = sorted(played.at[moment].alerts.values(), key=lambda alert: sorted(alert.labels.items()))
        asked = {one.state for one in expected.alerts} | {"pending", "firing"}
        missing, others = _matched(expected.alerts, [alert for alert in alerts if alert.state in asked])
        surplus = [alert for alert in others if alert.state != "resolved"]
        if missing or surplus:
            came = [alert for alert in alerts if alert.state in asked]
            yield Mismatch(
                cases.place(place, "expect", nth),
                f"alerts at {format_duration(expected.at)}",
                tuple(_expected_alert(one) for one in expected.alerts) or ("none",),
                tuple(_came(played, one, others) for one in came) or ("none",),
                (*_reasons(cases.rules, played, moment, missing, alerts), *([ALL_LISTED] if surplus else [])),
            )


def _came(played: _Played, alert: Alert, others: Sequence[Alert]) -> str:
    """An alert that came, and whether the test asks for it; one that is over may come unasked."""
    if not any(alert is one for one in others):
        return f"as expected: {_alert(played, alert)}"
    return f"{'besides' if alert.state == 'resolved' else 'surplus'}: {_alert(played, alert)}"


def _matched(expected: Iterable[AlertTable], alerts: Sequence[Alert]) -> tuple[list[AlertTable], list[Alert]]:
    """What is expected and did not come, and what came and is not expected; the most precise find theirs first."""
    missing, others = [], list(alerts)
    for one in sorted(expected, key=lambda one: -len(one.labels)):
        found = next((alert for alert in others if _fits(one, alert)), None)
        if found is None:
            missing.append(one)
        else:
            others.remove(found)
    return missing, others


def _fits(expected: AlertTable, alert: Alert) -> bool:
    wanted = expected.labels | {"alertname": expected.alert}
    return alert.state == expected.state and wanted.items() <= alert.labels.items()


def _expected_alert(expected: AlertTable) -> str:
    return f"{_named(expected.alert, expected.labels)} {expected.state}"


def _alert(played: _Played, alert: Alert) -> str:
    since = {"pending": alert.active_at, "firing": alert.starts_at, "resolved": alert.ends_at}.get(alert.state)
    name = _named(alert.labels["alertname"], alert.labels)
    return f"{name} {alert.state} since {played.offset(since or alert.changed_at)}: {alert.reason}"


def _named(alert: str, labels: dict[str, str]) -> str:
    pairs = [f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "alertname" and value]
    return f"{alert}{{{', '.join(pairs)}}}" if pairs else alert


def _reasons(
    rules: Iterable[Rule], played: _Played, moment: int, missing: Sequence[AlertTable], alerts: Iterable[Alert]
) -> Iterator[str]:
    """What each rule that should have fired saw: its alerts that are over, and the groups in which one is missing."""
    for name in dict.fromkeys(one.alert for one in missing):
        own = [alert for alert in alerts if alert.labels["alertname"] == name]
        yield from (_alert(played, alert) for alert in own if alert.state in ("inactive", "resolved"))
        if not own:
            yield f"no alert of {name} was ever pending"
        wanted = [one.labels for one in missing if one.alert == name]
        for rule in rules:
            if rule.alert == name:
                floors = {alert.fingerprint: alert.floor for alert in own}
                yield from _looks(rule, played, moment, wanted, floors)


def _looks(
    rule: Rule, played: _Played, moment: int, wanted: Iterable[dict[str, str]], floors: dict[str, int]
) -> Iterator[str]:
    """What the rule says at the moment of the groups with the labels that are wanted, or that there is none."""
    windows = Windows([rule], _shown)
    for room in played.rooms:
        if room.known_at <= moment:
            windows.fold(room)
    groups = list(windows.groups(rule))
    if isinstance(rule.kind, Absent):
        groups = [windows.starts(rule, account) for account in windows.accounts(moment // MINUTE)]
    peers = [Peer(group.series) for group in groups]
    told: dict[str, str] = {}
    for labels in wanted:
        fitting = [group for group in groups if labels.items() <= group.labels.items()]
        if not fitting:
            yield _no_such(rule, labels, groups)
        for group in fitting[:MOST_TOLD]:
            floor = floors.get(group.fingerprint, 0)
            scene = scene_of(rule, group, peers, moment, floor, played.at[moment], LISTED_AFTER)
            told[group.fingerprint] = f"{_named(rule.alert, group.labels)}: {_look(rule, group, scene)}"
    yield from told.values()


def _look(rule: Rule, group: GroupWindow, scene: Scene) -> str:
    """What the rule sees of a group, and why it does not hold."""
    found = seen(rule, group, scene)
    if found is None:
        earlier = f", {group.series.matched} did before" if group.series.matched else ""
        return f"nothing in its window matches{earlier} ({rule.kind.in_words()})"
    sample, holds = found
    if not holds:
        return f"{rule.kind.describe(sample)}; does not hold: {shortfall(rule.kind, sample)}"
    still = f", and has to for {format_duration(rule.hold_for)}" if rule.hold_for else ""
    return f"{rule.kind.describe(sample)}; holds{still}"


def _no_such(rule: Rule, labels: dict[str, str], groups: Sequence[GroupWindow]) -> str:
    known = ", ".join(_named(rule.alert, group.labels) for group in groups[:MOST_TOLD]) or "none"
    more = f" and {len(groups) - MOST_TOLD} more" if len(groups) > MOST_TOLD else ""
    return f"the rule has no group {_named(rule.alert, labels)}; its groups by then: {known}{more}"


# Notifications


def _notifications_compared(cases: Cases, place: int, played: _Played) -> Iterator[Mismatch]:
    expected = played.case.expect_notifications
    if expected is None:
        return
    came = _by_receiver(played.notifications)
    if len(came) == len(expected) and all(map(_tells, expected, came)):
        return
    yield Mismatch(
        cases.place(place, "expect_notifications"),
        "notifications",
        tuple(_expected_notification(one) for one in expected) or ("none",),
        tuple(_notification(played, one) for one in came) or ("none",),
    )


def _by_receiver(notifications: Iterable[Notification]) -> list[Notification]:
    """The notifications, those that all integrations of one receiver were told alike only once."""
    found: dict[object, Notification] = {}
    for one in notifications:
        found.setdefault((one.at, one.group_key, one.receiver, one.reason, tuple(_names(one))), one)
    return list(found.values())


def _names(notification: Notification) -> list[str]:
    return sorted(alert.labels["alertname"] for alert in notification.alerts)


def _tells(expected: NotificationTable, came: Notification) -> bool:
    return (
        expected.receiver in (None, came.receiver)
        and expected.status == came.status
        and expected.reason in (None, came.reason)
        and sorted(expected.alerts) == _names(came)
    )


def _expected_notification(expected: NotificationTable) -> str:
    why = f" ({expected.reason})" if expected.reason else ""
    return f"{expected.receiver or 'anybody'} {expected.status}{why}: {', '.join(sorted(expected.alerts))}"


def _notification(played: _Played, one: Notification) -> str:
    return f"{one.receiver} {one.status} ({one.reason}): {', '.join(_names(one))} at {played.offset(one.at)}"
