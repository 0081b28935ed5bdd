"""The JSON Schemas of configuration and rule files, for editors: made from the very models that judge the files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from alertd.config.ruletables import RuleFile
from alertd.config.tables import config_file
from alertd.engine.durations import format_duration
from alertd.engine.fields import field_names, find_field

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_for(what: Literal["config", "rules"]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a configuration file or of a rule file."""
    model = config_file() if what == "config" else RuleFile
    schema = model.model_json_schema(by_alias=True)
    for table in _tables(schema):
        _write_durations(table)
    if what == "rules":
        schema["$defs"] |= _condition_schemas()
        rule = schema["$defs"]["RuleTable"]["properties"]
        for key in ("match", "among"):
            rule[key] = {"$ref": "#/$defs/Condition", "description": rule[key]["description"]}
    return {"$schema": DIALECT, **schema}


def _tables(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    yield from schema.get("$defs", {}).values()


def _write_durations(table: dict[str, Any]) -> None:
    """Defaults of durations as people write them; defaults of whole tables are those of their keys."""
    for item in table.get("properties", {}).values():
        forms = [item, *item.get("anyOf", [])]
        if any("[wdhms]" in str(form.get("pattern")) for form in forms) and isinstance(item.get("default"), int):
            item["default"] = format_duration(item["default"])
        if item.get("default") is None or isinstance(item["default"], dict):
            item.pop("default", None)
        item.pop("title", None)


def _condition_schemas() -> dict[str, Any]:
    """What a match may say: the known fields with the API's own values as examples, and groups of such matches."""
    condition = {"$ref": "#/$defs/Condition"}
    groups = {
        "any": {"type": "array", "items": condition, "description": "One of these must hold."},
        "all": {"type": "array", "items": condition, "description": "All of these must hold."},
        "not": {**condition, "description": "This must not hold."},
        "when": {"type": "string", "description": "An expression that must hold too; at the top of a mapping only."},
    }
    fields = {name: _field_schema(name) for name in field_names()}
    return {
        "Condition": {
            "type": "object",
            "description": "All fields must hold.",
            "properties": {**groups, **fields},
            "patternProperties": {r"^(publisher_info|publisherInfo|properties)\.": {"$ref": "#/$defs/Test"}},
            "additionalProperties": False,
        },
        "Test": _test_schema(),
    }


def _field_schema(name: str) -> dict[str, Any]:
    values = find_field(name).values
    return {"$ref": "#/$defs/Test", "examples": list(values)} if values else {"$ref": "#/$defs/Test"}


def _test_schema() -> dict[str, Any]:
    scalar = {"type": ["string", "number", "boolean"]}
    test = {"$ref": "#/$defs/Test"}
    return {
        "description": 'A value, a list of them, a glob ("534*"), a comparison (">= 60"), or one of these spelled out.',
        "anyOf": [
            scalar,
            {"type": "array", "items": test},
            {
                "type": "object",
                "properties": {
                    "not": test,
                    "in": {"type": "array", "items": test},
                    "exists": {"type": "boolean"},
                    "regex": {"type": "string"},
                    **{op: {"type": ["string", "number"]} for op in ("gt", "gte", "lt", "lte")},
                    "has": scalar,
                },
                "additionalProperties": False,
            },
        ],
    }
