"""What each kind of rule is given by its keys, with the documented defaults, and what it says without annotations."""

from __future__ import annotations

import jsonschema
import msgspec
import pytest

from alertd.config import check, load_rules, schema_for
from alertd.config.yamltext import parse_yaml
from alertd.engine.conditions import EVERYTHING
from alertd.engine.fields import find_field
from alertd.engine.kinds import Absent, Anomaly, BurnRate, Distinct, Metric, NewValue, Spike
from alertd.engine.samples import Sample
from alertd.errors import InputError

SCHEMA = jsonschema.Draft202012Validator(schema_for("rules"))
SAMPLE = Sample(
    value=9,
    limit=5,
    matched=9,
    total=80,
    rooms=80,
    rooms_affected=9,
    identities=9,
    window=3600,
    position=0,
    of="rooms",
    baseline=0.012,
)


@pytest.fixture
def rule(rule_file):
    """The only rule of a file: one whose match is an error code, or of everybody. Its schema must take it, too."""

    def load(kind, match="    match: {error_code: 53405}\n"):
        text = f"rules:\n  - alert: Failing\n{match}    {kind}\n"
        assert list(SCHEMA.iter_errors(parse_yaml(text).data)) == []
        return load_rules([rule_file(text)]).rules[0]

    return load


@pytest.fixture
def said(rule):
    """The summary and the description of a rule without annotations, for a sample with these changes."""

    def render(kind, match="    match: {error_code: 53405}\n", **changes):
        variables = {"labels": {}, "sample": msgspec.structs.replace(SAMPLE, **changes), "rule": {}}
        texts = rule(kind, match).annotations
        return texts["summary"](variables), texts["description"](variables)

    return render


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("anomaly: {}", Anomaly()),
        ("burn_rate: {}", BurnRate()),
        ("spike: {}", Spike()),
        ("new_value: {field: sdk_version}", NewValue(field="publisher_info.sdk_version")),
        ("metric: {field: duration_sec, agg: p50, below: 60}", Metric(field="duration_sec", agg="p50", below=60.0)),
        ("distinct: {field: room_type, above: 0}", Distinct(field="room.room_type", above=0)),
    ],
)
def test_a_kind_needs_no_more_than_what_cannot_be_guessed(rule, written, meant):
    found = rule(written)
    assert found.kind == meant
    assert found.keep_firing_for == 900


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (
            "anomaly: {ratio: 1.3, false_alarms: 0.05/week, windows: [24h], min_rooms: 5, baseline: 14d, lag: 72h}",
            Anomaly(ratio=1.3, false_alarms=0.05, windows=(86400,), min_rooms=5, baseline=14 * 86400, lag=3 * 86400),
        ),
        ("anomaly: {ratio: auto, false_alarms: 2}", Anomaly(ratio=None, false_alarms=2.0)),
        (
            "burn_rate: {objective: 99.5%, pairs: [[2h, 10m, 10], [1d, 2h, 2.5]], min_rooms: 8}",
            BurnRate(objective=0.995, pairs=((7200, 600, 10.0), (86400, 7200, 2.5)), min_rooms=8),
        ),
        (
            "spike: {times: 2.5, at_least: 20, over: 1h, against: 7d, of: identities}",
            Spike(times=2.5, at_least=20, over=3600, against=7 * 86400, of="identities"),
        ),
        (
            "new_value: {field: properties.appVersion, seen_in: 7d, min_rooms: 4}",
            NewValue(field="properties.app_version", seen_in=7 * 86400, min_rooms=4),
        ),
        (
            "metric: {field: room.duration_sec, agg: p95, above: 1h30m, over: 6h, min: 200}",
            Metric(field="room.duration_sec", agg="p95", above=5400.0, over=21600, min=200),
        ),
        (
            "metric: {field: properties.bitrate, agg: mean, below: 2.5}",
            Metric(field="properties.bitrate", agg="mean", below=2.5),
        ),
        (
            "distinct: {field: participant_identity, below: 3, over: 24h}",
            Distinct(field="participant_identity", below=3, over=86400),
        ),
    ],
)
def test_every_key_can_be_written(rule, written, meant):
    assert rule(written).kind == meant


def test_absence_can_be_judged_by_what_is_usual(rule):
    assert rule("absent: {below_usual: 70%}", "").kind == Absent(below_usual=0.7)
    found = rule("absent: {below_usual: 0.5, windows: [30m, 6h]}", "")
    assert found.kind == Absent(below_usual=0.5, windows=(1800, 21600))
    assert (found.by, found.match) == (("account",), EVERYTHING)


@pytest.mark.parametrize(
    "written",
    [
        "new_value: {field: error_code}",
        "metric: {field: duration_sec, agg: p50, below: 1m}",
        "distinct: {field: media_region, above: 5}",
    ],
)
def test_kinds_that_look_at_a_field_may_look_at_everybody(rule, written):
    found = rule(written, "")
    assert found.match == EVERYTHING
    assert rule(written, "    among: {room_type: group}\n").among != EVERYTHING
    assert find_field(found.kind.field).name == found.kind.field


