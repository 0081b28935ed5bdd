"""Which notifications a group sends, when and why: as Alertmanager means it, with late news beside."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from alertd.engine.alerts import Alert, State
from alertd.engine.groups import MOST_ALERTS, Group, Integration, Quiet, Reason, Told, flush, joined, needs, settled_in
from alertd.engine.routes import Matcher, Route, Tree

NOW = 1_772_452_800
HOUR = 3600
SLACK, MAIL = Integration("oncall/slack[0]"), Integration("oncall/email[0]", send_resolved=False)
ROUTE = Route(receiver="oncall", group_by=("alertname",), group_wait=30, group_interval=300, repeat_interval=4 * HOUR)


def alert(name: str, state: State = "firing", *, late: bool = False, started: int = NOW - 60, **labels: str) -> Alert:
    over = state != "firing"
    return Alert(
        fingerprint=name,
        rule="A",
        labels={"alertname": "A", "name": name, **labels},
        annotations={"summary": "s", "of": name},
        state=state,
        starts_at=started,
        ends_at=NOW if over else None,
        late=late,
        reason="because",
        changed_at=NOW,
    )


def group(*members: str, **told: Told) -> Group:
    by_name = {"slack": SLACK.name, "mail": MAIL.name}
    return Group(
        key='{}:{alertname="A"}',
        receiver="oncall",
        route="{}",
        labels={"alertname": "A"},
        members=members,
        told={by_name[name]: last for name, last in told.items()},
    )


def flushed(*alerts: Alert, integrations=(SLACK,), now: int = NOW, **told: Told):
    here = group(*(one.fingerprint for one in alerts), **told)
    return flush(here, ROUTE, {one.fingerprint: one for one in alerts}, integrations, now)[:2]


def told_of(*names: str, ago: int = 300) -> Told:
    return Told(at=NOW - ago, firing=names)


# why a notification is due, as in needsUpdate of notify/dedup_stage.go

FIRES, ENDED, LATE = alert("a"), alert("a", "resolved"), alert("a", "resolved", late=True)
ALSO, ALSO_ENDED = alert("b"), alert("b", "resolved")
REASONS = [
    # last told of, firing, over, wants recoveries, reason
    (None, ("a",), [], True, "first notification"),
    (None, (), [], True, None),
    (None, (), [ENDED], True, None),
    (None, (), [LATE], True, "late"),
    (None, (), [LATE], False, "late"),
    (None, ("b",), [LATE], True, "first notification"),
    (told_of(), ("a",), [], True, "first notification"),
    (told_of(), (), [], True, None),
    (told_of(), (), [ENDED], True, None),
    (told_of(), (), [LATE], True, "late"),
    (told_of("a"), ("a",), [], True, None),
    (told_of("a"), ("a", "b"), [], True, "new alerts added"),
    (told_of("a"), ("b",), [ENDED], True, "new alerts added"),
    (told_of("a"), ("b",), [ENDED], False, "new alerts added"),
    (told_of("a"), (), [ENDED], True, "all alerts resolved"),
    (told_of("a"), (), [ENDED], False, "all alerts resolved"),
    (told_of("a"), (), [], True, "all alerts resolved"),
    (told_of("a", "b"), ("b",), [ENDED], True, "some alerts resolved"),
    (told_of("a", "b"), ("b",), [ENDED], False, None),
    (told_of("a", "b"), ("b",), [], True, None),
    (told_of("b"), ("b",), [ENDED], True, None),  # nobody was told that it fired
    (told_of("b"), ("b",), [LATE], True, "late"),
    (told_of("a", ago=4 * HOUR - 1), ("a",), [], True, None),
    (told_of("a", ago=4 * HOUR), ("a",), [], True, "repeat interval elapsed"),
    (told_of("a", "b", ago=4 * HOUR), ("a",), [], False, "repeat interval elapsed"),
    (told_of(ago=9 * HOUR), (), [ENDED], True, None),
]


AGAIN = [
    # last told of, firing, which of them again, reason
    (None, ("a",), {"a"}, "reopened"),
    (None, ("a", "b"), {"a"}, "first notification"),
    (told_of(), ("a",), {"a"}, "reopened"),
    (told_of("b"), ("a", "b"), {"a"}, "reopened"),
    (told_of("b"), ("a", "b", "c"), {"a"}, "new alerts added"),
    (told_of("a"), ("a",), {"a"}, None),
    (told_of("a", ago=4 * HOUR), ("a",), {"a"}, "repeat interval elapsed"),
]


@pytest.mark.parametrize(("told", "firing", "again", "reason"), AGAIN, ids=str)
def test_what_goes_on_after_it_seemed_over_is_no_news_of_its_own(told, firing, again, reason):
    assert needs(told, firing, [], True, 4 * HOUR, NOW, again) == reason


@pytest.mark.parametrize(("told", "firing", "over", "wants", "reason"), REASONS, ids=str)
def test_an_integration_is_told_for_a_reason_or_not_at_all(told, firing, over, wants, reason):
    assert needs(told, firing, over, wants, 4 * HOUR, NOW) == reason


def test_every_reason_is_reached_but_those_of_drills_and_escalations():
    assert {reason for *_, reason in REASONS + AGAIN} - {None} == set(get_args(Reason)) - {"test", "escalated"}


# when a group is looked at


def test_a_new_group_waits_for_company_and_an_old_one_for_its_next_turn():
    (first,) = joined({}, Tree(ROUTE), alert("a", started=NOW), NOW)
    assert (first.flush_at, first.members, first.key) == (NOW + 30, ("a",), '{}:{alertname="A"}')
    (second,) = joined({first.key: first}, Tree(ROUTE), alert("b", started=NOW + 9), NOW + 9)
    assert (second.flush_at, second.members) == (NOW + 30, ("a", "b"))
    assert joined({first.key: second}, Tree(ROUTE), alert("a"), NOW + 9) == []


def test_an_alert_that_has_fired_for_long_waits_no_more():
    (old,) = joined({}, Tree(ROUTE), alert("a", started=NOW - 31), NOW)
    assert old.flush_at == NOW


def test_late_news_waits_for_company_since_it_comes_in_portions():
    (late,) = joined({}, Tree(ROUTE), alert("a", "resolved", late=True, started=NOW - 9999), NOW)
    assert late.flush_at == NOW + 30


def test_after_a_flush_the_group_is_looked_at_every_group_interval_while_anything_fires():
    after, _ = flushed(FIRES, ALSO_ENDED, slack=told_of("a", "b"))
    assert after is not None
    assert (after.flush_at, after.members, after.flushed) == (NOW + 300, ("a",), True)
    after, _ = flushed(ENDED, slack=told_of("a"))
    assert after is None


# what is told


def test_a_notification_tells_what_fires_first_and_what_ended_since():
    ended, fires, older = alert("a", "resolved"), alert("b"), alert("c", started=NOW - 999)
    after, (sent,) = flushed(ended, fires, older, slack=told_of("a", "b", "c"))
    assert [(one.fingerprint, one.status) for one in sent.alerts] == [
        ("c", "firing"),
        ("b", "firing"),
        ("a", "resolved"),
    ]
    assert (sent.reason, sent.status, sent.integration, sent.receiver) == (
        "some alerts resolved",
        "firing",
        "oncall/slack[0]",
        "oncall",
    )
    assert [one.ends_at for one in sent.alerts] == [None, None, NOW]
    assert [one.fingerprint for one in sent.firing()] == ["c", "b"]
    assert [one.fingerprint for one in sent.resolved()] == ["a"]
    assert sent.common_labels == {"alertname": "A"}
    assert sent.common_annotations == {"summary": "s"}
    assert after is not None
    assert after.told == {SLACK.name: Told(at=NOW, firing=("b", "c"))}


def test_what_fired_and_ended_between_two_looks_is_told_to_nobody():
    after, sent = flushed(ENDED)
    assert (after, sent) == (None, [])
    after, (sent,) = flushed(ENDED, ALSO)
    assert [one.fingerprint for one in sent.alerts] == ["b"]


def test_what_ended_and_fires_again_before_the_look_is_no_news():
    assert flushed(FIRES, slack=told_of("a"))[1] == []


@pytest.mark.parametrize("state", ["pending", "inactive", "resolved"])
def test_an_alert_that_fires_no_more_is_told_as_resolved_whatever_has_become_of_it(state):
    after, (sent,) = flushed(alert("a", state), slack=told_of("a"))
    assert (after, sent.reason, sent.status) == (None, "all alerts resolved", "resolved")
    assert [(one.status, one.ends_at) for one in sent.alerts] == [("resolved", NOW)]
    _, (sent,) = flushed(alert("a", state), ALSO, slack=told_of("a", "b"))
    assert sent.reason == "some alerts resolved"


def test_who_wants_no_recoveries_hears_of_none_but_of_late_news():
    assert flushed(ENDED, integrations=[MAIL], mail=told_of("a")) == (None, [])
    _, (sent,) = flushed(ENDED, ALSO, integrations=[MAIL], mail=told_of("a"))
    assert [one.fingerprint for one in sent.alerts] == ["b"]
    _, (sent,) = flushed(LATE, integrations=[MAIL])
    assert (sent.reason, sent.status, sent.alerts[0].late) == ("late", "resolved", True)


def test_integrations_of_one_receiver_are_told_each_by_what_it_knows():
    after, sent = flushed(
        alert("a"), alert("b", "resolved"), integrations=[SLACK, MAIL], slack=told_of("a", "b"), mail=told_of("a", "b")
    )
    assert [(one.integration, one.reason) for one in sent] == [(SLACK.name, "some alerts resolved")]
    assert after is not None
    assert after.told[MAIL.name] == told_of("a", "b")
    _, sent = flushed(alert("a"), integrations=[SLACK, MAIL], slack=told_of("a"))
    assert [(one.integration, one.reason) for one in sent] == [(MAIL.name, "first notification")]


def test_a_receiver_without_integrations_is_told_nothing_and_its_group_lives_on():
    after, sent = flushed(FIRES, integrations=[])
    assert sent == []
    assert after is not None
    assert after.members == ("a",)


def test_a_notification_holds_so_many_alerts_and_counts_the_rest():
    many = [alert(f"{number:04}", "resolved" if number < 30 else "firing") for number in range(MOST_ALERTS + 30)]
    _, (sent,) = flushed(*many, slack=told_of(*(one.fingerprint for one in many)))
    assert (len(sent.alerts), sent.truncated) == (MOST_ALERTS, 30)
    assert sent.resolved() == []  # what fires comes first
    assert sent.status == "firing"


def test_ids_are_the_same_for_the_same_news_and_differ_for_any_other():
    def ids(*alerts: Alert, now: int = NOW, key: str = "k", **told: Told) -> list[str]:
        _, sent = flushed(*alerts, integrations=[SLACK, Integration("oncall/webhook[0]")], now=now, **told)
        return [one.id for one in sent]

    news = [
        ids(FIRES),
        ids(FIRES, now=NOW + 300),
        ids(FIRES, ALSO),
        ids(FIRES, ALSO, slack=told_of("a")),
        ids(ENDED, slack=told_of("a")),
    ]
    every = [one for few in news for one in few]
    assert news[0] == ids(FIRES)
    assert len(set(every)) == len(every) - 1  # the third and the fourth tell the webhook the same
    assert all(one.startswith("msg_") for one in every)


# when routes change


def test_a_group_is_told_by_what_its_route_says_today():
    tree = Tree(Route(receiver="newcomer", group_by=("alertname",)))
    today = settled_in(group("a"), tree, {"a": FIRES})
    assert (today.receiver, today.members) == ("newcomer", ("a",))
    _, (sent,), _ = flush(today, ROUTE, {"a": FIRES}, [Integration("newcomer/slack[0]")], NOW)
    assert (sent.receiver, sent.reason) == ("newcomer", "first notification")


def test_an_alert_that_another_route_tells_now_leaves_its_old_group():
    pager = Route(receiver="pager", matchers=(Matcher.parse("severity=page"),), group_by=("alertname",))
    tree = Tree(Route(receiver="oncall", group_by=("alertname",), routes=(pager,)))
    alerts = {"a": alert("a", severity="page"), "b": alert("b", severity="ticket")}
    assert settled_in(group("a", "b"), tree, alerts).members == ("b",)
    other_groups = Tree(Route(receiver="oncall", group_by=("name",)))
    assert settled_in(group("a", "b"), other_groups, alerts).members == ()
    assert settled_in(group("a", "gone"), Tree(ROUTE), alerts).members == ("a",)


# what keeps a group quiet

HIDDEN, MUTED = Quiet(hidden={"a": "inhibited by Down (d)"}), Quiet(muted="muted by the time interval nights")


def quietly(here: Group, *alerts: Alert, quiet: Quiet = HIDDEN, now: int = NOW):
    return flush(here, ROUTE, {one.fingerprint: one for one in alerts}, (SLACK,), now, quiet)


def why_withheld(flushed) -> list[tuple[str, str]]:
    return [(one.reason, one.withheld) for one in flushed.withheld]


def test_a_hidden_alert_is_not_told_and_it_is_said_why_once():
    first = quietly(group("a"), FIRES)
    assert first.notifications == []
    assert why_withheld(first) == [("first notification", "inhibited by Down (d)")]
    again = quietly(first.group, FIRES, now=NOW + 300)
    assert (again.notifications, again.withheld) == ([], [])


def test_what_is_not_hidden_any_more_is_told_as_if_it_were_new():
    before = quietly(group("a"), FIRES).group
    (sent,) = quietly(before, FIRES, quiet=Quiet(), now=NOW + 300).notifications
    assert (sent.reason, [one.fingerprint for one in sent.alerts]) == ("first notification", ["a"])


def test_the_others_of_its_group_are_told_without_it():
    flushed = quietly(group("a", "b"), FIRES, ALSO)
    (sent,) = flushed.notifications
    assert [one.fingerprint for one in sent.alerts] == ["b"]
    assert flushed.group.told[SLACK.name].firing == ("b",)


def test_who_was_told_of_an_alert_hears_that_it_is_over_though_it_is_hidden_by_now():
    before = quietly(group("a", slack=told_of("a")), FIRES)
    assert (before.notifications, before.withheld) == ([], [])  # nothing new to tell
    after = quietly(before.group, ENDED, now=NOW + 300)
    assert [(one.reason, one.status) for one in after.notifications] == [("all alerts resolved", "resolved")]
    assert after.group is None


def test_an_alert_that_was_told_and_hidden_is_not_told_as_over_while_it_fires():
    flushed = quietly(group("a", "b", slack=told_of("a", "b")), FIRES, ALSO_ENDED)
    (sent,) = flushed.notifications
    assert (sent.reason, [one.fingerprint for one in sent.alerts]) == ("some alerts resolved", ["b"])
    assert flushed.group.told[SLACK.name].firing == ("a",)
    shown = quietly(flushed.group, FIRES, quiet=Quiet(), now=NOW + 300)
    assert shown.notifications == []  # it is known


def test_a_hidden_alert_that_nobody_was_told_of_ends_in_silence():
    before = quietly(group("a"), FIRES).group
    after = quietly(before, ENDED, now=NOW + 300)
    assert (after.group, after.notifications) == (None, [])


def test_late_news_of_a_hidden_alert_is_withheld():
    flushed = quietly(group("a"), LATE)
    assert (flushed.notifications, why_withheld(flushed)) == ([], [("late", "inhibited by Down (d)")])


def test_a_muted_group_waits_and_tells_afterwards_what_is_left_to_tell():
    muted = quietly(group("a", "b"), FIRES, ALSO, quiet=MUTED)
    assert why_withheld(muted) == [("first notification", "muted by the time interval nights")]
    assert (muted.notifications, muted.group.told, muted.group.flush_at) == ([], {}, NOW + 300)
    (sent,) = quietly(muted.group, FIRES, ALSO_ENDED, quiet=Quiet(), now=NOW + 300).notifications
    assert (sent.reason, [one.fingerprint for one in sent.alerts]) == ("first notification", ["a"])


def test_a_recovery_in_the_muted_time_is_told_after_it():
    muted = quietly(group("a", slack=told_of("a")), ENDED, quiet=MUTED)
    assert why_withheld(muted) == [("all alerts resolved", "muted by the time interval nights")]
    (sent,) = quietly(muted.group, ENDED, quiet=Quiet(), now=NOW + 300).notifications
    assert (sent.reason, sent.status) == ("all alerts resolved", "resolved")


def test_what_began_and_ended_in_the_muted_time_is_forgotten():
    muted = quietly(group("a"), FIRES, quiet=MUTED)
    assert quietly(muted.group, ENDED, quiet=MUTED, now=NOW + 300).group is None


def test_nothing_is_withheld_from_who_would_not_have_been_told():
    here = group("a", mail=told_of("a"))
    flushed = flush(here, ROUTE, {"a": ENDED}, (MAIL,), NOW, MUTED)
    assert (flushed.notifications, flushed.withheld) == ([], [])


def test_a_repeat_that_is_muted_is_said_to_be_withheld():
    flushed = quietly(group("a", slack=told_of("a", ago=5 * HOUR)), FIRES, quiet=MUTED)
    assert why_withheld(flushed) == [("repeat interval elapsed", "muted by the time interval nights")]


# repeats that grow rarer


def repeated(route: Route, hours: int) -> list[int]:
    """After how many hours the same was told again, looked at every five minutes."""
    here, told = group("a"), []
    for minute in range(0, hours * 60, 5):
        flushed = flush(here, route, {"a": FIRES}, (SLACK,), NOW + 60 * minute)
        here = flushed.group
        told += [minute // 60 for one in flushed.notifications if one.reason == "repeat interval elapsed"]
    return told


def test_repeats_come_at_the_interval_unless_they_are_to_grow_rarer():
    assert repeated(ROUTE, 25) == [4, 8, 12, 16, 20, 24]
    assert repeated(replace(ROUTE, repeat_factor=2.0), 100) == [4, 12, 28, 52, 76]


def test_news_make_repeats_frequent_again():
    rarer = replace(ROUTE, repeat_factor=2.0)
    before = group("a", "b", slack=Told(at=NOW - 300, firing=("a",), repeats=3))
    (sent,) = (flushed := flush(before, rarer, {"a": FIRES, "b": ALSO}, (SLACK,), NOW)).notifications
    assert (sent.reason, flushed.group.told[SLACK.name].repeats) == ("new alerts added", 0)


@pytest.mark.parametrize(
    ("factor", "most", "hours"), [(1.0, 1, 4), (3.0, 24 * HOUR, 12), (3.0, HOUR, 4), (10.0, 10**9, 40)]
)
def test_the_next_repeat_is_bounded(factor, most, hours):
    route = replace(ROUTE, repeat_factor=factor, repeat_at_most=most)
    assert (route.repeat_after(0), route.repeat_after(1)) == (4 * HOUR, hours * HOUR)
    assert route.repeat_after(10**6) <= max(most, 4 * HOUR)
