"""`rate`: a share of matches above a limit, beyond chance, even though participants of a room fail together."""

from __future__ import annotations

from functools import lru_cache
from math import sqrt
from statistics import NormalDist

import msgspec

from alertd.engine.durations import format_duration
from alertd.engine.kinds.onewindow import OneWindow, offsets
from alertd.engine.rough import Rough
from alertd.engine.samples import (
    LATE,
    Of,
    Sample,
    Scene,
    View,
    counted,
    latest_elevated,
    number_of,
    percent,
    span,
    worst,
)
from alertd.engine.windows import MINUTE, Sums


class Rate(OneWindow, msgspec.Struct, frozen=True, kw_only=True):
    """Holds when the lower bound of the matching share is above `above`; `confidence` None compares the plain share."""

    above: float
    over: int = 3600
    of: Of = "participants"
    min: int = 50
    min_rooms: int = 3
    confidence: float | None = 0.99
    holds_below = False
    needs_match = True
    needs_many = True

    def judge(self, scene: Scene) -> View:
        """Whether the share is above the limit in any position."""
        return worst(self._view(scene, offset, self.over) for offset in offsets(self, scene, self.over))

    def judge_then(self, scene: Scene) -> View | None:
        """Whether the share was above the limit in the window that ended then; None where too few rooms match."""
        return self._view(scene, 0, self.over) if self.conceivable(scene, *span(scene, 0, self.over)) else None

    def elevated(self, scene: Scene) -> int | None:
        """While 2 rooms match in half an hour (or a shorter window) and the plain share is above 3/4 of the limit."""
        length = min(self.over, LATE * MINUTE)

        def is_elevated(offset: int) -> bool:
            view = self._view(scene, offset, length)
            return view.sums.affected >= 2 and view.value > 0.75 * self.above

        return latest_elevated(scene, length, is_elevated)

    def traffic_judged(self, scene: Scene, since: int) -> bool:
        """Whether `min` were counted since."""
        sums = scene.series.between(since, scene.minute)
        return counted(self.of, scene.series, since, scene.minute, sums)[1] >= self.min

    def conceivable(self, scene: Scene, after: int, upto: int) -> bool:
        """Whether enough rooms have a match."""
        sums = scene.series.between(after, upto)
        return sums.matched > 0 and sums.affected >= self.min_rooms

    def may_have_held(self, rough: Rough) -> bool:
        """Whether enough rooms matched, and the plain share was high enough; who they were is not known."""
        known = rough.bounds(self.over)
        if known.affected < self.min_rooms or self.of == "identities":
            return known.affected >= self.min_rooms
        matched, total = (known.affected, known.rooms) if self.of == "rooms" else (known.matched, known.total)
        return matched > self.above * max(total, 0)

    def in_words(self) -> str:
        """`more than 5 % of participants within 1h, 99 % sure; needs 50 participants, and a match in 3 rooms`."""
        sure = f", {percent(self.confidence)} sure" if self.confidence else ""
        needs = f"needs {number_of(self.min, self.of)}, and a match in {number_of(self.min_rooms, 'rooms')}"
        return f"more than {percent(self.above)} of {self.of} within {format_duration(self.over)}{sure}; {needs}"

    def describe(self, sample: Sample) -> str:
        """`12 % of 340 participants match (at least 9.1 %) within 1h, limit 5 %`."""
        bound = "" if sample.lower is None else f" (at least {percent(sample.lower)})"
        share = f"{percent(sample.rate)} of {sample.total} {sample.of}"
        return f"{share} match{bound} within {format_duration(sample.window)}, limit {percent(self.above)}"

    def _view(self, scene: Scene, offset: int, length: int) -> View:
        """What the rule makes of the window of `length` seconds that ends `offset` minutes ago."""
        after, upto = span(scene, offset, length)
        sums = scene.series.between(after, upto)
        matched, total = counted(self.of, scene.series, after, upto, sums)
        share = matched / total if total else 0.0
        lower, upper = self._bounds(sums, matched, total) if self.confidence else (None, None)
        sure = share if lower is None else lower
        holds = total >= self.min and sums.affected >= self.min_rooms and sure > self.above
        return View(
            offset, length, after, upto, sums, matched, total, holds, share, self.above, sure, lower=lower, upper=upper
        )

    def _bounds(self, sums: Sums, matched: int, total: int) -> tuple[float, float]:
        """The bounds of the share; unless rooms are counted, the sample is worth less by the design effect."""
        effect = 1.0 if self.of == "rooms" else min(design_effect(sums), max(total, 1))
        return wilson(matched / effect, total / effect, self.confidence or 0.0)


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