@pytest.mark.parametrize(
    ("written", "reach"),
    [
        ("anomaly: {baseline: 14d, lag: 7d}", "21d1h"),
        ("burn_rate: {pairs: [[9d, 1d, 1]]}", "9d"),
        ("spike: {against: 8d}", "8d30m"),
        ("new_value: {field: error_code}", "30d"),
        ("metric: {field: duration_sec, agg: max, above: 1h, over: 12d}", "12d"),
    ],
)
def test_no_kind_may_look_back_further_than_history_is_kept(config_file, config_text, written, reach):
    rules = f"rules:\n  - {{alert: Slow, when: error, {written}}}\n"
    path = config_file(config_text + '[store]\nkeep = "8d"\n', rules)
    assert f"Slow looks back {reach}, but store.keep is 8d" in [problem.message for problem in check(path).problems]


def test_an_anomaly_says_how_many_are_affected_and_what_is_usual(said):
    summary, description = said("anomaly: {}", value=9 / 80, limit=0.031)
    assert summary == "11.2 % of rooms are affected, usual are 1.2 %: error_code == 53405"
    assert description == (
        "9 of 80 rooms that ended within 1h have somebody who matches: 11.2 %. By the 7d before, 1.2 % would be usual "
        "here, and up to 3.1 % ordinary. So many more are hardly chance."
    )


def test_a_burn_rate_says_how_fast_and_how_long_the_budget_will_last(said):
    summary, description = said("burn_rate: {}", value=16.25, limit=14.4, matched=31, total=190, of="participants")
    assert summary == "The error budget is spent 16.25 times too fast: error_code == 53405"
    assert "16.3 %, where the objective of 99 % leaves 1 %. At this speed a budget for 30 days is gone in 1d21h." in (
        description
    )
    assert "is gone" not in said("burn_rate: {}", value=0.0)[1]


def test_a_spike_says_what_is_usual(said):
    summary, description = said("spike: {}", baseline=2.6, limit=7.8)
    assert summary == "9 in 1h, usual are 2.6: error_code == 53405"
    assert "In such a window there were 2.6 on average in the 1d before. The rule holds from 7.8 on." in description


def test_a_new_value_is_named(said):
    summary, description = said("new_value: {field: sdk_version}", "", value=1, matched=4, new=("2.31.0",))
    assert summary == "New publisher_info.sdk_version: 2.31.0"
    assert description == "Never seen in the 30d before, and now in 4 rooms. Counted are: everybody."
    summary, description = said("new_value: {field: sdk_version}", "", value=7, matched=4, new=("2.31.0", "3.0.0"))
    assert summary == "New publisher_info.sdk_version: 2.31.0, 3.0.0"
    assert description.startswith(
        "Never seen in the 30d before are 7 values of publisher_info.sdk_version, and now they are, one of them in 4 "
    )


def test_absence_by_what_is_usual_says_how_many_there_were_a_week_ago(said):
    summary, description = said("absent: {below_usual: 70%}", "", value=9, limit=62.4, baseline=89.2, below=True)
    assert summary == "Only 9 rooms started within 1h, a week ago 89"
    assert "A week ago, at this time, it was 89. The rule holds where there are far fewer than 70 %" in description


@pytest.mark.parametrize(
    ("written", "summary"),
    [
        ("metric: {field: duration_sec, agg: p50, below: 1m}", "p50 of duration_sec is 45s: everybody"),
        ("metric: {field: max_participants, agg: mean, above: 9}", "mean of room.max_participants is 45.4: everybody"),
    ],
)
def test_a_metric_is_told_in_its_unit(said, written, summary):
    assert said(written, "", value=45.4, limit=60, below=True)[0] == summary


def test_distinct_values_are_counted_in_words(said):
    summary, description = said("distinct: {field: media_region, below: 3}", "", value=2, limit=3, below=True)
    assert summary == "2 different values of media_region in 1h"
    assert "The rule holds below 3." in description
    assert "The rule holds above 3." in said("distinct: {field: media_region, above: 3}", "", limit=3)[1]


@pytest.mark.parametrize(
    ("kind", "other", "name"),
    [
        ("rate: {above: 5%}", "rate: {above: 5%, confidence: off}", "lower"),
        ("spike: {}", "count: {at_least: 5}", "baseline"),
        ("absent: {below_usual: 70%}", "absent: {fewer_than: 5}", "baseline"),
    ],
)
def test_a_text_may_reckon_with_what_samples_of_the_kind_have_and_no_others(rule_file, kind, other, name):
    def load(written):
        match = "" if "absent" in written else "match: {error_code: 53405}, "
        texts = f"annotations: {{summary: '{{{{ 100 * sample.{name} }}}}'}}"
        return load_rules([rule_file(f"rules:\n  - {{alert: A, {match}{written}, {texts}}}\n")])

    assert load(kind).rules
    with pytest.raises(InputError, match="numbers only"):
        load(other)
