"""In an editor, rule files are completed, explained and checked by the schema that their first line names."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from alertd.config import schema_for
from alertd.config.ruletables import KINDS
from alertd.config.yamltext import UnreadableError, parse_yaml

ROOT = Path(__file__).parents[2]
GOOD = [path for path in sorted((ROOT / "rules").glob("*.yaml")) if not path.stem.endswith(".test")]
BAD = sorted((ROOT / "tests/config/bad/rules").glob("*.yaml"))
FIRST = "# yaml-language-server: $schema=schema.json\n"
RULE = FIRST + "rules:\n  - alert: Failing\n    match: {error_code: 53405}\n"
ELSEWHERE = {"kinds-two", "kind-without-value"}
"""Samples in which an editor underlines another place of the same rule."""


def lines(problems):
    return {problem["range"]["start"]["line"] for problem in problems}


def expected_lines(text):
    """The lines of the mistakes that a sample announces; one further down once the schema's line is on top."""
    found = [line.removeprefix("# expect: ") for line in text.splitlines() if line.startswith("# expect: ")]
    return {int(line.split(":")[0]) for line in found}


def is_refused(text):
    """Whether a file is one that an editor can know to be bad."""
    try:
        reading = parse_yaml(text)
    except UnreadableError:
        return True
    return not jsonschema.Draft202012Validator(schema_for("rules")).is_valid(reading.data)


def test_nothing_is_underlined_in_the_files_that_ship(editor):
    found = editor.problems({path.name: path.read_text() for path in GOOD})
    assert found == {path.name: [] for path in GOOD}


def test_mistakes_are_underlined_where_they_are_if_a_schema_can_know_them(editor):
    texts = {path.stem: path.read_text() for path in BAD}
    found = editor.problems({name: FIRST + text for name, text in texts.items()})
    seen = {name for name, problems in found.items() if problems}
    assert {name for name, text in texts.items() if is_refused(text)} - {"merge-key"} == seen - {"duplicate-key"}
    misplaced = {name for name in seen if not expected_lines(texts[name]) <= lines(found[name])}
    assert misplaced <= ELSEWHERE


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_offered_and_explained(editor, kind):
    offered = editor.completions(f"{RULE}    |")
    assert (
        offered[kind]["documentation"] == schema_for("rules")["$defs"]["RuleTable"]["properties"][kind]["description"]
    )


def test_the_keys_of_a_kind_are_offered_inside_it(editor):
    assert set(editor.completions(f"{RULE}    anomaly:\n      |")) == {
        *("ratio", "reopen", "false_alarms", "windows", "min_rooms", "baseline", "lag")
    }
    assert set(editor.completions(f"{RULE}    rate:\n      above: 5%\n      |")) == {
        *("over", "of", "min", "min_rooms", "confidence")
    }


def test_values_are_offered_where_they_are_known(editor):
    metric = f"{RULE}    metric:\n      "
    assert set(editor.completions(f"{metric}agg: |")) == {"mean", "p50", "p95", "p99", "min", "max", "sum"}
    assert {"duration_sec", "room.unique_participants"} <= set(editor.completions(f"{metric}field: |"))
    assert "media_region" not in editor.completions(f"{metric}field: |")
    assert "auto" in editor.completions(f"{RULE}    anomaly:\n      ratio: |")
    assert set(editor.completions(f"{FIRST}rules:\n  - alert: A\n    match:\n      partial: |")) == {"true", "false"}
    assert {"au1", "us1"} <= set(editor.completions(f"{FIRST}rules:\n  - alert: A\n    match:\n      media_region: |"))
    assert {"media_region", "sdk_version"} <= set(editor.completions(f"{RULE}    by: [|]"))


def test_a_key_explains_itself(editor):
    assert editor.hover(f"{RULE}    ano|maly: {{}}").startswith("Holds when more rooms are affected than usual")
    assert "How many false alarms a week you bear" in editor.hover(f"{RULE}    anomaly: {{false_al|arms: 1}}")
    assert "times its even speed in both windows" in editor.hover(f"{RULE}    burn_rate: {{pa|irs: []}}")
    assert "category: worked out by alertd" in editor.hover(f"{FIRST}rules:\n  - match: {{cat|egory: network}}")
