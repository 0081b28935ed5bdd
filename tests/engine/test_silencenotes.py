"""What is said about silences: they begin, end soon with something under them, and are over; to whom it concerns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alertd.engine.alerts import Alert, fingerprint
from alertd.engine.counting import Windows
from alertd.engine.decide import decide
from alertd.engine.groups import Integration
from alertd.engine.health import Trouble
from alertd.engine.outcome import Policy, Snapshot
from alertd.engine.routes import Matcher, Route, Tree
from alertd.engine.silencenotes import notes, silenced_by
from alertd.engine.silences import Silence
from alertd.engine.ticks import applied

NOW, HOUR = 1_800_000_000, 3600
ONE = Silence(
    id="s1",
    matchers=(Matcher.parse("account=production"), Matcher.parse("severity=page")),
    starts_at=NOW,
    ends_at=NOW + HOUR,
    updated_at=NOW,
    created_by="ann",
    comment="deploying",
    annotations={},
)
LABELS = {"alertname": "Down", "account": "production", "severity": "page"}
DOWN = Alert(fingerprint=fingerprint(LABELS), rule="R", labels=LABELS, state="firing", starts_at=NOW, changed_at=NOW)


def said(silence: Silence, *firing: Alert, at: int) -> dict[str, str]:
    return {
        note.labels["alertname"]: note.annotations["summary"] for note in notes([silence], firing, at) if note.holds
    }


def test_that_it_began_is_said_as_long_as_it_is_active():
    assert said(ONE, at=NOW - 1) == {}
    assert list(said(ONE, at=NOW)) == ["AlertdSilenceStarted"]
    assert said(ONE, at=NOW)["AlertdSilenceStarted"] == "Silence until 2027-01-15 09:00 UTC by ann"
    assert said(ONE, at=NOW + HOUR) == {}


@pytest.mark.parametrize(
    ("lasts", "at", "soon"),
    [
        (HOUR, 44 * 60, False),
        (HOUR, 45 * 60, True),
        (HOUR, HOUR, False),
        (4 * HOUR, 4 * HOUR - 901, False),
        (4 * HOUR, 4 * HOUR - 900, True),
        (600, 449, False),
        (600, 450, True),
    ],
)
def test_that_it_ends_soon_is_said_in_its_last_quarter_hour_if_it_hides_something(lasts, at, soon):
    silence = replace(ONE, ends_at=NOW + lasts)
    assert ("AlertdSilenceEnding" in said(silence, DOWN, at=NOW + at)) == soon
    assert "AlertdSilenceEnding" not in said(silence, at=NOW + at)


def test_when_it_is_over_it_is_said_what_still_burns():
    (began, _) = notes([ONE], [DOWN], NOW + HOUR)
    assert not began.holds
    assert f"What it hid still fires: Down ({DOWN.fingerprint})" in began.annotations["description"]


def test_it_carries_the_labels_that_lead_to_whom_it_concerns_and_wakes_nobody():
    (began, _) = notes([ONE], [], NOW)
    assert began.labels == {
        "alertname": "AlertdSilenceStarted",
        "severity": "info",
        "account": "production",
        "silence": "s1",
    }


def test_no_silence_hides_what_is_said_about_silences():
    (began, _) = notes([replace(ONE, matchers=(Matcher.parse("account=production"),))], [], NOW)
    note = Alert(fingerprint="f", rule=began.rule, labels=began.labels, state="firing")
    assert silenced_by([replace(ONE, matchers=(Matcher.parse("account=production"),))], note, NOW) == ()
    assert silenced_by([ONE], DOWN, NOW) == (ONE,)


def test_from_beginning_to_end_it_takes_three_messages_and_what_it_hid():
    route = Route(receiver="oncall", group_by=("alertname",), group_wait=0, group_interval=60)
    told_by = {"oncall": (Integration("oncall/slack[0]"),)}
    policy = Policy(rules=(), tree=Tree(route), integrations=told_by, accounts=("production",))
    windows = Windows((), lambda _field, value: value)
    trouble = Trouble(kind="poll", subject="production", since=NOW, message="it does not answer")
    state = Snapshot(alerts={}, groups={}, silences=(ONE,), troubles=(trouble,))
    told = []
    for minute in range(64):
        outcome = decide(NOW + 60 * minute, policy, windows, state)
        state = applied(state, outcome)
        told += [(minute, one.status, one.alerts[0].labels["alertname"]) for one in outcome.notifications]
    assert told == [
        (0, "firing", "AlertdSilenceStarted"),
        (45, "firing", "AlertdSilenceEnding"),
        (60, "firing", "AlertdPollFailing"),
        (60, "resolved", "AlertdSilenceEnding"),
        (60, "resolved", "AlertdSilenceStarted"),
    ]
