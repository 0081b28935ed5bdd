"""Which alerts say nothing while another one fires that explains them, as in Prometheus Alertmanager."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from alertd.engine.routes import Matcher


@dataclass(frozen=True, slots=True, kw_only=True)
class InhibitRule:
    """While an alert fires that the `source` matchers match, those that the `target` matchers match are inhibited, if
    both agree on all labels named in `equal`; a label that is missing agrees with an empty one."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()
    name: str = ""


Labelled = tuple[str, Mapping[str, str]]
"""The fingerprint of an alert, and its labels."""


class Inhibitions:
    """What the firing alerts inhibit: by rule and the values of its `equal` labels, since there may be thousands."""

    def __init__(self, rules: Iterable[InhibitRule], firing: Iterable[Labelled]) -> None:
        firing = tuple(firing)
        self._sources = [(rule, _by_equal(rule, firing)) for rule in rules]

    def of(self, fingerprint: str, labels: Mapping[str, str]) -> tuple[str, ...]:
        """The fingerprints of the firing alerts that inhibit this one, in order; none of most.

        An alert that is on both sides of a rule is not inhibited by others that are, or it would inhibit itself
        (Alertmanager's inhibit/inhibit.go). That a source is silenced or inhibited does not matter.
        """
        found: set[str] = set()
        for rule, sources in self._sources:
            if _all(rule.target, labels):
                on_both_sides = _all(rule.source, labels)
                alike = sources.get(_values(rule, labels), ())
                found.update(source for source, is_target in alike if not (on_both_sides and is_target))
        return tuple(sorted(found - {fingerprint}))


def _by_equal(rule: InhibitRule, firing: Iterable[Labelled]) -> dict[tuple[str, ...], list[tuple[str, bool]]]:
    """The alerts on the source side, each with whether it is on the target side too."""
    found: dict[tuple[str, ...], list[tuple[str, bool]]] = {}
    for fingerprint, labels in firing:
        if _all(rule.source, labels):
            found.setdefault(_values(rule, labels), []).append((fingerprint, _all(rule.target, labels)))
    return found


def _values(rule: InhibitRule, labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple([labels.get(name, "") for name in rule.equal])


def _all(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    return all(matcher.matches(labels) for matcher in matchers)
