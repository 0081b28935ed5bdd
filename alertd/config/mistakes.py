"""How mistakes in a table of settings are told: each with its place, what would be right, the likeliest name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from alertd.config.reading import Document, KeyPath
from alertd.errors import Problem

Model = TypeVar("Model", bound=BaseModel)

LIKELY = 0.7
"""How alike two names are (difflib's ratio) for one to be taken for the other."""
_RIGHT = {
    "string_type": "write text, in quotes",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "list_type": "write a list, like [a, b]",
    "tuple_type": "write a list, like [a, b]",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "int_parsing_size": "the number is too large",
    "int_from_float": "write a whole number",
    "float_type": "write a number",
    "float_parsing": "write a number",
    "dict_type": "write a table of keys and values",
    "model_type": "write a table of keys and values",
    "model_attributes_type": "write a table of keys and values",
}
_BOUNDS = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "string_too_long": "must not be longer than {max_length} characters",
    "too_long": "must not hold more than {max_length}",
}


def validate(
    model: type[Model],
    document: Document,
    refused: Mapping[str, str] = MappingProxyType({}),
    forms: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Model | None, list[Problem]]:
    """The document's data as `model`, or None and every mistake in it; no message repeats a value that may be secret.

    `refused` are unknown keys of which more is to be said than that: `key`, or `table.key` in one table only.
    `forms` are what to write for keys in whose place stands no table, by key.
    """
    try:
        return model.model_validate(document.data), []
    except ValidationError as error:
        details = error.errors(include_url=False)
        echoes = _echoes(model, details)
        told = [item for item in details if _echo(item) not in echoes]
        return None, [_formless(document, item, forms) or _problem(model, document, item, refused) for item in told]


def _echoes(model: type[BaseModel], details: Sequence[ErrorDetails]) -> set[tuple[str, KeyPath]]:
    """What only repeats another mistake: a missing key that is there misspelt, a list short of its invalid items."""
    misspelt = {
        ("missing", (*item["loc"][:-1], str(_meant(model, item))))
        for item in details
        if item["type"] == "extra_forbidden"
    }
    return misspelt | {("too_short", item["loc"][:length]) for item in details for length in range(len(item["loc"]))}


def _echo(item: ErrorDetails) -> tuple[str, KeyPath]:
    return item["type"], item["loc"]


def dotted(path: KeyPath) -> str:
    """A path as people write it: `route.routes[0].receiver`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def suggestion(name: str, names: Iterable[str]) -> str:
    """What to say after an unknown name: the likeliest one, however it is written, or all if they are few."""
    known = sorted(set(names))
    written = {one.lower(): one for one in reversed(known)}
    close = get_close_matches(name.lower(), written, n=1, cutoff=LIKELY)
    if close:
        return f'; did you mean "{written[close[0]]}"?'
    return f"; known here: {', '.join(known)}" if 0 < len(known) <= 20 else ""


def known_keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The keys that the table at `path` may have, as they are written in a file."""
    table: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, str) and table is not None:
            table = next((_table_in(item.annotation) for name, item in _fields(table) if name == part), None)
    return [name for name, _ in _fields(table)] if table else []


def _fields(model: type[BaseModel]) -> list[tuple[str, Any]]:
    return [(item.alias or name, item) for name, item in model.model_fields.items()]


def _table_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _table_in(part))), None)


def _meant(model: type[BaseModel], item: ErrorDetails) -> str | None:
    close = get_close_matches(str(item["loc"][-1]), known_keys(model, item["loc"][:-1]), n=1, cutoff=LIKELY)
    return close[0] if close else None


def _formless(document: Document, item: ErrorDetails, forms: Mapping[str, str]) -> Problem | None:
    """What to write instead of something that is no table, where `forms` say it."""
    path = item["loc"]
    form = forms.get(str(path[-1])) if path and item["type"].startswith("model_") else None
    return document.problem(path, f"{dotted(path)}: write {form}") if form else None


def _problem(model: type[BaseModel], document: Document, item: ErrorDetails, refused: Mapping[str, str]) -> Problem:
    path = tuple(part for part in item["loc"] if part != "[key]")
    why = refused.get(dotted(path[-1:])) or refused.get(dotted(path[-2:]))
    if item["type"] == "extra_forbidden" and why:
        return document.problem(path, f"{dotted(path)}: {why}", at_key=True)
    if item["type"] == "extra_forbidden":
        keys = known_keys(model, path[:-1])
        where = f" in {dotted(path[:-1])}" if len(path) > 1 else ""
        return document.problem(path, f'unknown key "{path[-1]}"{where}{suggestion(str(path[-1]), keys)}', at_key=True)
    if item["type"] == "missing":
        where = f"{dotted(path[:-1])}: " if len(path) > 1 else ""
        return document.problem(path[:-1], f'{where}the key "{path[-1]}" is missing')
    return document.problem(path, f"{dotted(path)}: {_complaint(item)}" if path else _complaint(item))


def _complaint(item: ErrorDetails) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return _not_one_of(item["input"], str(context["expected"]))
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**context)
    return _RIGHT.get(kind, item["msg"])


def _not_one_of(value: object, expected: str) -> str:
    names = [part.strip("'") for part in expected.replace(" or ", ", ").split(", ")]
    said = f'"{value[:60]}" is not' if isinstance(value, str) else "write"
    close = get_close_matches(value.lower(), names, n=1, cutoff=LIKELY) if isinstance(value, str) else []
    return f"{said} one of {', '.join(names)}" + (f'; did you mean "{close[0]}"?' if close else "")
