"""What rule files give: kinds with their defaults, conditions, labels and texts; and which files are read."""

from __future__ import annotations

import msgspec
import pytest

from alertd.config import load_rules
from alertd.engine.conditions import EVERYTHING, both, parse_condition, parse_expression
from alertd.engine.kinds import Absent, Count, Rate
from alertd.engine.samples import Sample
from alertd.errors import InputError

SAMPLE = Sample(
    value=0.031,
    limit=0.05,
    matched=31,
    total=1000,
    rooms=400,
    rooms_affected=20,
    identities=30,
    window=3600,
    position=0,
    lower=0.024,
    upper=0.04,
)


@pytest.fixture
def rule(rule_file):
    """The only rule of a file with the given body."""

    def load(body, head=""):
        return load_rules([rule_file(f"{head}rules:\n  - alert: Failing\n{body}")]).rules[0]

    return load


def test_any_is_one_participant_within_half_an_hour(rule):
    found = rule("    match: {error_code: 53405}\n    any: true\n")
    assert found.kind == Count(at_least=1, over=1800, of="participants")
    assert (found.by, found.hold_for, found.keep_firing_for, found.no_traffic) == (("account",), 0, 4 * 3600, 6 * 3600)


def test_count_says_how_many_of_what_within_how_long(rule):
    found = rule("    when: error\n    count: {at_least: 5, over: 1h30m, of: rooms}\n")
    assert found.kind == Count(at_least=5, over=5400, of="rooms")
    assert found.keep_firing_for == 4 * 3600


def test_rate_has_the_documented_defaults(rule):
    found = rule("    when: error\n    rate: {above: 5%}\n")
    assert found.kind == Rate(above=0.05, over=3600, of="participants", min=50, min_rooms=3, confidence=0.99)
    assert found.keep_firing_for == 900


def test_absence_needs_no_more_than_its_limit(rule):
    found = rule("    absent: {fewer_than: 5}\n")
    assert found.kind == Absent(fewer_than=5, over=7200)
    assert (found.by, found.match, found.among, found.keep_firing_for) == (("account",), EVERYTHING, EVERYTHING, 900)
    assert rule("    absent: {fewer_than: 1, over: 24h}\n    by: [account]\n", "defaults: {by: [sdk]}\n").by == (
        "account",
    )


@pytest.mark.parametrize(
    ("rooms", "summary"),
    [(0, "No room started within 2h"), (1, "Only 1 room started within 2h"), (4, "Only 4 rooms started within 2h")],
)
def test_absence_without_annotations_gets_texts_that_say_how_many_rooms_started(rule, rooms, summary):
    found = rule("    absent: {fewer_than: 5}\n")
    sample = msgspec.structs.replace(SAMPLE, value=rooms, matched=rooms, limit=5, window=7200)
    variables = {"labels": {}, "sample": sample, "rule": {}}
    assert found.annotations["summary"](variables) == summary
    assert f"started within 2h: {rooms}. The rule holds below 5." in found.annotations["description"](variables)


@pytest.mark.parametrize(
    ("written", "meant"), [("5%", 0.05), ("0.05", 0.05), ("2.5 %", 0.025), ("0", 0.0), ("0.0%", 0.0), ("'0.5%'", 0.005)]
)
def test_a_share_is_written_in_percent_or_as_a_number(rule, written, meant):
    assert rule(f"    when: error\n    rate: {{above: {written}}}\n").kind.above == pytest.approx(meant)


@pytest.mark.parametrize(("written", "meant"), [("99%", 0.99), ("0.95", 0.95), ("off", None), ("99.9%", 0.999)])
def test_confidence_is_a_share_or_off(rule, written, meant):
    kind = rule(f"    when: error\n    rate: {{above: 5%, confidence: {written}}}\n").kind
    assert kind.confidence == (None if meant is None else pytest.approx(meant))


def test_match_among_and_when_become_conditions(rule):
    found = rule(
        "    among: {room_type: group}\n    match: {error_code: 53405}\n    when: duration_sec < 10\n    any: true\n"
    )
    assert found.among == parse_condition({"room_type": "group"}).condition
    wanted = both(parse_condition({"error_code": 53405}).condition, parse_expression("duration_sec < 10").condition)
    assert found.match == wanted


@pytest.mark.parametrize("written", ["2.10", "'2.10'", "{in: [2.10]}", "{not: {not: 2.10}}"])
def test_a_version_keeps_its_last_nought(rule, written):
    assert "2.10" in str(rule(f"    match: {{sdk_version: {written}}}\n    any: true\n").match)


