"""What other rules would have told of the same history: alerts gained, lost, and kept, and when they began."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from alertd.backtest.run import Findings, Firing

FOREVER = 2**62


@dataclass(frozen=True, slots=True)
class Pair:
    """The same alert by both sets of rules at the same time."""

    here: Firing
    there: Firing

    @property
    def sooner(self) -> int:
        """Seconds by which the other rules told of it earlier; negative if later."""
        return self.here.told_at - self.there.told_at


@dataclass(frozen=True, slots=True)
class Comparison:
    """The findings of the rules at hand (`here`) and of others (`there`, called `name`) on the same history.

    `lost` fired only here, `gained` only there, each in the order of their starts.
    """

    name: str
    here: Findings
    there: Findings
    lost: list[Firing]
    gained: list[Firing]
    both: list[Pair]


def compare(here: Findings, there: Findings, name: str) -> Comparison:
    """Pairs alerts of the same labels that fired at the same time, one with one, in the order of their starts."""
    ours, theirs = _by_labels(here), _by_labels(there)
    lost: list[Firing] = []
    gained: list[Firing] = []
    both: list[Pair] = []
    for fingerprint in {**ours, **theirs}:
        _pair(ours[fingerprint], theirs[fingerprint], lost, gained, both)
    lost.sort(key=_start)
    gained.sort(key=_start)
    both.sort(key=lambda pair: _start(pair.here))
    return Comparison(name, here, there, lost, gained, both)


def _by_labels(findings: Findings) -> defaultdict[str, list[Firing]]:
    found: defaultdict[str, list[Firing]] = defaultdict(list)
    for firing in findings.firings:
        found[firing.fingerprint].append(firing)
    return found


def _pair(ours: list[Firing], theirs: list[Firing], lost: list[Firing], gained: list[Firing], both: list[Pair]) -> None:
    waiting, others = list(reversed(ours)), list(reversed(theirs))
    while waiting and others:
        one, other = waiting[-1], others[-1]
        if _end(one) < other.starts_at:
            lost.append(waiting.pop())
        elif _end(other) < one.starts_at:
            gained.append(others.pop())
        else:
            both.append(Pair(waiting.pop(), others.pop()))
    lost += waiting
    gained += others


def _start(firing: Firing) -> tuple[int, str]:
    return firing.starts_at, firing.fingerprint


def _end(firing: Firing) -> int:
    return FOREVER if firing.ends_at is None else firing.ends_at
