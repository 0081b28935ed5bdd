"""Ajv, the validator that most editors and services build on, takes the schemas as they are and says the same."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from alertd.config import schema_for
from alertd.config.reading import read_text
from alertd.config.tomltext import parse_toml
from alertd.config.yamltext import parse_yaml
from alertd.receivers.webhook import webhook_schema

ROOT = Path(__file__).parents[2]
BAD = ROOT / "tests/config/bad"
UNREADABLE = ("syntax-", "alias-", "tag-", "duplicate-key", "second-document", "merge-key", "match-key")
"""Samples that readers of YAML take differently, if they take them at all."""


def refused(schema, documents):
    judge = jsonschema.Draft202012Validator(schema)
    return {name for name, data in documents.items() if not judge.is_valid(data)}


@pytest.mark.parametrize("schema", [schema_for("config"), schema_for("rules"), webhook_schema()])
def test_a_schema_holds_nothing_that_strict_mode_refuses(ajv, schema):
    assert ajv(schema, {"nothing": {"data": None}})["nothing"]


def test_good_rule_files_are_accepted_as_javascript_reads_them(ajv):
    files = [path for path in (ROOT / "rules").glob("*.yaml") if not path.stem.endswith(".test")]
    found = ajv(schema_for("rules"), {path.name: {"yaml": path.read_text()} for path in files})
    assert found == {path.name: [] for path in files}


def test_bad_rule_files_are_refused_where_a_schema_can_know(ajv):
    files = [path for path in (BAD / "rules").glob("*.yaml") if not path.stem.startswith(UNREADABLE)]
    found = ajv(schema_for("rules"), {path.name: {"yaml": path.read_text()} for path in files})
    ours = refused(schema_for("rules"), {path.name: parse_yaml(path.read_text()).data for path in files})
    assert {name for name, messages in found.items() if messages} == ours
    assert len(ours) > 50


def test_so_are_configurations(ajv):
    files = [ROOT / "config.example.toml"]
    files += [path for path in (BAD / "config").glob("*.toml") if not path.stem.startswith("syntax-")]
    data = {path.name: parse_toml(read_text(path)).data for path in files}
    found = ajv(schema_for("config"), {name: {"data": item} for name, item in data.items()})
    assert {name for name, messages in found.items() if messages} == refused(schema_for("config"), data)
    assert found["config.example.toml"] == []
