"""The examples in docs/rules.md are rules that load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alertd.config import load_rules
from alertd.config.ruletables import RuleTable
from alertd.engine.rules import wilson

TEXT = (Path(__file__).parents[2] / "docs/rules.md").read_text()
EXAMPLES = re.findall(r"```(yaml|toml)\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(("suffix", "example"), EXAMPLES)
def test_an_example_loads(write, suffix, example):
    assert load_rules([write(f"example.{suffix}", example)]).rules


def test_every_key_of_a_rule_is_explained():
    keys = {field.alias or name for name, field in RuleTable.model_fields.items()}
    assert {key for key in keys if f"`{key}`" not in TEXT} == set()


@pytest.mark.parametrize(("failed", "total"), [(7, 50), (18, 200), (67, 1000), (551, 10000)])
def test_the_table_of_what_a_rate_needs_is_true(failed, total):
    assert wilson(failed, total, 0.99)[0] > 0.05 >= wilson(failed - 1, total, 0.99)[0]
    assert f"{total:,}" in TEXT
    assert f"about {failed} " in TEXT
