"""Made-up alerts are such as could be: they fit their rules, and nobody real is in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alertd.config import load_rules
from alertd.engine.conditions import EVERYTHING, parse_condition
from alertd.engine.kinds import Absent, BurnRate, Count, Distinct, Metric, NewValue, Rate, Spike
from alertd.engine.kinds.anomaly import Anomaly
from alertd.specimens import figures, specimen

NOON = 1_772_452_800
RULES = load_rules([Path(__file__).parents[1] / "rules"]).rules
KINDS = [
    Count(at_least=1),
    Count(at_least=7, of="identities"),
    Rate(above=0.05),
    Rate(above=0.001, min=10, confidence=None),
    Rate(above=0.97, of="rooms"),
    Absent(fewer_than=3),
    Absent(below_usual=0.7),
    Anomaly(),
    Anomaly(ratio=1.3, min_rooms=12, windows=(86400,)),
    BurnRate(),
    BurnRate(objective=0.5, pairs=((3600, 600, 1.5),)),
    Spike(),
    Spike(times=2, at_least=40, of="rooms"),
    NewValue(field="sdk_version"),
    NewValue(field="end_reason", min_rooms=5),
    Metric(field="duration_sec", agg="p95", above=60),
    Metric(field="duration_sec", agg="mean", below=60),
    Metric(field="duration_sec", agg="min", above=0),
    Distinct(field="sdk_version", above=40),
    Distinct(field="media_region", below=2),
]


def plain(_field, value):
    return value


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: repr(kind)[:60])
def test_the_figures_of_every_kind_are_beyond_its_limit_and_possible(kind):
    sample = figures(kind)
    beyond = sample.value < sample.limit if sample.below else sample.value >= sample.limit
    assert beyond
    assert 0 <= sample.matched <= sample.total or sample.below
    assert 0 <= sample.rooms_affected <= sample.rooms or sample.below
    assert sample.rooms_affected >= getattr(kind, "min_rooms", 0)
    if sample.lower is not None:
        assert sample.limit < sample.lower <= sample.value <= sample.upper <= 1
    assert kind.describe(sample)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.key)
def test_calls_that_fit_are_found_for_every_rule_that_ships(rule):
    alert = specimen(rule, ["production", "staging"], plain, NOON)
    most = min(5, alert.sample.matched)
    assert min(1, most) <= len(alert.evidence) <= most
    assert alert.labels["account"] in ("production", "staging")
    assert alert.state == "firing"
    assert alert.reason
    assert set(alert.annotations) >= {"summary", "description"}
    assert all(0 <= NOON - clue.ended <= alert.sample.window for clue in alert.evidence)


def test_evidence_is_of_the_alerts_own_group(losing_media):
    alert = specimen(losing_media(by=("account", "media_region")), ["production"], plain, NOON)
    assert alert.evidence
    assert {clue.media_region for clue in alert.evidence} == {alert.labels["media_region"]}
    assert {clue.error_code for clue in alert.evidence} == {53405}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.key)
def test_what_carries_it_is_told_where_a_real_alert_would_and_the_figures_are_possible(rule):
    alert = specimen(rule, ["production", "staging"], plain, NOON)
    told = alert.explain
    if told is None:
        assert isinstance(rule.kind, Absent) or rule.match == EVERYTHING
        return
    assert told.rooms_affected == alert.sample.rooms_affected
    assert told.localised == bool(told.slices)
    for one in told.slices:
        assert one.field not in rule.by
        assert one.matched <= one.total < told.total
        assert one.matched <= told.matched
        assert told.matched - one.matched <= told.total - one.total
        seen = [(clue.media_region, clue.edge_location, clue.sdk.split()[-1]) for clue in alert.evidence]
        assert any(one.value in traits for traits in seen)


def test_what_carries_it_is_told_but_not_what_the_group_is_made_by(losing_media):
    alert = specimen(losing_media(by=("account", "media_region")), ["production"], plain, NOON)
    assert alert.explain.verdict == "localised"
    assert {one.field for one in alert.explain.slices} == {"edge_location"}


def test_it_is_the_same_every_time(losing_media):
    assert specimen(losing_media(), ["a"], plain, NOON) == specimen(losing_media(), ["a"], plain, NOON)


def test_where_no_call_fits_there_is_no_evidence_and_every_label_an_example(losing_media):
    nobody = parse_condition({"publisher_info.name": "no such SDK"}).condition
    rule = losing_media(match=nobody, by=("account", "media_region"), labels={"severity": "page"})
    alert = specimen(rule, ["production"], plain, NOON)
    assert alert.evidence == ()
    expected = {"alertname": "MediaLost", "severity": "page", "account": "production", "media_region": "example"}
    assert alert.labels == expected


def test_what_would_be_personal_is_shown_as_it_would_be(losing_media):
    alert = specimen(losing_media(), ["production"], lambda _field, value: f"anon-{len(value)}", NOON)
    assert all(clue.identity.startswith("anon-") and clue.room_name.startswith("anon-") for clue in alert.evidence)


def test_a_text_that_cannot_be_made_is_named_with_its_line(losing_media):
    def failing(_variables):
        raise ValueError("line 2: no such label")

    with pytest.raises(ValueError, match="annotation summary, line 2: no such label"):
        specimen(replace(losing_media(), annotations={"summary": failing}), ["production"], plain, NOON)
