"""Which alerts another one keeps quiet: matchers on both sides, labels that must agree, and never itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.engine.inhibition import Inhibitions, InhibitRule
from alertd.engine.routes import Matcher


def rule(source: str, target: str, *equal: str) -> InhibitRule:
    return InhibitRule(source=(Matcher.parse(source),), target=(Matcher.parse(target),), equal=equal)


DOWN = ("down", {"alertname": "RegionDown", "severity": "page", "region": "ie1"})
TICKET = {"alertname": "Slow", "severity": "ticket", "region": "ie1"}
PAGES = rule("severity=page", "severity=ticket", "region")


@pytest.mark.parametrize(
    ("rules", "labels", "firing", "by"),
    [
        ([PAGES], TICKET, [DOWN], ("down",)),
        ([PAGES], TICKET, [], ()),
        ([], TICKET, [DOWN], ()),
        ([PAGES], TICKET | {"region": "us1"}, [DOWN], ()),  # another region
        ([PAGES], TICKET | {"severity": "info"}, [DOWN], ()),  # not a target
        ([PAGES], TICKET, [("a", {"severity": "info", "region": "ie1"})], ()),  # not a source
        ([rule("severity=page", "severity=ticket")], TICKET | {"region": "us1"}, [DOWN], ("down",)),
        # a label that is missing agrees with an empty one
        ([rule("severity=page", "severity=ticket", "zone")], TICKET, [DOWN], ("down",)),
        ([PAGES], TICKET, [("z", DOWN[1]), DOWN], ("down", "z")),
        ([PAGES, rule("alertname=RegionDown", "alertname=Slow")], TICKET, [DOWN], ("down",)),
        # on both sides: not by itself, nor by others that are; but by one that is a source only
        ([rule("region=ie1", "region=ie1")], TICKET, [("me", TICKET), DOWN], ()),
        ([rule("region=ie1", "severity=ticket")], TICKET, [("twin", TICKET), DOWN], ("down",)),
    ],
)
def test_an_alert_is_quiet_while_another_fires_that_explains_it(rules, labels, firing, by):
    assert Inhibitions(rules, firing).of("me", labels) == by


LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "1", "2"]), max_size=3)
SIDES = st.sampled_from(["a=1", "a!=1", 'b=~"1|2"', "c=2", "a=~.*"])


@given(
    st.lists(st.tuples(SIDES, SIDES, st.lists(st.sampled_from("abc"), unique=True, max_size=2)), max_size=3),
    st.dictionaries(st.sampled_from("pqrs"), LABELS, max_size=4),
    LABELS,
)
def test_it_is_what_a_plain_loop_over_all_pairs_says(rules, firing, labels):
    made = [rule(source, target, *equal) for source, target, equal in rules]

    def inhibits(source: dict[str, str], one: InhibitRule) -> bool:
        (left,), (right,) = one.source, one.target
        both = left.matches(labels) and right.matches(source)
        alike = all(source.get(name, "") == labels.get(name, "") for name in one.equal)
        return left.matches(source) and right.matches(labels) and alike and not both

    expected = {mark for mark, source in firing.items() if mark != "p" and any(inhibits(source, one) for one in made)}
    assert Inhibitions(made, firing.items()).of("p", labels) == tuple(sorted(expected))
