"""Escalation: whoever comes next is told when an alert fires on and nobody looks after it, and only then."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from alertd.engine.acks import Ack
from alertd.engine.alerts import Alert, fingerprint
from alertd.engine.groups import Group, Integration
from alertd.engine.outcome import Policy, Snapshot
from alertd.engine.routes import Escalation, Matcher, Route, Tree
from alertd.engine.silences import Draft, Silence, put
from alertd.engine.telling import tell

NOW, MINUTE, HOUR = 1_800_000_000, 60, 3600
ROUTE = Route(
    receiver="oncall",
    group_wait=0,
    group_interval=300,
    repeat_interval=4 * HOUR,
    escalations=(Escalation(after=900, receiver="manager"), Escalation(after=2700, receiver="director")),
)
WAYS = {name: (Integration(f"{name}/slack[0]"),) for name in ("oncall", "manager", "director")}
POLICY = Policy(rules=(), tree=Tree(ROUTE), integrations=WAYS)


def alert(name: str = "Down", **values: Any) -> Alert:
    labels = {"alertname": name}
    known = {"rule": "R", "state": "firing", "starts_at": NOW, "changed_at": NOW, "labels": labels}
    return Alert(**(known | {"fingerprint": fingerprint(labels)} | values))


def over(minute: int, name: str = "Down") -> Alert:
    at = NOW + MINUTE * minute
    return alert(name, state="resolved", ends_at=at, changed_at=at)


def ack(minute: int, name: str = "Down", lasts: int = 24 * HOUR) -> Ack:
    at = NOW + MINUTE * minute
    return Ack(fingerprint=alert(name).fingerprint, at=at, until=at + lasts, by="ann", comment="on it")


class Story:
    """Alerts told minute by minute, groups kept in between; `said` is (minute, receiver, reason)."""

    def __init__(self, *acks: Ack, silences: tuple[Silence, ...] = (), policy: Policy = POLICY) -> None:
        self.acks, self.silences, self.policy = acks, silences, policy
        self.groups: dict[str, Group] = {}
        self.said: list[tuple[int, str, str]] = []
        self.withheld: list[tuple[int, str, str]] = []

    def minutes(self, first: int, last: int, *alerts: Alert) -> Story:
        for minute in range(first, last):
            now = NOW + MINUTE * minute
            known = {one.fingerprint: one for one in alerts}
            before = Snapshot(alerts={}, groups=self.groups, acks=self.acks, silences=self.silences)
            telling = tell(now, self.policy, known, known.keys(), before)
            groups = self.groups | {group.key: group for group in telling.groups}
            self.groups = {key: group for key, group in groups.items() if key not in telling.gone}
            self.said += [(minute, one.receiver, one.reason) for one in telling.notifications]
            self.withheld += [(minute, one.receiver, one.withheld) for one in telling.withheld]
        return self


def test_each_next_one_is_told_when_the_time_has_come():
    assert Story().minutes(0, 60, alert()).said == [
        (0, "oncall", "first notification"),
        (15, "manager", "escalated"),
        (45, "director", "escalated"),
    ]


def test_nobody_else_is_told_if_somebody_looks_after_it():
    story = Story(ack(10)).minutes(0, 120, alert())
    assert story.said == [(0, "oncall", "first notification")]
    assert story.withheld == [
        (15, "manager", "acknowledged by ann: on it"),
        (45, "director", "acknowledged by ann: on it"),
    ]


def test_but_they_are_when_that_has_timed_out():
    said = Story(ack(10, lasts=HOUR)).minutes(0, 120, alert()).said
    assert said == [(0, "oncall", "first notification"), (70, "director", "escalated"), (70, "manager", "escalated")]


def test_nor_if_it_is_over():
    story = Story().minutes(0, 10, alert()).minutes(10, 120, over(10))
    assert story.said == [(0, "oncall", "first notification"), (10, "oncall", "all alerts resolved")]
    assert story.groups == {}


def test_who_was_told_is_told_of_the_recovery_though_it_was_acknowledged_meanwhile():
    story = Story(ack(20)).minutes(0, 30, alert()).minutes(30, 120, over(30))
    assert story.said == [
        (0, "oncall", "first notification"),
        (15, "manager", "escalated"),
        (30, "manager", "all alerts resolved"),
        (30, "oncall", "all alerts resolved"),
    ]


def test_each_alert_of_a_group_has_its_own_time():
    story = Story().minutes(0, 10, alert()).minutes(10, 40, alert(), alert("Slow", starts_at=NOW + 10 * MINUTE))
    assert story.said == [
        (0, "oncall", "first notification"),
        (10, "oncall", "new alerts added"),
        (15, "manager", "escalated"),
        (25, "manager", "escalated"),
    ]


def test_one_that_fires_anew_begins_anew():
    again = alert(starts_at=NOW + 14 * MINUTE)
    story = Story().minutes(0, 10, alert()).minutes(10, 14, over(10)).minutes(14, 40, again)
    assert [one for one in story.said if one[1] == "manager"] == [(29, "manager", "escalated")]


def test_what_nobody_was_told_of_is_not_passed_on():
    matchers = (Matcher.parse("alertname=Down"),)
    draft = Draft(matchers=matchers, starts_at=NOW, ends_at=NOW + HOUR, created_by="ann", comment="", annotations={})
    (silence,) = put(None, draft, NOW, "s1")
    assert Story(silences=(silence,)).minutes(0, 80, alert()).said == [
        (60, "oncall", "first notification"),
        (75, "manager", "escalated"),
    ]


def test_repeats_go_to_everybody_who_was_told():
    said = Story().minutes(0, 6 * 60, alert()).said
    assert [one for one in said if one[2] == "repeat interval elapsed"] == [
        (240, "oncall", "repeat interval elapsed"),
        (255, "manager", "repeat interval elapsed"),
        (285, "director", "repeat interval elapsed"),
    ]


def test_without_escalations_there_are_no_groups_for_them():
    plain = Policy(rules=(), tree=Tree(Route(receiver="oncall", group_wait=0)), integrations=WAYS)
    assert len(Story(policy=plain).minutes(0, 60, alert()).groups) == 1


@given(st.integers(0, 60), st.integers(1, 90), st.integers(1, 90))
def test_nobody_hears_of_it_before_those_ahead_nor_after_it_was_acknowledged(starts, acked, lasts):
    begins = starts + lasts
    story = Story(ack(starts + acked)).minutes(starts, begins, alert(starts_at=NOW + MINUTE * starts))
    times = {receiver: minute for minute, receiver, reason in story.said if reason != "repeat interval elapsed"}
    assert times.get("oncall") == starts
    for receiver, wait in (("manager", 15), ("director", 45)):
        expected = starts + wait if wait < lasts and wait < acked else None
        assert times.get(receiver) == expected
