"""The kinds of rule: what a rule sees in a window (its sample), whether it holds, and by how much.

Mathematics as in the rule language's reference (docs/rules.md); every formula names its source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
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

    `value` is what is compared with `limit`; `lower` and `upper` bound a share; `position` is how long before the
    tick the window ends; `settled_share` is rooms settled of rooms known in the window.
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


Kind = Count | Rate
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

    @property
    def key(self) -> str:
        """What no two rules share: alertname and labels."""
        return self.alert + "".join(f"|{name}={self.labels[name]}" for name in sorted(self.labels))


class Verdict(NamedTuple):
    """Whether a rule holds for a group, and the sample that decided it."""

    holds: bool
    sample: Sample


def positions(window: int) -> range:
    """How many minutes before the tick a window of so many seconds may end: short ones at several."""
    return range(0, LATE + 1, STEP) if window <= LATE * MINUTE else range(1)


def judge(kind: Kind, series: Series, minute: int, floor: int) -> Verdict:
    """Whether `kind` holds at the tick in `minute` in any position; no window reaches back to `floor` or before.

    The sample is that of the position with the most excess, the latest of equals.
    """
    verdicts = [judge_at(kind, series, minute, offset, floor) for offset in positions(kind.over)]
    return max(verdicts, key=lambda verdict: (verdict.holds, _excess(verdict.sample), -verdict.sample.position))


def _excess(sample: Sample) -> float:
    return sample.value if sample.lower is None else sample.lower


def judge_at(kind: Kind, series: Series, minute: int, offset: int, floor: int, over: int | None = None) -> Verdict:
    """The verdict for the window of `over` seconds (default: the kind's) that ends `offset` minutes before the tick."""
    length = kind.over if over is None else over
    upto = minute - offset
    after = max(upto - length // MINUTE, floor)
    sums = series.between(after, upto)
    identities = series.identities(after, upto) if sums.matched or kind.of == "identities" else (0, 0)
    if isinstance(kind, Count):
        return _count(kind, sums, identities, length, offset)
    return _rate(kind, sums, identities, length, offset)


def elevated(kind: Kind, series: Series, minute: int, floor: int) -> bool:
    """Whether trouble goes on, judged on the latest 30 minutes (or the window, if shorter).

    A rate is elevated while at least 2 rooms match and the plain share is above 3/4 of its limit; a count while its
    own condition holds.
    """
    verdict = judge_at(kind, series, minute, 0, floor, over=min(kind.over, LATE * MINUTE))
    if isinstance(kind, Count):
        return verdict.holds
    return verdict.sample.rooms_affected >= 2 and verdict.sample.rate > 0.75 * kind.above


def traffic_judged(kind: Kind, series: Series, since: int, minute: int) -> bool:
    """Whether enough traffic ended after minute `since` to call a quiet rate recovered; a count needs none."""
    if isinstance(kind, Count):
        return True
    sums = series.between(since, minute)
    if kind.of == "rooms":
        return sums.rooms >= kind.min
    return (series.identities(since, minute)[1] if kind.of == "identities" else sums.total) >= kind.min


class Past(NamedTuple):
    """Minutes, first to last, in which a rule held unseen; how many of them, and the sample of the worst."""

    first: int
    last: int
    minutes: int
    sample: Sample


def judge_past(kind: Kind, series: Series, minute: int, oldest: int, floor: int, hold_for: int) -> Past | None:
    """Where a rule held before the late half hour, as judged now that rooms back to minute `oldest` are known.

    None where it held nowhere, or never as long as `hold_for` (seconds).
    """
    sums = series.between(max(oldest - kind.over // MINUTE, floor), minute - LATE - 1)
    if sums.matched == 0 or (isinstance(kind, Rate) and sums.affected < kind.min_rooms):
        return None
    offsets = range(minute - oldest, LATE, -1)
    held = {
        minute - offset: verdict for offset in offsets if (verdict := judge_at(kind, series, minute, offset, floor))[0]
    }
    if _longest_run(held) * MINUTE < max(hold_for, MINUTE):
        return None
    worst = max(held.values(), key=lambda verdict: _excess(verdict.sample))
    return Past(min(held), max(held), len(held), worst.sample)


def _longest_run(minutes: Iterable[int]) -> int:
    longest = run = 0
    before = None
    for minute in sorted(minutes):
        run = run + 1 if before == minute - 1 else 1
        longest, before = max(longest, run), minute
    return longest


def describe(kind: Kind, sample: Sample) -> str:
    """The sample in words, the reason of a change: `12 % of 340 participants match (at least 9.1 %), limit 5 %`."""
    window = format_duration(sample.window)
    if isinstance(kind, Count):
        return f"{sample.matched} {sample.of} match within {window}, limit {kind.at_least}"
    bound = "" if sample.lower is None else f" (at least {_percent(sample.lower)})"
    share = f"{_percent(sample.rate)} of {sample.total} {sample.of}"
    return f"{share} match{bound} within {window}, limit {_percent(kind.above)}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _count(kind: Count, sums: Sums, identities: tuple[int, int], window: int, offset: int) -> Verdict:
    matched, total = _counted(kind.of, sums, identities)
    sample = Sample(
        value=matched,
        limit=kind.at_least,
        matched=matched,
        total=total,
        rooms=sums.rooms,
        rooms_affected=sums.affected,
        identities=identities[0],
        window=window,
        position=offset * MINUTE,
        of=kind.of,
    )
    return Verdict(matched >= kind.at_least, sample)


def _rate(kind: Rate, sums: Sums, identities: tuple[int, int], window: int, offset: int) -> Verdict:
    matched, total = _counted(kind.of, sums, identities)
    effect = 1.0 if kind.of == "rooms" else min(design_effect(sums), max(total, 1))
    lower, upper = wilson(matched / effect, total / effect, kind.confidence) if kind.confidence else (None, None)
    share = matched / total if total else 0.0
    sample = Sample(
        value=share,
        limit=kind.above,
        matched=matched,
        total=total,
        rooms=sums.rooms,
        rooms_affected=sums.affected,
        identities=identities[0],
        window=window,
        position=offset * MINUTE,
        of=kind.of,
        lower=lower,
        upper=upper,
    )
    enough = total >= kind.min and sums.affected >= kind.min_rooms
    return Verdict(enough and (share if lower is None else lower) > kind.above, sample)


def _counted(of: Of, sums: Sums, identities: tuple[int, int]) -> tuple[int, int]:
    """Matches and population in the unit that the rule counts."""
    if of == "rooms":
        return sums.affected, sums.rooms
    return identities if of == "identities" else (sums.matched, sums.total)


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
    z = NormalDist().inv_cdf(confidence)
    p, z2n = matched / total, z * z / total
    centre = (p + z2n / 2) / (1 + z2n)
    half = z / (1 + z2n) * sqrt(p * (1 - p) / total + z2n / (4 * total))
    return max(0.0, centre - half), min(1.0, centre + half)