def test_a_number_of_another_field_is_a_number(rule):
    found = rule("    match: {duration_sec: 2.50}\n    any: true\n")
    assert found.match == parse_condition({"duration_sec": 2.5}).condition


def test_words_that_older_yaml_read_as_booleans_stay_text(rule):
    found = rule("    match: {room_name: NO, participant_identity: on}\n    any: true\n")
    assert found.match == parse_condition({"room_name": "NO", "participant_identity": "on"}).condition


def test_by_names_fields_in_the_order_of_the_file(rule):
    assert rule("    when: error\n    any: true\n    by: [media_region, sdk_version]\n").by == (
        "media_region",
        "publisher_info.sdk_version",
    )
    assert rule("    when: error\n    any: true\n    by: []\n").by == ()


def test_defaults_hold_for_all_rules_that_do_not_say_otherwise(rule_file):
    text = """\
defaults:
  by: [media_region]
  keep_firing_for: 2h
  labels: {severity: page, team: video}
  annotations: {summary: "{{ labels.team }}", runbook_url: https://example.com}
rules:
  - {alert: A, when: error, any: true}
  - alert: B
    when: error
    any: true
    by: [account]
    keep_firing_for: 0s
    labels: {severity: ticket}
    annotations: {summary: own}
"""
    first, second = load_rules([rule_file(text)]).rules
    assert (first.by, first.keep_firing_for, first.labels) == (
        ("media_region",),
        7200,
        {"severity": "page", "team": "video"},
    )
    assert (second.by, second.keep_firing_for) == (("account",), 0)
    assert second.labels == {"severity": "ticket", "team": "video"}
    assert second.annotations["summary"]({}) == "own"
    assert second.annotations["runbook_url"]({}) == "https://example.com"


def test_annotations_are_rendered_with_labels_sample_and_rule(rule):
    text = '{summary: "{{ rule.alert }} {{ labels.account }} {{ sample.rate|percent }}"}'
    found = rule(f"    when: error\n    rate: {{above: 5%}}\n    annotations: {text}\n")
    variables = {"labels": {"account": "prod"}, "sample": SAMPLE, "rule": {"alert": "Failing"}}
    assert found.annotations["summary"](variables) == "Failing prod 3.1 %"


@pytest.mark.parametrize(
    ("kind", "summary", "description"),
    [
        (
            "rate: {above: 5%}",
            "3.1 % of participants: error_code == 53405",
            (
                "31 of 1,000 participants match, in 20 of 400 rooms that ended within 1h: 3.1 %, "
                "and beyond chance at least 2.4 %. The limit is 5 %."
            ),
        ),
        (
            "count: {at_least: 5}",
            "31 in 1h: error_code == 53405",
            "Matching participants: 31, in 20 of 400 rooms that ended within 1h. The limit is 0.05.",
        ),
    ],
)
def test_missing_annotations_get_texts_that_say_what_was_seen(rule, kind, summary, description):
    found = rule(f"    match: {{error_code: 53405}}\n    {kind}\n")
    variables = {"labels": {}, "sample": SAMPLE, "rule": {}}
    assert found.annotations["summary"](variables) == summary
    assert found.annotations["description"](variables) == description


def test_braces_in_a_condition_do_not_become_a_template(rule):
    found = rule("    match: {room_name: '{{ 7 * 7 }} {% x %}'}\n    any: true\n")
    assert "{{ 7 * 7 }}" in found.annotations["summary"]({"labels": {}, "sample": SAMPLE, "rule": {}})


def test_a_long_condition_is_shortened_in_the_text(rule):
    codes = ", ".join(map(str, range(53000, 53400)))
    found = rule(f"    match: {{error_code: [{codes}]}}\n    any: true\n")
    text = found.annotations["summary"]({"labels": {}, "sample": SAMPLE, "rule": {}})
    assert len(text) < 330
    assert text.endswith("…")


def test_a_disabled_rule_is_checked_and_not_judged(rule_file):
    assert load_rules([rule_file("rules:\n  - {alert: A, when: error, any: true, enabled: false}\n")]).rules == ()
    with pytest.raises(InputError):
        load_rules([rule_file("rules:\n  - {alert: A, when: eror, any: true, enabled: false}\n")])


def test_a_rule_knows_where_it_stands(rule, tmp_path):
    assert rule("    when: error\n    any: true\n").source == f"{tmp_path / 'rules.yaml'}:2"


