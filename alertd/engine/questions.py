"""What must be known before a decision is made: where an alert's matches come from, asked of who has the rooms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from alertd.engine.alerts import Alert
from alertd.engine.conditions import EVERYTHING
from alertd.engine.rules import Rule
from alertd.engine.windows import MINUTE

REFRESH_AFTER = 900
"""Seconds after the beginning when the explanation is made anew: by then most of the trouble's rooms have settled."""
MOST_ROOMS = 3000
"""Rooms of the window that are looked into, the latest of them; and as many of the week before."""
DAYS = 7


class Question(NamedTuple):
    """Where do the matches of this alert come from, in the minutes with `after` < minute ≤ `upto`?

    `before` are the stretches, in the same form, that show what is usual.
    """

    fingerprint: str
    rule: Rule
    labels: dict[str, str]
    after: int
    upto: int
    before: tuple[tuple[int, int], ...]


def question(rule: Rule, before: Alert, after: Alert, now: int) -> Question | None:
    """What to ask now that an alert went from one state to the other; None if nothing, or nothing can be learnt.

    Asked when it begins to fire, when it is told late, and once more after a quarter of an hour.
    """
    sample = after.sample
    if rule.match == EVERYTHING or sample is None or not sample.matched or not _is_due(before, after, now):
        return None
    upto = (after.ends_at if after.late else now - sample.position) or now
    length = sample.window // MINUTE
    shown = max(1, min(length, length * MOST_ROOMS // max(1, sample.rooms)))
    first, last = upto // MINUTE - shown, upto // MINUTE
    return Question(after.fingerprint, rule, after.labels, first, last, tuple(_usual(first, last, after, sample.rooms)))


def _is_due(before: Alert, after: Alert, now: int) -> bool:
    if after.state != "firing":
        return after.told_late(now)
    if before.state != "firing":
        return True
    begun, explained = after.starts_at or now, after.explained_at
    minute = now // MINUTE * MINUTE  # at a whole one: other ticks, which nothing here calls for, must change nothing
    return explained is not None and explained < begun + REFRESH_AFTER <= minute


def _usual(first: int, last: int, alert: Alert, rooms: int) -> Iterator[tuple[int, int]]:
    """The same time of the seven days before, cut to some thousand rooms in all; without times in which it fired."""
    length = max(1, min(last - first, (last - first) * MOST_ROOMS // DAYS // max(1, min(rooms, MOST_ROOMS))))
    for day in range(1, DAYS + 1):
        upto = last - day * 24 * 60
        if not _overlaps(alert.fired, upto - length, upto):
            yield upto - length, upto


def _overlaps(spans: Sequence[tuple[int, int]], after: int, upto: int) -> bool:
    return any(start <= upto and end > after for start, end in spans)
