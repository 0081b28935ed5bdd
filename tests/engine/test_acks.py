"""Acknowledged: nobody is told again and again; whatever changes is told, and a recovery or the time-out ends it."""

from __future__ import annotations

from typing import Any

import pytest

from alertd.engine.acks import Ack, standing
from alertd.engine.alerts import Alert, fingerprint
from alertd.engine.groups import Group, Integration
from alertd.engine.outcome import Policy, Snapshot
from alertd.engine.routes import Route, Tree
from alertd.engine.telling import tell

NOW, HOUR = 1_800_000_000, 3600
ROUTE = Route(receiver="oncall", group_wait=0, group_interval=300, repeat_interval=HOUR)
POLICY = Policy(rules=(), tree=Tree(ROUTE), integrations={"oncall": (Integration("oncall/slack[0]"),)})


def alert(name: str = "Down", **values: Any) -> Alert:
    labels = {"alertname": name}
    known = {"rule": "R", "state": "firing", "starts_at": NOW, "changed_at": NOW, "labels": labels}
    return Alert(**(known | {"fingerprint": fingerprint(labels)} | values))


def ack(of: Alert | None = None, minute: int = 10, lasts: int = 24 * HOUR) -> Ack:
    at = NOW + 60 * minute
    return Ack(fingerprint=(of or alert()).fingerprint, at=at, until=at + lasts, by="ann", comment="looking")


@pytest.mark.parametrize(
    ("changes", "at", "holds"),
    [
        ({}, 600, True),
        ({}, 599, False),
        ({}, 600 + 24 * HOUR, False),
        ({"state": "resolved"}, 700, False),
        ({"starts_at": NOW + 650}, 700, False),  # it was over and fires anew
    ],
)
def test_it_stands_while_the_same_alert_fires(changes, at, holds):
    one = alert(**changes)
    assert bool(standing([ack()], {one.fingerprint: one}, NOW + at)) == holds


def test_of_an_alert_that_is_not_there_nothing_stands():
    assert standing([ack()], {}, NOW + 700) == {}


def told(*steps: tuple[int, tuple[Alert, ...], tuple[Ack, ...]]) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Minute and reason of what was sent, and minute and why of what was withheld."""
    groups: dict[str, Group] = {}
    sent, withheld = [], []
    for minute, alerts, acks in steps:
        known = {one.fingerprint: one for one in alerts}
        before = Snapshot(alerts={}, groups=groups, acks=acks)
        telling = tell(NOW + 60 * minute, POLICY, known, known.keys(), before)
        groups = {**groups, **{group.key: group for group in telling.groups}}
        groups = {key: group for key, group in groups.items() if key not in telling.gone}
        sent += [(minute, one.reason) for one in telling.notifications]
        withheld += [(minute, one.withheld) for one in telling.withheld]
    return sent, withheld


def test_it_is_not_told_again_and_once_it_is_kept_why():
    sent, withheld = told(*((minute, (alert(),), (ack(),)) for minute in range(0, 240, 5)))
    assert sent == [(0, "first notification")]
    assert withheld == [(60, "acknowledged by ann: looking")]


def test_when_it_times_out_it_is_told_again():
    sent, _ = told(*((minute, (alert(),), (ack(lasts=3 * HOUR),)) for minute in range(0, 240, 5)))
    assert sent == [(0, "first notification"), (190, "repeat interval elapsed")]


def test_the_recovery_is_told():
    over = alert(state="resolved", ends_at=NOW + 1200, changed_at=NOW + 1200)
    assert told((0, (alert(),), ()), (20, (over,), (ack(),)))[0] == [
        (0, "first notification"),
        (20, "all alerts resolved"),
    ]


def test_another_alert_of_the_group_is_told_and_goes_on_being_told():
    both = (alert(), alert("Slow"))
    steps = [(0, (alert(),), ()), *((minute, both, (ack(),)) for minute in range(15, 200, 5))]
    assert told(*steps)[0] == [
        (0, "first notification"),
        (15, "new alerts added"),
        (75, "repeat interval elapsed"),
        (135, "repeat interval elapsed"),
        (195, "repeat interval elapsed"),
    ]


def test_one_that_was_not_told_yet_is_told_though_somebody_looks_after_it():
    assert told((11, (alert(),), (ack(),)))[0] == [(11, "first notification")]