def test_toml_says_the_same_as_yaml(write, rule):
    toml = write(
        "rules.toml",
        """\
[[rules]]
alert = "Failing"
match = { error_code = [53405, 53001], sdk_version = "< 2.28" }
rate = { above = "5%", over = "2h", confidence = "off" }
by = ["account", "media_region"]
for = "10m"
[rules.labels]
severity = "page"
""",
    )
    (found,) = load_rules([toml]).rules
    twin = rule(
        "    match: {error_code: [53405, 53001], sdk_version: '< 2.28'}\n"
        "    rate: {above: 5%, over: 2h, confidence: off}\n"
        "    by: [account, media_region]\n    for: 10m\n    labels: {severity: page}\n"
    )
    assert (found.kind, found.match, found.by, found.hold_for, found.labels) == (
        twin.kind,
        twin.match,
        twin.by,
        twin.hold_for,
        twin.labels,
    )


def test_a_notice_tells_what_a_shortened_end_reason_was_taken_for(rule_file):
    loaded = load_rules(
        [rule_file("rules:\n  - {alert: A, match: {end_reason: media_connection_failed}, any: true}\n")]
    )
    (notice,) = loaded.notices
    assert "media_connection_failed_or_media_activity_ceased" in notice.message
    assert (notice.line, notice.column) == (2, 36)


def test_a_notice_tells_of_labels_that_name_people(rule_file):
    loaded = load_rules([rule_file("rules:\n  - {alert: A, when: error, any: true, by: [participant_identity]}\n")])
    assert "tells of a person" in loaded.notices[0].message


def test_a_folder_gives_its_rule_files_but_no_tests_hidden_files_or_others(write, tmp_path):
    one = "rules:\n  - {{alert: {0}, when: error, any: true}}\n"
    for name, alert in [
        ("b.yaml", "B"),
        ("a.yml", "A"),
        ("a.test.yaml", "T"),
        (".hidden.yaml", "H"),
        ("below/c.yaml", "C"),
    ]:
        write(f"rules/{name}", one.format(alert))
    write("rules/c.toml", '[[rules]]\nalert = "C"\nwhen = "error"\nany = true\n')
    write("rules/README.md", "# rules")
    loaded = load_rules([tmp_path / "rules"])
    assert [rule.alert for rule in loaded.rules] == ["A", "B", "C"]
    assert [path.name for path in loaded.files] == ["a.yml", "b.yaml", "c.toml"]


def test_a_file_that_is_named_twice_is_read_once(rule_file, tmp_path):
    path = rule_file("rules:\n  - {alert: A, when: error, any: true}\n")
    assert len(load_rules([path, tmp_path]).rules) == 1


def test_mistakes_of_all_files_are_told_at_once(write, tmp_path):
    write("rules/a.yaml", "rules: [")
    write("rules/b.yaml", "rules:\n  - {alert: A, when: eror, any: true}\n")
    with pytest.raises(InputError) as refused:
        load_rules([tmp_path / "rules", tmp_path / "none.yaml"])
    assert [problem.file.rpartition("/")[2] for problem in refused.value.problems] == ["none.yaml", "a.yaml", "b.yaml"]


def test_a_rule_may_not_repeat_one_of_another_file(write, tmp_path):
    for name in ("a", "b"):
        write(f"rules/{name}.yaml", "rules:\n  - {alert: A, when: error, any: true, labels: {severity: page}}\n")
    with pytest.raises(
        InputError, match=r"b\.yaml:2:13: rules\[0\]: the rule in .*a\.yaml:2 has the same alert and labels"
    ):
        load_rules([tmp_path / "rules"])


def test_the_same_alert_with_other_labels_is_another_rule(rule_file):
    text = """\
rules:
  - {alert: A, when: error, any: true}
  - {alert: A, when: error, any: true, labels: {severity: page}}
"""
    assert len(load_rules([rule_file(text)]).rules) == 2


@pytest.mark.parametrize(
    "text", ["rules: 5", "rules: [5, x]", "rules: {}", "defaults: 5\nrules: []", "rules: [{}]", "5"]
)
def test_nonsense_of_any_shape_is_refused(rule_file, text):
    with pytest.raises(InputError):
        load_rules([rule_file(text)])


def test_nonsense_inside_a_rule_is_refused(rule_file):
    keys = ("alert", "among", "match", "when", "any", "count", "rate", "by", "for", "labels", "annotations", "enabled")
    for key in keys:
        for value in ("[[]]", "{a: {b: 5}}", "-1", "", "'{{'", "[5, {}]"):
            with pytest.raises(InputError):
                load_rules([rule_file(f"rules:\n  - {{{key}: {value}}}\n")])
