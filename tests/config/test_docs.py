"""docs/rules.md is the whole reference: its examples load; no kind, key, default, field or filter is without a word."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from click.testing import CliRunner

from alertd.cli import alertd
from alertd.config import load_rules, schema_for
from alertd.config.ruletables import KINDS, SHORTEST, RuleTable, Shared
from alertd.config.tomltext import parse_toml
from alertd.config.yamltext import parse_yaml
from alertd.engine.errortable import CATEGORIES
from alertd.engine.fields import SENT_BY_SDKS, field_names, find_field
from alertd.engine.kinds.rate import wilson
from alertd.engine.samples import Sample
from alertd.templating import FILTERS

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "rules.md").read_text()
TEMPLATES = (DOCS / "templates.md").read_text()
GUIDE = (DOCS / "writing-rules.md").read_text()
EXAMPLES = re.findall(r"```(yaml|toml)\n(.*?)```", TEXT, re.DOTALL)
TABLES = schema_for("rules")["$defs"]


def section(title: str, text: str = TEXT) -> str:
    """What stands below a heading, up to the next one of the same level."""
    found = re.search(rf"^(#+) {title}\n(.*?)(?=^\1 |^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, title
    return found[2]


def rows(text: str) -> dict[str, tuple[str, ...]]:
    """The rows of the tables in a text: the last two cells by each word in `ticks` of the first."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {word: tuple(cells[1:]) for cells in lines for word in re.findall(r"`([^`]+)`", cells[0])}


def keys_of(kind: str) -> dict[str, Any]:
    """The keys of a kind's table, as the schema has them."""
    table = TABLES["RuleTable"]["properties"][kind]
    return TABLES[table["$ref"].removeprefix("#/$defs/")]["properties"] if "$ref" in table else {}


def as_written(default: Any) -> list[str]:
    """The ways in which a default may stand in a table."""
    if isinstance(default, list):
        return [str(default).replace("'", "").replace(".0", "")]
    ways = [f"{default:g}" if isinstance(default, float) else str(default)]
    if isinstance(default, float):
        ways += [f"{100 * default:g}%", f"{default:g}/week"]
    return [*ways, "24h"] if default == "1d" else ways


@pytest.mark.parametrize(("suffix", "example"), EXAMPLES)
def test_an_example_loads(write, suffix, example):
    assert load_rules([write(f"example.{suffix}", example)]).rules
    data = (parse_toml if suffix == "toml" else parse_yaml)(example).data
    assert jsonschema.Draft202012Validator(schema_for("rules")).is_valid(data)


def test_every_key_of_a_rule_is_explained():
    explained = rows(section("Keys of a rule"))
    assert {field.alias or name for name, field in RuleTable.model_fields.items()} == set(explained)


def test_every_key_of_the_defaults_is_named():
    sentence = re.search(r"^`defaults` may hold (.*?)\.", TEXT, re.MULTILINE)
    assert sentence is not None
    assert set(re.findall(r"`(\w+)`", sentence[1])) == set(Shared.model_fields)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_section_with_its_keys_defaults_and_an_example(write, kind):
    text = section("any and count" if kind in ("any", "count") else kind)
    explained = rows(text)
    assert set(keys_of(kind)) <= set(explained)
    for key, schema in keys_of(kind).items():
        if "default" in schema:
            assert explained[key][-1].strip("`") in as_written(schema["default"]), key
    examples = "".join(re.findall(r"```yaml\nrules:\n(.*?)```", text, re.DOTALL))
    assert load_rules([write("example.yaml", f"rules:\n{examples}")]).rules
    assert f"    {kind}: " in examples
    assert f"| [`{kind}`](#" in section("Kinds")


def test_no_section_explains_a_key_that_is_not_there():
    for kind in set(KINDS) - {"any", "count", "metric", "distinct"}:
        table = section(kind).split("\n\n```")[0]
        assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(keys_of(kind))


def test_every_field_is_listed():
    named = set(re.findall(r"`([\w.]+)`", section("Fields")))
    assert {find_field(name).name for name in field_names()} <= named


