"""Silences: when one keeps an alert quiet, what may be changed of it, and what is told before and after."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.engine.alerts import Alert, fingerprint
from alertd.engine.groups import Group, Integration
from alertd.engine.outcome import Policy, Snapshot
from alertd.engine.routes import Matcher, Route, Tree
from alertd.engine.silences import Draft, Silence, SilenceError, expired, put, silencing
from alertd.engine.telling import Telling, tell

NOW, HOUR = 1_800_000_000, 3600
PAGE = Matcher.parse("severity=page")


def draft(**values: Any) -> Draft:
    known = {"matchers": (PAGE,), "starts_at": NOW, "ends_at": NOW + HOUR, "created_by": "ann", "comment": "deploying"}
    return Draft(**(known | {"annotations": {}} | values))


def silence(**values: Any) -> Silence:
    (made,) = put(None, draft(**values), NOW, "s1")
    return made


def alert(name: str = "Down", severity: str = "page", **values: Any) -> Alert:
    labels = {"alertname": name, "severity": severity}
    known = {"rule": "R", "state": "firing", "starts_at": NOW - HOUR, "changed_at": NOW - HOUR}
    return Alert(**({"fingerprint": fingerprint(labels), "labels": labels} | known | values))


@pytest.mark.parametrize(
    ("at", "state"), [(NOW - 1, "pending"), (NOW, "active"), (NOW + HOUR - 1, "active"), (NOW + HOUR, "expired")]
)
def test_it_is_active_from_its_start_until_its_end(at, state):
    one = silence()
    assert one.state(at) == state
    assert (silencing([one], {"severity": "page"}, at) == (one,)) == (state == "active")


def test_all_its_matchers_must_match():
    one = silence(matchers=(PAGE, Matcher.parse("region!~us.*")))
    assert silencing([one], {"severity": "page", "region": "ie1"}, NOW)
    assert silencing([one], {"severity": "page"}, NOW)
    assert not silencing([one], {"severity": "page", "region": "us1"}, NOW)
    assert not silencing([one], {"region": "ie1"}, NOW)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"ends_at": NOW}, "start time must be before end time"),
        ({"starts_at": NOW - 2, "ends_at": NOW - 1}, "end time can't be in the past"),
        ({"matchers": ()}, "at least one matcher required"),
        ({"matchers": (Matcher.parse("a=~.*"),)}, "must not match the empty string"),
        ({"matchers": (PAGE,) * 101}, "at most 100 matchers"),
        ({"comment": "x" * 5000}, "no text may be longer than 4096"),
        ({"annotations": {"a": "x" * 5000}}, "no text may be longer than 4096"),
    ],
)
def test_one_that_cannot_be_is_refused(values, complaint):
    with pytest.raises(SilenceError, match=complaint):
        put(None, draft(**values), NOW, "s1")


def test_a_start_in_the_past_is_now():
    assert silence(starts_at=0).starts_at == NOW


@pytest.mark.parametrize(
    ("known", "change", "same"),
    [
        ({}, {"ends_at": NOW + 9 * HOUR}, True),
        ({}, {"comment": "still deploying"}, True),
        ({}, {"starts_at": NOW + 60}, False),  # of an active one the start has been
        ({}, {"matchers": (Matcher.parse("severity=ticket"),)}, False),
        ({"starts_at": NOW + 600}, {"starts_at": NOW + 900}, True),
        ({"starts_at": NOW + 600}, {"starts_at": NOW}, False),
    ],
)
def test_it_stays_itself_while_only_its_times_move(known, change, same):
    before = silence(**known)
    written = put(before, draft(**(known | {"id": "s1"} | change)), NOW + 30, "s2")
    assert [one.id for one in written] == (["s1"] if same else ["s1", "s2"])
    if not same:
        assert written[0].state(NOW + 30) == "expired"
        assert written[0].history[-1].what == "replaced by s2"


def test_the_order_of_matchers_makes_it_no_other():
    both = (PAGE, Matcher.parse("region=ie1"))
    before = silence(matchers=both)
    (after,) = put(before, draft(matchers=both[::-1], ends_at=NOW + 2 * HOUR), NOW + 1, "s2")
    assert after.id == "s1"


def test_one_that_is_over_is_followed_by_another():
    over = expired(silence(), NOW + 60, "bob")
    (made,) = put(over, draft(starts_at=NOW + 120), NOW + 120, "s2")
    assert (made.id, made.state(NOW + 120)) == ("s2", "active")


def test_its_history_says_who_did_what_when():
    first = silence()
    (moved,) = put(first, draft(ends_at=NOW + 2 * HOUR, created_by="bob"), NOW + 60, "s2")
    over = expired(moved, NOW + 120, "eve")
    assert [tuple(step) for step in over.history] == [
        (NOW, "ann", "created"),
        (NOW + 60, "bob", "end moved by +3600s"),
        (NOW + 120, "eve", "expired"),
    ]
    assert expired(over, NOW + 180) == over


@given(st.integers(-HOUR, HOUR), st.integers(1, HOUR), st.integers(0, 2 * HOUR), st.integers(0, 2 * HOUR))
def test_once_expired_it_never_is_active_again(start, length, ended, later):
    one = replace(silence(), starts_at=NOW + start, ends_at=NOW + start + length)
    over = expired(one, NOW + ended)
    assert over.state(NOW + ended + later) == "expired"
    assert over.starts_at <= over.ends_at


POLICY = Policy(
    rules=(),
    tree=Tree(Route(receiver="oncall", group_wait=0, group_interval=300)),
    integrations={"oncall": (Integration("oncall/slack[0]"),)},
)


class Story:
    """Alerts told minute by minute, groups kept in between."""

    def __init__(self, *silences: Silence) -> None:
        self.silences, self.groups = silences, dict[str, Group]()
        self.said: list[tuple[int, str, list[str]]] = []
        self.withheld: list[tuple[int, str]] = []

    def at(self, minute: int, *alerts: Alert) -> Telling:
        now = NOW + 60 * minute
        known = {one.fingerprint: one for one in alerts}
        telling = tell(
            now, POLICY, known, known.keys(), Snapshot(alerts={}, groups=self.groups, silences=self.silences)
        )
        self.groups |= {group.key: group for group in telling.groups}
        self.groups = {key: group for key, group in self.groups.items() if key not in telling.gone}
        names = [
            (minute, one.reason, [told.labels["alertname"] for told in one.alerts]) for one in telling.notifications
        ]
        self.said += names
        self.withheld += [(minute, one.withheld) for one in telling.withheld]
        return telling


def test_nobody_is_told_until_it_is_over_and_why_not_is_kept_once():
    story = Story(silence(ends_at=NOW + 12 * 60))
    for minute in range(0, 20, 5):
        story.at(minute, alert())
    assert story.said == [(15, "first notification", ["Down"])]
    assert story.withheld == [(0, "silenced by s1 (ann: deploying)")]


def test_what_it_does_not_match_is_told_alone():
    story = Story(silence())
    story.at(0, alert(), alert("Slow", "ticket"))
    assert story.said == [(0, "first notification", ["Slow"])]


def test_a_recovery_is_told_to_whoever_was_told_before_it_began():
    story = Story(silence(starts_at=NOW + 60))
    story.at(0, alert())
    story.at(5, alert(state="resolved", ends_at=NOW + 240, changed_at=NOW + 240))
    assert [(minute, reason) for minute, reason, _ in story.said] == [
        (0, "first notification"),
        (5, "all alerts resolved"),
    ]


def test_nobody_hears_of_what_came_and_went_under_it():
    story = Story(silence())
    story.at(0, alert())
    story.at(5, alert(state="resolved", ends_at=NOW + 240, changed_at=NOW + 240))
    assert story.said == []
    assert story.groups == {}


def test_a_repeat_is_kept_back_too_and_comes_when_it_is_over():
    story = Story(silence(starts_at=NOW + 60, ends_at=NOW + 5 * HOUR))
    for minute in range(0, 6 * 60, 5):
        story.at(minute, alert())
    assert story.said == [(0, "first notification", ["Down"]), (300, "repeat interval elapsed", ["Down"])]
