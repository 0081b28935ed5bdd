"""Alerts of others: they fire while they are posted, as Alertmanager would have it, and never instead of a rule's."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from alertd.engine.alerts import Alert
from alertd.engine.posted import RULE, Posted, moved

NOW = 1_800_000_000
LABELS = {"alertname": "DiskFull", "host": "a"}


def posted(**values: Any) -> Posted:
    known = {"fingerprint": "f", "labels": LABELS, "annotations": {"summary": "full"}, "starts_at": NOW - 60}
    return Posted(**(known | {"ends_at": NOW + 300, "updated_at": NOW, "timeout": True} | values))


def lived(*steps: tuple[int, tuple[Posted, ...]]) -> list[tuple[int, str, str]]:
    """Seconds, state and reason of each change."""
    alerts: dict[str, Alert] = {}
    seen = []
    for at, known in steps:
        for _, after in tuple(moved(NOW + at, known, alerts)):
            alerts[after.fingerprint] = after
            seen.append((at, after.state, after.reason))
    return seen


def test_it_fires_from_its_start_to_its_end():
    one = posted(starts_at=NOW + 60)
    assert lived(*((at, (one,)) for at in range(0, 420, 60))) == [
        (60, "firing", "it was posted"),
        (300, "resolved", "it was posted as over, or no longer"),
    ]


def test_it_is_over_when_it_was_not_posted_for_so_long_that_it_is_forgotten():
    assert lived((0, (posted(),)), (60, ()))[-1] == (60, "resolved", "it is no longer posted")


def test_it_fires_with_the_texts_and_the_start_that_were_posted():
    ((_, after),) = moved(NOW, [posted()], {})
    assert (after.rule, after.annotations, after.starts_at) == (RULE, {"summary": "full"}, NOW - 60)
    again = posted(annotations={"summary": "fuller"})
    ((_, later),) = moved(NOW + 60, [again], {"f": after})
    assert (later.annotations, later.starts_at, later.state) == ({"summary": "fuller"}, NOW - 60, "firing")


def test_an_alert_of_a_rule_with_the_same_labels_is_the_rules():
    own = Alert(fingerprint="f", rule="media.yaml/Down", labels=LABELS, state="firing")
    assert list(moved(NOW, [posted()], {"f": own})) == []


@pytest.mark.parametrize(
    ("known", "new", "starts", "ends"),
    [
        (None, {}, -60, 300),
        ({"starts_at": NOW - 600}, {"ends_at": NOW + 360}, -600, 360),  # goes on
        ({"starts_at": NOW - 600, "ends_at": NOW - 1}, {}, -60, 300),  # a new one
        ({}, {"ends_at": NOW - 1, "timeout": False}, -60, -1),  # said to be over
        ({"ends_at": NOW + 9000, "timeout": False}, {}, -60, 9000),  # an end that was said stands
        ({"ends_at": NOW + 9000, "timeout": False}, {"ends_at": NOW - 1, "timeout": False}, -60, -1),
        ({"ends_at": NOW + 9000}, {"ends_at": NOW + 100, "timeout": False}, -60, 100),
    ],
)
def test_what_is_posted_again_goes_on_as_in_alertmanager(known, new, starts, ends):
    before = None if known is None else posted(**known)
    after = posted(**new).after(before, NOW)
    assert (after.starts_at - NOW, after.ends_at - NOW) == (starts, ends)


def test_order_of_posting_twice_in_one_request_does_not_lose_the_start():
    first, second = posted(starts_at=NOW - 900), posted()
    assert second.after(first, NOW) == msgspec.structs.replace(second, starts_at=NOW - 900)


def test_one_that_is_posted_and_ended_again_and_again_does_not_flap():
    """Whoever posts it says when it ends."""
    alerts: dict[str, Alert] = {}
    for turn in range(10):
        now = NOW + 600 * turn
        for at, one in ((now, posted(starts_at=now, ends_at=now + 60)), (now + 60, posted(ends_at=now + 60))):
            alerts |= {after.fingerprint: after for _, after in moved(at, [one], alerts)}
        (alert,) = alerts.values()
        assert (alert.state, alert.flaps) == ("resolved", 0)
        assert "flaps" not in alert.reason
