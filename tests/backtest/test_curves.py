"""Curves say how near a rule came and why it did not hold, and read as far back as judging and explaining look."""

from __future__ import annotations

import pytest

from alertd.backtest.curves import hindrance, reach_of
from alertd.engine.kinds import Anomaly, BurnRate, Count, Metric, Rate
from alertd.engine.samples import Sample

HOUR, DAY = 3600, 86400
SEEN: dict[str, object] = {"value": 0.375, "limit": 0.08, "matched": 6, "total": 16, "rooms": 9, "rooms_affected": 4}
SEEN |= {"identities": 6, "window": HOUR, "position": 0}


def seen(**changes: object) -> Sample:
    """Six of sixteen match in four of nine rooms, where eight per cent are allowed; but for what is changed."""
    return Sample(**(SEEN | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "sample", "why"),
    [
        (Rate(above=0.08, min=30), seen(lower=0.116), "too few are counted: 16 of min 30"),
        (Rate(above=0.08, min=10, min_rooms=5), seen(lower=0.116), "too few rooms have a match: 4 of min_rooms 5"),
        (Rate(above=0.08, min=10), seen(lower=0.05), "not above the limit beyond chance"),
        (Rate(above=0.5, min=30), seen(limit=0.5, lower=0.116), ""),
        (
            Metric(field="duration_sec", agg="p95", above=60, min=50),
            seen(value=92, limit=60),
            "too few are counted: 6 of min 50",
        ),
        (Anomaly(), seen(learning=True), "it is still learning what is usual"),
        (Anomaly(min_rooms=5), seen(), "too few rooms have a match: 4 of min_rooms 5"),
        (Anomaly(), seen(), "not beyond chance, or over by now"),
        (BurnRate(), seen(value=20, limit=14.4), "it does not go on in the short window"),
        (Count(at_least=7), seen(value=6, limit=7), ""),
    ],
)
def test_what_is_beyond_the_limit_and_does_not_hold_has_a_reason(losing_media, kind, sample, why):
    assert hindrance(losing_media(kind=kind), sample) == why


def test_the_whole_window_is_read_for_each_of_the_seven_days_before(losing_media):
    """As much is asked for to say what carries an alert, in the first minute too."""
    rule = losing_media(kind=Rate(above=0.05, over=6 * HOUR))
    assert reach_of([rule]) >= 7 * DAY + 6 * HOUR + 1800
