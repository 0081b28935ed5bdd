"""The `match:` and `among:` of a rule: mappings of fields to matchers, read into a condition; and the door to the rest.

All fields of a mapping must hold; `any`, `all` and `not` nest, `when` at the top holds an expression. Two kinds of
negation differ on null: a field's own `{not: V}` wants a value that is not V, so null fails it, while `not: {…}` around
a mapping is plain negation and holds for null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from alertd.engine.expressions import Mistake, Parsed, parse_expression
from alertd.engine.fields import Field, UnknownFieldError, find_field, shortened
from alertd.engine.literals import LiteralError, has, matching, ordered, scalar, shown
from alertd.engine.predicates import (
    EVERYTHING,
    Condition,
    Predicate,
    compile_condition,
    every,
    exists,
    negation,
    present_but_not,
    some,
)

__all__ = [
    "EVERYTHING",
    "Condition",
    "Mistake",
    "Parsed",
    "Predicate",
    "both",
    "compile_condition",
    "parse_condition",
    "parse_expression",
]

Path = tuple[str | int, ...]

DEPTH = 20
PARTS = 10_000  # in one condition; more than a long list is a file that unfolds aliases into aliases

_ORDERS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_MATCHERS = ("not", "in", "exists", "regex", "has", *_ORDERS)


def parse_condition(data: object) -> Parsed:
    """Read a mapping (plain values, as YAML or TOML give them), with all its mistakes at once; `{}` is everything."""
    reader = _Reader()
    condition = reader.mapping(data, (), 0)
    if reader.parts > PARTS:
        reader.mistakes = [Mistake((), f"this condition has more than {PARTS} parts")]
    return Parsed(None if reader.mistakes else condition, reader.mistakes, reader.notices)


def both(first: Condition, second: Condition) -> Condition:
    """The condition that holds where both do."""
    return every(first, second)


@dataclass
class _Reader:
    """Reads one mapping; collects what is wrong with it. Its methods give None after a mistake."""

    mistakes: list[Mistake] = field(default_factory=list)
    notices: list[Mistake] = field(default_factory=list)
    parts: int = 0

    def mistake(self, path: Path, message: str) -> Condition | None:
        """Keep a mistake, and give what its place is worth: nothing."""
        self.mistakes.append(Mistake(path, message))
        return None

    def is_full(self) -> bool:
        """Count one more part; the overflow itself is said once, at the end."""
        self.parts += 1
        return self.parts > PARTS

    def mapping(self, data: object, path: Path, depth: int) -> Condition | None:
        if self.is_full():
            return None
        if depth > DEPTH:
            return self.mistake(path, f"this is nested deeper than {DEPTH} levels")
        if not isinstance(data, Mapping):
            return self.mistake(path, f"here belongs a mapping such as {{error_code: 53405}}, not {shown(data)}")
        parts = [self.entry(key, value, path, depth) for key, value in data.items()]
        return _joined(every, parts)

    def entry(self, key: object, value: object, path: Path, depth: int) -> Condition | None:
        if not isinstance(key, str):
            return self.mistake(path, f"{shown(key)} is no name of a field")
        here = (*path, key)
        if key in ("any", "all"):
            return self.group(key, value, here, depth + 1)
        if key == "not":
            inner = self.mapping(value, here, depth + 1)
            return None if inner is None else negation(inner)
        if key == "when":
            return self.expression(value, here, depth)
        try:
            found = find_field(key)
        except UnknownFieldError as error:
            self.mistakes.append(Mistake(here, str(error), at_key=True))
            return None
        return self.matcher(found, value, here, depth)

    def group(self, word: str, value: object, path: Path, depth: int) -> Condition | None:
        if not isinstance(value, list) or not value:
            return self.mistake(path, f"`{word}` takes a list of mappings, with at least one")
        parts = [self.mapping(item, (*path, place), depth) for place, item in enumerate(value)]
        return _joined(some if word == "any" else every, parts)

    def expression(self, value: object, path: Path, depth: int) -> Condition | None:
        if depth:
            return self.mistake(path, "`when` stands at the top of a mapping, not inside any, all or not")
        parsed = parse_expression(value)
        self.mistakes += [replace(mistake, path=path) for mistake in parsed.mistakes]
        self.notices += [replace(notice, path=path) for notice in parsed.notices]
        return parsed.condition

    def matcher(self, found: Field, value: object, path: Path, depth: int) -> Condition | None:
        """What the value of a field says: a list, a mapping of matchers, or a bare value."""
        if self.is_full():
            return None
        if depth > DEPTH:
            return self.mistake(path, f"this is nested deeper than {DEPTH} levels")
        if isinstance(value, list):
            return self.one_of(found, value, path, depth)
        if isinstance(value, Mapping):
            return self.spelled_out(found, value, path, depth)
        if value is None:
            return self.mistake(
                path, f"{found.name} has no value here; for one that is missing, write {{exists: false}}"
            )
        return self.judged(path, lambda: scalar(found, value, self.note(path)))

    def one_of(self, found: Field, values: object, path: Path, depth: int) -> Condition | None:
        if not isinstance(values, list) or not values:
            return self.mistake(path, f"{found.name}: here belongs a list of at least one value")
        parts = [self.matcher(found, value, (*path, place), depth + 1) for place, value in enumerate(values)]
        return _joined(some, parts)

    def spelled_out(self, found: Field, matchers: Mapping[object, object], path: Path, depth: int) -> Condition | None:
        if not matchers:
            return self.mistake(
                path, f"{found.name}: an empty mapping says nothing; write one of {', '.join(_MATCHERS)}"
            )
        parts = [self.one_matcher(found, word, value, (*path, str(word)), depth) for word, value in matchers.items()]
        return _joined(every, parts)

    def one_matcher(self, found: Field, word: object, value: object, path: Path, depth: int) -> Condition | None:
        if word == "in":
            return self.one_of(found, value, path, depth)
        if word == "not":
            return self.other_than(found, value, path, depth)
        if word == "exists":
            return exists(found, value) if isinstance(value, bool) else self.mistake(path, "`exists` is true or false")
        if word == "regex":
            return self.judged(path, lambda: matching(found, value))
        if word == "has":
            return self.judged(path, lambda: has(found, value, self.note(path)))
        if word in _ORDERS:
            return self.judged(path, lambda: ordered(found, _ORDERS[str(word)], value))
        return self.mistake(path, f"there is no matcher {shortened(str(word))!r}{_nearest(str(word))}")

    def other_than(self, found: Field, value: object, path: Path, depth: int) -> Condition | None:
        if isinstance(value, Mapping) and "exists" in value:
            return self.mistake(path, "`exists` inside `not` is hard to read; write {exists: true} or {exists: false}")
        inner = self.matcher(found, value, path, depth + 1)
        return None if inner is None else present_but_not(found, inner)

    def judged(self, path: Path, read: Callable[[], Condition]) -> Condition | None:
        try:
            return read()
        except LiteralError as error:
            return self.mistake(path, str(error))

    def note(self, path: Path) -> Callable[[str], None]:
        return lambda message: self.notices.append(Mistake(path, message))


def _joined(join: Callable[..., Condition], parts: list[Condition | None]) -> Condition | None:
    """The parts joined, None if one of them was a mistake."""
    good = [part for part in parts if part is not None]
    return join(*good) if len(good) == len(parts) else None


def _nearest(word: str) -> str:
    import difflib  # only a mistake needs it

    near = difflib.get_close_matches(word[:40].lower(), _MATCHERS, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(_MATCHERS)}"