def test_every_key_that_sdks_are_known_to_send_is_listed():
    assert all(f"`{key}`" in section("Fields") for key in SENT_BY_SDKS)


def test_the_form_that_a_mistake_suggests_for_each_kind_is_right(write):
    assert set(SHORTEST) == set(KINDS)
    for kind, form in SHORTEST.items():
        match = "" if kind == "absent" else "match: {error_code: 53405}, "
        load_rules([write("shortest.yaml", f"rules:\n  - {{alert: Failing, {match}{form}}}\n")])


def test_the_first_look_at_calls_leaves_out_those_without_an_error():
    """As jq reads it: 0 is a value like any other."""
    assert "select((.error_code // 0) != 0)" in section("1. Find those calls", GUIDE)


def test_the_least_backfill_stands_where_it_is_set():
    for name in ("README.md", "config.example.toml"):
        text = (DOCS.parent / name).read_text()
        assert re.search(r"^.*backfill.*24h30m.*7d", text, re.MULTILINE)


def test_every_category_is_listed():
    assert all(category in section("Fields") for category in CATEGORIES)


def test_every_way_to_compare_is_listed():
    spelled_out = TABLES["Test"]["anyOf"][-1]["properties"]
    assert {name for name in spelled_out if f"{name}:" not in section("Matchers")} - {"gt", "lte"} == set()


def test_every_figure_of_a_sample_and_every_filter_is_listed_for_annotations():
    assert set(Sample.__struct_fields__) | {"rate"} <= set(rows(section("Sample", TEMPLATES)))
    filters = section("Filters", TEMPLATES)
    assert {name for name in (*FILTERS, "percent", "duration", "time", "number") if f"`{name}`" not in filters} == set()


@pytest.mark.parametrize(("failed", "total"), [(7, 50), (18, 200), (67, 1000), (551, 10000)])
def test_the_table_of_what_a_rate_needs_is_true(failed, total):
    assert wilson(failed, total, 0.99)[0] > 0.05 >= wilson(failed - 1, total, 0.99)[0]
    assert f"{total:,}" in TEXT
    assert f"about {failed} " in TEXT


def commands(text: str) -> list[list[str]]:
    """The lines of shell blocks that run alertd, as words."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line.split() for line in "".join(blocks).splitlines() if line.startswith("alertd ")]


def test_the_guide_goes_through_commands_that_exist():
    found = commands(GUIDE)
    assert [words[1] for words in found] == ["export", "schema", "check", "backtest", "backtest", "render"]
    for _, name, *rest in found:
        known = {option for one in alertd.commands[name].params if isinstance(one, click.Option) for option in one.opts}
        assert {word for word in rest if word.startswith("--")} <= known


def test_the_rule_of_the_guide_passes_its_tests(write):
    rules, tests = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    write("rules/dropped.yaml", rules)
    path = write("rules/dropped.test.yaml", tests)
    result = CliRunner().invoke(alertd, ["test", str(path)])
    assert result.exit_code == 0
    shown = re.search(r"\$ alertd test .*?\n(.*?)```", GUIDE, re.DOTALL)
    assert shown is not None
    assert re.findall(r"^  ok .*$", shown[1], re.MULTILINE) == re.findall(r"^  ok .*$", result.output, re.MULTILINE)


@pytest.mark.parametrize("name", ["since-release", "nobody"])
def test_the_other_rules_of_the_guide_pass_their_tests_too(write, name):
    files = dict(re.findall(rf"```yaml ({name}[a-z.]*)\n(.*?)```", GUIDE, re.DOTALL))
    assert set(files) == {f"{name}.yaml", f"{name}.test.yaml"}
    paths = [write(f"rules/{file}", text) for file, text in files.items()]
    result = CliRunner().invoke(alertd, ["test", str(paths[-1])])
    assert result.exit_code == 0, result.output


def test_the_guide_offers_every_kind():
    assert set(KINDS) <= set(re.findall(r"`(\w+)`", section("3. Choose the kind", GUIDE)))
