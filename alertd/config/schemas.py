"""The JSON Schemas of configuration and rule files, for editors: made from the very models that judge the files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from alertd.config.ruletables import RuleFile
from alertd.config.tables import config_file
from alertd.engine.durations import format_duration
from alertd.engine.fields import Field, field_names, find_field
from alertd.engine.literals import PATTERN_LENGTH

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NULL = {"type": "null"}
_LEVELS = {"participant": "a participant's own", "room": "the room's", "derived": "worked out by alertd"}
_KINDS = {"text": "text", "any": "as it is sent", "number": "number", "time": "time", "flag": "true or false"}
_KINDS |= {"list": "list; has: finds one in it", "version": 'version, like "< 2.28"'}
_SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean"]}
_TESTS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "Test": ('A value, a list of them, a glob ("534*"), a comparison (">= 60"), or one of these spelled out.', _SCALAR),
    "FlagTest": ("true or false.", {"type": "boolean"}),
    "ListTest": ("{has: a value}, or {exists: false}.", None),
}


def schema_for(what: Literal["config", "rules"]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a configuration file or of a rule file."""
    model = config_file() if what == "config" else RuleFile
    schema = model.model_json_schema(by_alias=True)
    for table in _tables(schema):
        table.pop("title", None)  # the name of a class says nothing to a person
        table["properties"] = {key: _as_people_write(item) for key, item in table.get("properties", {}).items()}
    if what == "rules":
        schema["$defs"] |= _condition_schemas()
        rule = schema["$defs"]["RuleTable"]["properties"]
        for key in ("match", "among"):
            rule[key] = {"$ref": "#/$defs/Condition", "description": rule[key]["description"]}
    return {"$schema": DIALECT, **schema}


def _tables(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    yield from schema.get("$defs", {}).values()


def _as_people_write(item: dict[str, Any]) -> dict[str, Any]:
    """A key without the null that stands for its absence, and with its default as it would be written.

    Defaults of whole tables are those of their keys.
    """
    forms = [form for form in item.get("anyOf", []) if form != _NULL]
    kept = {name: part for name, part in item.items() if name not in ("title", "anyOf", "default")}
    kept |= forms[0] if len(forms) == 1 else {"anyOf": forms} if forms else {}
    if kept.get("format") == "path":  # pydantic's own word, which strict validators refuse
        del kept["format"]
    default = item.get("default")
    return kept if default is None or isinstance(default, dict) else kept | {"default": _written(default, kept)}


def _written(value: Any, schema: dict[str, Any]) -> Any:  # noqa: ANN401 - whatever JSON can say
    """A default as people write it: durations as text, also within lists."""
    if isinstance(value, list | tuple):
        places = schema.get("prefixItems") or [schema.get("items", {})] * len(value)
        return [_written(part, place) for part, place in zip(value, places, strict=True)]
    forms = [schema, *schema.get("anyOf", [])]
    duration = type(value) is int and any("[wdhms]" in str(form.get("pattern")) for form in forms)
    return format_duration(value) if duration else value


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
        **{name: _test_schema(name, *parts) for name, parts in _TESTS.items()},
        **{_closed_test(field): _closed_schema(field) for field in map(find_field, field_names()) if field.closed},
    }


def _field_schema(name: str) -> dict[str, Any]:
    field = find_field(name)
    test = _closed_test(field) if field.closed else {"flag": "FlagTest", "list": "ListTest"}.get(field.kind, "Test")
    schema = {"$ref": f"#/$defs/{test}", "description": f"{field.name}: {_LEVELS[field.level]}; {_KINDS[field.kind]}."}
    return schema | ({"examples": list(field.values)} if field.values else {})


def _closed_test(field: Field) -> str:
    return f"{field.name.title()}Test"


def _closed_schema(field: Field) -> dict[str, Any]:
    """The test of a field whose values are all known. A glob fits some of them, and case does not matter."""
    other = {"type": "string", "pattern": r"[*?A-Z]"}
    bare: dict[str, Any] = {"anyOf": [{"enum": list(field.values)}, other]}
    return _test_schema(_closed_test(field), f"One of {', '.join(field.values)}, a list of them, or {{not: …}}.", bare)


def _test_schema(name: str, description: str, bare: dict[str, Any] | None) -> dict[str, Any]:
    """What the test of a field may be: a bare value if it can, a list of such, or one spelled out."""
    test = {"$ref": f"#/$defs/{name}"}
    several = {"type": "array", "items": test, "minItems": 1}
    spelled_out = {
        "not": test,
        "in": several,
        "exists": {"type": "boolean"},
        "regex": {"type": "string", "maxLength": PATTERN_LENGTH},
        **{op: {"type": ["string", "number"]} for op in ("gt", "gte", "lt", "lte")},
        "has": _SCALAR,
    }
    mapping = {"type": "object", "properties": spelled_out, "additionalProperties": False, "minProperties": 1}
    return {"description": description, "anyOf": [*([bare, several] if bare else []), mapping]}
