"""The published schemas are good JSON Schemas that describe every key, accept good files and refuse bad ones."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

from alertd.config import schema_for
from alertd.config.reading import read_text
from alertd.config.tomltext import parse_toml
from alertd.config.yamltext import parse_yaml

ROOT = Path(__file__).parents[2]
BAD = Path(__file__).parent / "bad"
# Mistakes that only alertd itself can see: names that must fit others, texts that must compile, several keys together.
BEYOND_CONFIG = {
    *("collect-backfill-long", "collect-backfill-short", "collect-recheck-long", "collect-recheck-short"),
    *("account-base-url-plain-http", "account-duplicate", "account-key-is-no-sid", "account-secret-blank"),
    *(
        "collect-every-too-often",
        "collect-look-back-short",
        "collect-settle-timeout-long",
        "http-listen-beyond-loopback",
    ),
    "escalation-receiver-misspelt",
    *("http-auth-name-twice", "http-auth-password-no-hash", "http-auth-token-no-hash"),
    *("http-listen-every-interface", "http-listen-without-port", "receiver-duplicate", "receiver-template-broken"),
    *(
        "route-first-with-matchers",
        "route-first-without-receiver",
        "route-group-by-all-and-more",
        "route-group-by-no-label",
    ),
    *("route-group-by-twice", "route-group-interval-zero", "route-matcher-broken-regex", "route-matcher-unreadable"),
    *("route-receiver-misspelt", "route-receiver-unknown-below", "rules-path-missing", "secret-env-unset"),
    *("secret-file-unreadable", "store-keep-short", "store-url-of-another-kind"),
    *("interval-days-backwards", "interval-duplicate", "interval-over-midnight", "interval-unknown"),
    *("interval-weekday-misspelt", "interval-zone-unknown", "route-first-muted"),
    *(
        f"receiver-alertmanager-{which}"
        for which in (
            *("login-half", "timeout-long", "token-with-scheme", "two-logins", "url-of-the-api", "url-twice"),
            *("url-with-login", "url-with-query", "url-without-scheme", "username-with-colon"),
        )
    ),
}
BEYOND_RULES = {
    *("above-all", "above-over-100-percent", "absent-below-nothing", "absent-by-of-defaults", "absent-over-too-long"),
    *("absent-over-too-short", "absent-windows-too-long", "alert-name-of-alertd", "alert-with-line-break"),
    *("annotation-broken", "annotation-of-another-kind", "annotation-of-defaults", "annotation-unknown-filter"),
    *("annotation-two-unknown-names", "annotation-two-unknown-variables", "category-glob-of-none"),
    *("annotation-unknown-label", "annotation-unknown-variable", "anomaly-baseline-short", "anomaly-lag-long"),
    *("anomaly-lag-short", "anomaly-window-of-seconds", "burn-rate-never", "burn-rate-objective-all"),
    *("burn-rate-pair-reversed", "by-same-label-twice", "confidence-low", "duplicate-key", "duplicate-rule"),
    *("end-reason-ambiguous", "field-wrong-type", "label-account", "label-alertname", "label-also-from-by"),
    *("label-name-invalid", "label-reserved", "match-comparison-broken", "match-comparison-unequal", "match-empty"),
    *("match-exists-inside-not", "match-glob-of-a-time", "match-has-of-no-list", "match-number-as-a-word"),
    *("match-number-too-large", "match-order-of-text", "match-regex-broken", "match-text-as-a-flag", "match-text-long"),
    *(
        "match-time-in-words",
        "match-version-range-broken",
        "match-when-inside-not",
        "metric-duration-of-a-number",
        "new-value-of-calls",
    ),
    *("new-value-of-people", "new-value-seen-in-short", "second-document", "spike-against-short"),
    *("template-include", "template-loop-recursive", "template-loops-nested", "template-range-too-long"),
    *("template-text-multiplied", "template-text-too-long", "toml-in-a-second-rule", "version-as-a-number-in-when"),
    *(
        "when-category-misspelt",
        "when-calls",
        "when-field-alone",
        "when-in-without-list",
        "when-is",
        "when-literal-computed",
        "when-long",
    ),
    *("when-nothing-compared", "when-null-in-a-list", "when-two-fields", "when-unfinished", "when-unknown-field"),
    *("window-not-whole-minutes", "window-too-long"),
}


def errors(what, data):
    return list(jsonschema.Draft202012Validator(schema_for(what)).iter_errors(data))


@pytest.mark.parametrize("what", ["config", "rules"])
def test_a_schema_is_a_schema(what):
    jsonschema.Draft202012Validator.check_schema(schema_for(what))
    assert json.loads(json.dumps(schema_for(what))) == schema_for(what)


def readable(folder):
    """The samples that can be read at all; what is not even YAML or TOML, no schema sees."""
    unreadable = ("syntax-", "alias-unknown", "match-key-not-text")
    return sorted(p for p in folder.iterdir() if p.suffix and not p.stem.startswith(unreadable))


def of_table(schema, value):
    """What the table that a key holds says of itself."""
    return schema["$defs"].get(value.get("$ref", "").removeprefix("#/$defs/"), {}).get("description")


@pytest.mark.parametrize("what", ["config", "rules"])
def test_every_key_says_what_it_is_for(what):
    schema = schema_for(what)
    tables = {"": schema, **schema["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, table in tables.items()
        for key, value in table.get("properties", {}).items()
        if name not in ("Condition", "Test") and not (value.get("description") or of_table(schema, value))
    ]
    assert not silent


def test_defaults_are_shown_as_people_write_them():
    collect = schema_for("config")["$defs"]["Collect"]["properties"]
    assert (collect["every"]["default"], collect["max_in_flight"]["default"]) == ("1m", 16)


def test_a_field_offers_the_values_of_the_api():
    condition = schema_for("rules")["$defs"]["Condition"]["properties"]
    assert "au1" in condition["media_region"]["examples"]


def test_the_categories_are_all_there_are_and_a_misspelt_one_is_underlined():
    def found(value):
        return errors("rules", {"rules": [{"alert": "Failing", "match": {"category": value}, "any": True}]})

    assert found("netwrok")
    assert found(["network", "netwrok"])
    assert not found(["network", "Client", "s*"])
    assert not found({"not": "network"})


def test_the_example_configuration_is_accepted():
    assert not errors("config", tomllib.loads((ROOT / "config.example.toml").read_text()))


@pytest.mark.parametrize("path", sorted((ROOT / "rules").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_rules_are_accepted(path):
    if not path.stem.endswith(".test"):
        assert not errors("rules", parse_yaml(path.read_text()).data)


@pytest.mark.parametrize("path", readable(BAD / "config"), ids=lambda path: path.stem)
def test_bad_configurations_are_refused_where_a_schema_can_know(path):
    found = errors("config", parse_toml(read_text(path)).data)
    assert bool(found) == (path.stem not in BEYOND_CONFIG)


@pytest.mark.parametrize("path", readable(BAD / "rules"), ids=lambda path: path.stem)
def test_bad_rules_are_refused_where_a_schema_can_know(path):
    parse = parse_toml if path.suffix == ".toml" else parse_yaml
    found = errors("rules", parse(read_text(path)).data)
    assert bool(found) == (path.stem not in BEYOND_RULES)


def test_the_schema_that_shipped_rules_point_to_is_current():
    """Made anew by `alertd schema rules > rules/schema.json`."""
    assert json.loads((ROOT / "rules/schema.json").read_text()) == schema_for("rules")


@pytest.mark.parametrize("path", sorted((ROOT / "rules").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_files_are_the_same_to_any_yaml_reader(path):
    """They hold nothing that YAML 1.1 and 1.2 read differently."""
    assert yaml.safe_load(path.read_text()) == parse_yaml(path.read_text()).data
