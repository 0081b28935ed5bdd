"""The kinds of rule: what a rule sees in a window (its sample), whether it holds, and by how much.

Mathematics as in the rule language's reference (docs/rules.md); every formula names its source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import sqrt
from statistics import NormalDist
from typing import Literal, NamedTuple

import msgspec

from alertd.engine.conditions import EVERYTHING, Condition
from alertd.engine.durations import format_duration
from alertd.engine.windows import MINUTE, Series, Sums

Of = Literal["participants", "rooms", "identities"]
LATE = 30
"""Minutes by which Twilio's logs may trail the end of a room (Video Log Analyzer documentation)."""
STEP = 5
"""Minutes between the positions at which a short window is judged."""


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a rule saw for one group in one window, in the rule's own unit `of`; times and lengths in seconds.

    `value` is what is compared with `limit`, and `below` says that the rule holds under it, not over it; `lower` and
    `upper` bound a share; `position` is how long before the tick the window ends; `settled_share` is rooms settled of
    rooms known in the window.
    """

    value: float
    limit: float
    matched: int
    total: int
    rooms: int
    rooms_affected: int
    identities: int
    window: int
    position: int
    of: Of = "participants"
    lower: float | None = None
    upper: float | None = None
    baseline: float | None = None
    settled_share: float | None = None
    below: bool = False

    @property
    def rate(self) -> float:
        """The plain share of matches, 0 where nothing was counted."""
        return self.matched / self.total if self.total else 0.0


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """Holds when the number `of` matches in a window reaches `at_least`. `any` is this with 1 over 30 minutes."""

    at_least: int
    over: int = 1800
    of: Of = "participants"


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """Holds when the lower bound of the matching share is above `above`; `confidence` None compares the plain share."""

    above: float
    over: int = 3600
    of: Of = "participants"
    min: int = 50
    min_rooms: int = 3
    confidence: float | None = 0.99


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    """Holds when fewer than `fewer_than` rooms of an account started in a window, as far as they are known.

    Its series counts rooms in the minute of their start. A room is known once it has ended and settled, so the end of
    the window is always thin: `over` must be longer than that takes.
    """

    fewer_than: int
    over: int = 7200
    of: Of = "rooms"


Matching = Count | Rate
"""The kinds that count what matches."""
Kind = Matching | Absent
Annotation = Callable[[Mapping[str, object]], str]
"""A compiled annotation: the text for the variables `labels`, `sample`, `rule`; raises ValueError if it fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule as loaded; durations in seconds, `source` is `file:line` for messages."""

    alert: str
    kind: Kind
    among: Condition = EVERYTHING
    match: Condition = EVERYTHING
    by: tuple[str, ...] = ("account",)
    hold_for: int = 0
    keep_firing_for: int = 900
    no_traffic: int = 21600
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, Annotation] = field(default_factory=dict)
    max_groups: int = 1000
    source: str = ""
    key: str = field(init=False)
    """What no two rules share: alertname and labels, `Name|severity=page`; a bar inside a text is doubled."""

    def __post_init__(self) -> None:
        texts = [self.alert, *(f"{name}={self.labels[name]}" for name in sorted(self.labels))]
        object.__setattr__(self, "key", "|".join(text.replace("|", "||") for text in texts))


class View(NamedTuple):
    """A window as a rule sees it: the minutes with `after` < minute ≤ `upto`, and what the rule makes of them.

    `offset` is how many minutes before the tick it ends, `window` its full length in seconds (recovery may have cut
    it short); the rest as in the sample.
    """

    offset: int
    window: int
    after: int
    upto: int
    sums: Sums
    matched: int
    total: int
    holds: bool
    value: float
    lower: float | None = None
    upper: float | None = None

    @property
    def excess(self) -> float:
        """By how much a window is worse than another one."""
        return self.value if self.lower is None else self.lower


def positions(window: int) -> range:
    """How many minutes before the tick a window of so many seconds may end: short ones at several."""
    return range(0, LATE + 1, STEP) if window <= LATE * MINUTE else range(1)


def judge(kind: Kind, series: Series, minute: int, floor: int) -> View:
    """Whether `kind` holds at the tick in `minute` in any position; no window reaches back to `floor` or before.

    The view is that of the position with the most excess, the latest of equals. Absence is judged in the whole window
    up to the tick: what a floor leaves out would be taken for missing.
    """
    if isinstance(kind, Absent):
        return _view_of_starts(kind, series, minute)
    offsets: Sequence[int] = positions(kind.over)
    earliest = max(minute - offsets[-1] - kind.over // MINUTE, floor)
    if len(offsets) > 1 and not _conceivable(kind, series.between(earliest, minute)):
        offsets = (0,)
    views = [_view(kind, series, minute, offset, floor, kind.over) for offset in offsets]
    return max(views, key=lambda view: (view.holds, view.excess, -view.offset))


def elevated(kind: Kind, series: Series, minute: int, floor: int) -> int | None:
    """The last minute at which trouble went on, as far as the late half hour shows; None if it does not.

    Judged on 30 minutes (or the window, if shorter). A rate is elevated while at least 2 rooms match and the plain
    share is above 3/4 of its limit; a count while its own condition holds. Since logs trail, the half hours that ended
    some minutes ago are looked at again. Absence is judged on its own window.
    """
    if isinstance(kind, Absent):
        return minute if _view_of_starts(kind, series, minute).holds else None
    length = min(kind.over, LATE * MINUTE)
    if not series.between(max(minute - LATE - length // MINUTE, floor), minute).matched:
        return None
    for offset in positions(length):
        view = _view(kind, series, minute, offset, floor, length)
        if view.holds if isinstance(kind, Count) else view.sums.affected >= 2 and view.value > 0.75 * kind.above:
            return minute - offset
    return None


def traffic_judged(kind: Kind, series: Series, since: int, minute: int) -> bool:
    """Whether enough traffic ended after minute `since` to call a quiet rate recovered; other kinds need none."""
    if not isinstance(kind, Rate):
        return True
    return _counted(kind, series, since, minute, series.between(since, minute))[1] >= kind.min


class Past(NamedTuple):
    """Minutes, first to last, in which a rule held unseen; how many of them, and the worst window."""

    first: int
    last: int
    minutes: int
    worst: View


def judge_past(
    kind: Matching, series: Series, minute: int, fresh: Iterable[int], floor: int, hold_for: int
) -> Past | None:
    """Where a rule held before the late half hour, as judged now that the rooms of the minutes `fresh` are known.

    Only windows that contain one of them are looked at: all others were judged when they were the latest. None where
    it held nowhere, or never for as long as `hold_for` (seconds).
    """
    length, latest = kind.over // MINUTE, minute - LATE - 1
    seen = {ending for first in fresh for ending in range(first, min(first + length - 1, latest) + 1)}
    if not seen or not _conceivable(kind, series.between(max(min(seen) - length, floor), latest)):
        return None
    views = [_view(kind, series, minute, minute - ending, floor, kind.over) for ending in sorted(seen)]
    held = [view for view in views if view.holds]
    if not held or (_longest_run([view.upto for view in held]) - 1) * MINUTE < hold_for:
        return None
    worst = max(held, key=lambda view: view.excess)
    return Past(held[0].upto, held[-1].upto, len(held), worst)


def _longest_run(minutes: Iterable[int]) -> int:
    """How many of the minutes, given in order, follow directly on one another at most."""
    longest = run = 0
    before = None
    for minute in minutes:
        run = run + 1 if before == minute - 1 else 1
        longest, before = max(longest, run), minute
    return longest


def describe(kind: Kind, sample: Sample) -> str:
    """The sample in words, the reason of a change: `12 % of 340 participants match (at least 9.1 %), limit 5 %`."""
    window = format_duration(sample.window)
    if isinstance(kind, Absent):
        enough = f"fewer than {kind.fewer_than} are" if kind.fewer_than > 1 else "none is"
        return f"{_rooms(sample.matched)} started within {window}, {enough} too few"
    if isinstance(kind, Count):
        return f"{sample.matched} {sample.of} match within {window}, limit {kind.at_least}"
    bound = "" if sample.lower is None else f" (at least {_percent(sample.lower)})"
    share = f"{_percent(sample.rate)} of {sample.total} {sample.of}"
    return f"{share} match{bound} within {window}, limit {_percent(kind.above)}"


def _rooms(number: int) -> str:
    return "no room" if number == 0 else f"{number} room{'s' if number > 1 else ''}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _conceivable(kind: Matching, sums: Sums) -> bool:
    """Whether any window inside a stretch with these sums can hold at all: most are quiet, and this is cheap."""
    if isinstance(kind, Count):
        return sums.matched >= kind.at_least
    return sums.matched > 0 and sums.affected >= kind.min_rooms


def _view_of_starts(kind: Absent, series: Series, minute: int) -> View:
    """The rooms that started in the window up to `minute`, against as many as there should be."""
    after = minute - kind.over // MINUTE
    sums = series.between(after, minute)
    holds = sums.rooms < kind.fewer_than
    return View(0, kind.over, after, minute, sums, sums.rooms, sums.rooms, holds, sums.rooms)


def _view(kind: Matching, series: Series, minute: int, offset: int, floor: int, length: int) -> View:
    """What `kind` makes of the window of `length` seconds that ends `offset` minutes before `minute`."""
    upto = minute - offset
    after = max(upto - length // MINUTE, floor)
    sums = series.between(after, upto)
    matched, total = _counted(kind, series, after, upto, sums)
    if isinstance(kind, Count):
        return View(offset, length, after, upto, sums, matched, total, matched >= kind.at_least, matched)
    share = matched / total if total else 0.0
    lower, upper = _bounds(kind, sums, matched, total) if kind.confidence else (None, None)
    enough = total >= kind.min and sums.affected >= kind.min_rooms
    holds = enough and (share if lower is None else lower) > kind.above
    return View(offset, length, after, upto, sums, matched, total, holds, share, lower, upper)


def _counted(kind: Matching, series: Series, after: int, upto: int, sums: Sums) -> tuple[int, int]:
    """Matches and population of a window in the unit that the rule counts."""
    if kind.of == "rooms":
        return sums.affected, sums.rooms
    return series.identities(after, upto) if kind.of == "identities" else (sums.matched, sums.total)


def _bounds(kind: Rate, sums: Sums, matched: int, total: int) -> tuple[float, float]:
    """The bounds of the share, from a sample worth less by the design effect where rooms are not what is counted."""
    effect = 1.0 if kind.of == "rooms" else min(design_effect(sums), max(total, 1))
    return wilson(matched / effect, total / effect, kind.confidence or 0.0)


def sample_of(kind: Kind, series: Series, view: View, settled_share: float | None = None) -> Sample:
    """The view as alerts carry it."""
    return Sample(
        value=view.value,
        limit=_limit(kind),
        matched=view.matched,
        total=view.total,
        rooms=view.sums.rooms,
        rooms_affected=view.sums.affected,
        identities=series.identities(view.after, view.upto)[0] if view.sums.matched else 0,
        window=view.window,
        position=view.offset * MINUTE,
        of=kind.of,
        lower=view.lower,
        upper=view.upper,
        settled_share=settled_share,
        below=isinstance(kind, Absent),
    )


def _limit(kind: Kind) -> float:
    if isinstance(kind, Absent):
        return kind.fewer_than
    return kind.at_least if isinstance(kind, Count) else kind.above


def design_effect(sums: Sums) -> float:
    """How much less a sample of whole rooms is worth than as many independent participants; between 1 and N.

    d = R/(R-1) · Σ(kᵢ - p nᵢ)² / (N p (1-p)) over the rooms i, p = K/N: Rao and Scott, "A simple method for the
    analysis of clustered binary data", Biometrics 48 (1992). One room alone says nothing of the others: N. Where all
    or none match there is no spread to measure: 1.
    """
    if sums.matched in (0, sums.total):
        return 1.0 if sums.rooms != 1 else float(max(sums.total, 1))
    if sums.rooms == 1:
        return float(sums.total)
    p = sums.matched / sums.total
    spread = sums.kk - 2 * p * sums.kn + p * p * sums.nn
    raw = sums.rooms / (sums.rooms - 1) * spread / (sums.total * p * (1 - p))
    return min(max(raw, 1.0), float(sums.total))


def wilson(matched: float, total: float, confidence: float) -> tuple[float, float]:
    """The one-sided lower and upper score bounds of a share at `confidence` (0.99 = 99 % each); (0, 1) for no sample.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    if total <= 0:
        return 0.0, 1.0
    z = _quantile(confidence)
    p, z2n = matched / total, z * z / total
    centre = (p + z2n / 2) / (1 + z2n)
    half = z / (1 + z2n) * sqrt(p * (1 - p) / total + z2n / (4 * total))
    return max(0.0, centre - half), min(1.0, centre + half)


@lru_cache(maxsize=64)
def _quantile(confidence: float) -> float:
    return NormalDist().inv_cdf(confidence)
