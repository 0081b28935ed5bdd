"""What alertd says about itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alertd.engine.groups import Integration
from alertd.engine.health import KINDS, RULE_PREFIX, Trouble, ailments
from alertd.engine.outcome import Policy, Sight
from alertd.engine.routes import Matcher, Route, Tree

NOON = 1_772_452_800
SUBJECTS = {
    "account": "production",
    "config": "/etc/alertd/alertd.toml",
    "failing_rule": "A",
    "integration": "oncall/webhook[0]",
    "loop": "evaluate",
    "removed_integration": "gone/webhook[0]",
}


@pytest.fixture
def policy() -> Policy:
    route = Route(receiver="oncall", group_wait=0)
    told = {"oncall": (Integration("oncall/webhook[0]"),)}
    return Policy(rules=(), tree=Tree(route), integrations=told, accounts=("production", "staging"))


def trouble(kind: str, since: float, until: float | None = None, subject: str | None = None) -> Trouble:
    """Times in minutes after noon."""
    end = None if until is None else NOON + round(until * 60)
    name = subject or SUBJECTS[KINDS[kind].subject]
    return Trouble(kind=kind, subject=name, since=NOON + round(since * 60), message="it broke", until=end)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_trouble_fires_once_it_has_lasted_and_resolves_once_it_is_over(story, policy, kind):
    timing = KINDS[kind].timing
    wait, quiet = timing.hold_for // 60, timing.keep_firing_for // 60
    told = story(policy=policy, troubles=(trouble(kind, 10, 40 + wait),), minutes=300)
    name = KINDS[kind].alert
    assert told.events == [(10 + wait, "firing", name), (39 + wait + quiet, "resolved", name)]
    assert [reason for _, reason, _, _ in told.sent] == ["first notification", "all alerts resolved"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_tells_whom_it_concerns_what_happened_and_what_to_do(story, policy, kind):
    told = story(policy=policy, troubles=(trouble(kind, 10),), minutes=200)
    alert, subject = told.alert, SUBJECTS[KINDS[kind].subject]
    assert alert.labels == {"alertname": KINDS[kind].alert, KINDS[kind].subject: subject, "severity": "page"}
    assert alert.rule == f"{RULE_PREFIX}{kind}"
    assert alert.annotations["description"].startswith("it broke. ")
    assert len(alert.annotations["description"]) > len("it broke. ")
    assert "{" not in alert.annotations["summary"]


@pytest.mark.parametrize("kind", KINDS)
def test_once_it_is_resolved_each_says_so_and_asks_for_nothing_more(story, policy, kind):
    told = story(policy=policy, troubles=(trouble(kind, 10, 200),), minutes=300)
    assert told.alert.state == "resolved"
    subject = SUBJECTS[KINDS[kind].subject]
    expected = {"summary": KINDS[kind].over.format(subject=subject), "description": "It was: it broke."}
    assert told.alert.annotations == expected
    assert KINDS[kind].over != KINDS[kind].summary


def test_one_that_fires_still_though_its_trouble_is_over_for_a_moment_says_what_is_wrong(story, policy):
    told = story(policy=policy, troubles=(trouble("lost", 10, 20),), minutes=40)
    assert told.alert.state == "firing"
    assert told.alert.annotations["summary"] == "Rooms of account production were lost before they could be judged"


def test_what_needs_a_restart_is_not_said_to_take_effect_by_itself():
    remedy = KINDS["config"].remedy
    assert remedy.startswith("Where a restart is needed, restart alertd")
    assert "Anything else: correct it" in remedy


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].timing.hold_for])
def test_trouble_that_does_not_last_is_told_to_nobody(story, policy, kind):
    minutes = KINDS[kind].timing.hold_for / 60
    assert story(policy=policy, troubles=(trouble(kind, 10, 10 + minutes),)).events == []


def test_trouble_that_was_there_before_counts_anew(story, policy):
    before = [trouble("poll", -minute, 1 - minute) for minute in (500, 400, 300)]
    told = story(policy=policy, troubles=(*before, trouble("poll", 10)), minutes=60)
    assert told.events == [(15, "firing", "AlertdPollFailing")]


def test_trouble_that_comes_and_goes_is_one_alert(story, policy):
    times = tuple(trouble("poll", minute, minute + 9) for minute in range(10, 60, 10))
    told = story(policy=policy, troubles=times, minutes=120)
    assert [event for _, event, _ in told.events] == ["firing", "resolved"]


def test_in_whatever_order_its_times_are_given_trouble_lasts_as_long_as_one_of_them():
    lasting, over, longer = trouble("poll", 10), trouble("poll", 5, 8), trouble("poll", 1, 9)
    for times in ([lasting, over], [over, lasting], [over, longer], [longer, over]):
        (found,) = ailments(times, NOON + 15 * 60, "page")
        assert found.finding.holds == (lasting in times)
    (found,) = ailments([longer, over], NOON + 510, "page")
    assert found.finding.holds


def test_several_in_trouble_are_several_alerts(story, policy):
    told = story(policy=policy, troubles=(trouble("poll", 0), trouble("poll", 20, subject="staging")), minutes=60)
    assert told.events == [(6, "firing", "AlertdPollFailing"), (25, "firing", "AlertdPollFailing")]
    assert {alert.labels["account"] for alert in told.alerts.values()} == {"production", "staging"}


@pytest.mark.parametrize("kind", ["credentials", "undelivered"])
def test_trouble_of_what_has_left_the_configuration_is_over(story, policy, kind):
    without = Policy(rules=(), tree=policy.tree, integrations={"oncall": ()})
    told = story(policy=policy, troubles=(trouble(kind, 10),), minutes=30, policies={NOON + 20 * 60: without})
    assert [(at, event) for at, event, _ in told.events] == [(10, "firing"), (20, "resolved")]


def test_what_is_not_known_yet_does_not_count_in_a_replay_of_the_past():
    assert ailments([trouble("poll", 10)], NOON, "page") == []
    (past,) = ailments([trouble("poll", 10, 20)], NOON + 15 * 60, "ticket")
    assert past.finding.holds
    assert past.labels["severity"] == "ticket"


def test_an_account_that_cannot_be_seen_is_still_alerted_on(story, policy):
    sight = Sight(account="production", seen_from=NOON, seen_until=NOON)
    told = story(policy=policy, troubles=(trouble("poll", 1, 30),), sights=(sight,), minutes=60)
    assert told.events == [(6, "firing", "AlertdPollFailing"), (31, "resolved", "AlertdPollFailing")]


def test_where_looks_are_rare_one_that_fails_is_no_news(story, policy):
    rare = replace(policy, blind_after=1800)
    assert story(policy=rare, troubles=(trouble("poll", 10, 24),), minutes=60).events == []
    assert story(policy=rare, troubles=(trouble("poll", 10),), minutes=60).events == [
        (25, "firing", "AlertdPollFailing")
    ]


# the heartbeat


def beating(matcher: str = 'alertname="Watchdog"', **parts) -> dict[str, object]:
    below = Route(
        receiver="deadman", group_wait=0, group_interval=60, repeat_interval=60, matchers=(Matcher.parse(matcher),)
    )
    tree = Tree(Route(receiver="oncall", routes=(below,)))
    told = {"deadman": (Integration("deadman/webhook[0]"),), "oncall": (Integration("oncall/webhook[0]"),)}
    return {"tree": tree, "integrations": told, "heartbeat": True} | parts


def test_a_heartbeat_comes_each_minute_to_the_route_that_asks_for_it(story, policy_of):
    told = story(policy=policy_of(**beating()), minutes=10)
    assert [reason for _, reason, _, _ in told.sent] == ["first notification"] + ["repeat interval elapsed"] * 9
    assert {one.receiver for one in told.notifications} == {"deadman"}
    assert [event for _, event, _ in told.events] == ["firing"]


@pytest.mark.parametrize("parts", [beating(heartbeat=False), beating('severity!="page"'), beating('alertname!="Down"')])
def test_who_does_not_ask_for_it_by_name_is_not_bothered(story, policy_of, parts):
    assert story(policy=policy_of(**parts), minutes=10).sent == []


def test_when_no_route_asks_for_it_any_more_it_is_over(story, policy_of):
    later = {1_772_452_800 + 300: policy_of(**beating('alertname="Other"'))}
    told = story(policy=policy_of(**beating()), policies=later, minutes=10)
    assert [event for _, event, _ in told.events] == ["firing", "resolved"]
