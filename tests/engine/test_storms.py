"""Storms: ten thousand alerts at once are told within limits, and everybody is told what was cut."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.engine.alerts import Alert, fingerprint
from alertd.engine.groups import MOST_ALERTS, Group, Integration, Notification, NotifiedAlert
from alertd.engine.outcome import Policy, Snapshot
from alertd.engine.routes import Route, Tree
from alertd.engine.storms import MOST_MESSAGES, gathered
from alertd.engine.telling import tell

NOW = 1_800_000_000
WAYS = {"oncall": (Integration("oncall/slack[0]"), Integration("oncall/email[0]"))}


def alerts(number: int, state: str = "firing") -> dict[str, Alert]:
    made = {}
    for nth in range(number):
        labels = {"alertname": "Down", "host": f"h{nth:05d}", "rack": f"r{nth % 40}"}
        mark = fingerprint(labels)
        ends_at = None if state == "firing" else NOW + 300
        made[mark] = Alert(
            fingerprint=mark, rule="R", labels=labels, state=state, starts_at=NOW, changed_at=NOW, ends_at=ends_at
        )
    return made


@pytest.mark.parametrize(
    ("by", "messages", "shown", "cut"),
    [
        (("alertname",), 1, MOST_ALERTS, 10_000 - MOST_ALERTS),
        (("rack",), 40, 40 * MOST_ALERTS, 10_000 - 40 * MOST_ALERTS),
        (("host",), MOST_MESSAGES + 1, MOST_MESSAGES + MOST_ALERTS, 10_000 - MOST_MESSAGES - MOST_ALERTS),
    ],
)
def test_ten_thousand_alerts_at_once_are_told_and_what_is_cut_is_counted(by, messages, shown, cut):
    route = Route(receiver="oncall", group_by=by, group_wait=0, group_interval=300)
    policy = Policy(rules=(), tree=Tree(route), integrations=WAYS)
    known = alerts(10_000)
    telling = tell(NOW, policy, known, known.keys(), Snapshot(alerts={}, groups={}))
    for way in WAYS["oncall"]:
        told = [one for one in telling.notifications if one.integration == way.name]
        assert len(told) == messages
        assert sum(len(one.alerts) for one in told) == shown
        assert sum(one.truncated for one in told) == cut
    groups = {group.key: group for group in telling.groups}
    over = alerts(10_000, "resolved")
    after = tell(NOW + 300, policy, over, over.keys(), Snapshot(alerts={}, groups=groups))
    assert len(after.notifications) == 2 * messages
    assert {one.status for one in after.notifications} == {"resolved"}
    assert len(after.gone) == len(groups)


def notification(nth: int, integration: str, firing: int, over: int) -> Notification:
    told = tuple(
        NotifiedAlert(
            fingerprint=f"{nth}-{place}",
            status="firing" if place < firing else "resolved",
            labels={},
            annotations={},
            starts_at=NOW,
        )
        for place in range(firing + over)
    )
    return Notification(
        id=f"m{nth}{integration}",
        at=NOW,
        group_key=f"g{nth}",
        receiver="oncall",
        integration=integration,
        reason="first notification",
        status="firing" if firing else "resolved",
        group_labels={},
        alerts=told,
    )


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.integers(0, 3)), max_size=300))
def test_whatever_comes_every_alert_is_shown_or_counted_and_no_integration_gets_too_many(given_ones):
    before = [notification(nth, *one) for nth, one in enumerate(given_ones)]
    after = gathered(before)
    assert max(Counter(one.integration for one in after).values(), default=0) <= MOST_MESSAGES + 1
    for integration in "abc":
        counts = [
            sum(len(one.alerts) + one.truncated for one in ones if one.integration == integration)
            for ones in (before, after)
        ]
        assert counts[0] == counts[1]
    assert len({one.id for one in after}) == len(after)


def test_few_messages_are_left_as_they_are():
    few = [notification(nth, "a", 1, 0) for nth in range(MOST_MESSAGES + 1)]
    assert gathered(few) == few


def test_the_groups_of_a_storm_are_known_as_told():
    route = Route(receiver="oncall", group_by=("host",), group_wait=0, group_interval=300)
    policy = Policy(rules=(), tree=Tree(route), integrations=WAYS)
    known = alerts(200)
    telling = tell(NOW, policy, known, known.keys(), Snapshot(alerts={}, groups={}))
    groups: dict[str, Group] = {group.key: group for group in telling.groups}
    assert all(set(group.told) == {"oncall/slack[0]", "oncall/email[0]"} for group in groups.values())
    again = tell(NOW + 300, policy, known, (), Snapshot(alerts={}, groups=groups))
    assert again.notifications == ()
