"""What a condition is, an immutable tree of tests on fields, and how it becomes one generated function.

Null passes no test but `exists: false`. The tree is canonical from birth: nested groups of one sort are flattened,
twins dropped, equalities on one field joined, and the cheapest tests put first, so that conditions which say the same
in another order are equal and run alike.
"""

from __future__ import annotations

import fnmatch
import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from packaging.specifiers import Specifier
from packaging.version import InvalidVersion, Version

from alertd.engine.fields import Field
from alertd.engine.records import spelled
from alertd.engine.values import Fact, as_number, as_text

Op = Literal["exists", "in", "<", "<=", ">", ">=", "like", "matches", "version", "has"]
Operand = bool | int | float | str | tuple[bool | int | float | str, ...]
Predicate = Callable[[tuple[Fact, ...]], bool]

COST: dict[Op, int] = {
    "exists": 0,
    "in": 1,
    "<": 2,
    "<=": 2,
    ">": 2,
    ">=": 2,
    "has": 3,
    "version": 4,
    "like": 5,
    "matches": 9,
}
ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
SEARCHED_TEXT = 128  # characters that a regular expression gets to see: Twilio's own limit for names
VERSION_TEXT = 64  # longer is not a version, and might be a number that takes long to read


@dataclass(frozen=True, slots=True)
class FieldTest:
    """One test of one field. The operand by operator, always in the spelling of the field's facts:

    `exists` bool; `in` a sorted tuple of values; `<` … a number; `like` a glob of `*` and `?`; `matches` a regular
    expression, searched without regard to case in the text as Twilio spelled it; `version` one version specifier;
    `has` one text.
    """

    field: Field
    op: Op
    operand: Operand

    @property
    def fields(self) -> frozenset[Field]:
        """The one field whose fact is looked at."""
        return frozenset([self.seen])

    @property
    def seen(self) -> Field:
        """The field, or its twin as Twilio spelled it where the operator is indifferent to our spelling."""
        return self.field.as_written if self.op == "matches" else self.field

    @property
    def cost(self) -> int:
        """How dear the test is; only the order counts."""
        return COST[self.op]

    def __str__(self) -> str:
        return _sentence(self)


@dataclass(frozen=True, slots=True)
class Every:
    """All parts hold; without parts, everything matches."""

    parts: tuple[Condition, ...]

    @property
    def fields(self) -> frozenset[Field]:
        """All fields that are looked at."""
        return frozenset().union(*(part.fields for part in self.parts))

    @property
    def cost(self) -> int:
        """How dear it is at worst."""
        return sum(part.cost for part in self.parts)

    def __str__(self) -> str:
        return " and ".join(_bracketed(part, Some) for part in self.parts) or "everything"


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part holds."""

    parts: tuple[Condition, ...]

    @property
    def fields(self) -> frozenset[Field]:
        """All fields that are looked at."""
        return frozenset().union(*(part.fields for part in self.parts))

    @property
    def cost(self) -> int:
        """How dear it is at worst."""
        return sum(part.cost for part in self.parts)

    def __str__(self) -> str:
        return " or ".join(_bracketed(part, Every) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold: plain negation, so it holds where the part failed for a null."""

    part: Condition

    @property
    def fields(self) -> frozenset[Field]:
        """All fields that are looked at."""
        return self.part.fields

    @property
    def cost(self) -> int:
        """As dear as its part."""
        return self.part.cost

    def __str__(self) -> str:
        return f"not ({self.part})"


Condition: TypeAlias = FieldTest | Every | Some | Not

EVERYTHING: Condition = Every(())


def exists(field: Field, wanted: bool = True) -> Condition:
    """The field is there, or is not."""
    return FieldTest(field, "exists", wanted)


def one_of(field: Field, *values: bool | float | str) -> Condition:
    """The fact equals one of `values`, given in the spelling of facts."""
    return FieldTest(field, "in", tuple(sorted(set(values))))


def every(*parts: Condition) -> Condition:
    """All of `parts`, in canonical form."""
    flat = {inner: None for part in parts for inner in (part.parts if isinstance(part, Every) else (part,))}
    return next(iter(flat)) if len(flat) == 1 else Every(_in_order(flat))


def some(*parts: Condition) -> Condition:
    """Any of `parts` (at least one), in canonical form."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, Some) else (part,))]
    values: dict[Field, set[Any]] = {}
    for part in flat:
        if isinstance(part, FieldTest) and part.op == "in" and isinstance(part.operand, tuple):
            values.setdefault(part.field, set()).update(part.operand)
    rest = {part: None for part in flat if not (isinstance(part, FieldTest) and part.op == "in")}
    joined = [one_of(field, *wanted) for field, wanted in values.items()]
    return joined[0] if len(joined) == 1 and not rest else _either((*joined, *rest))


def negation(part: Condition) -> Condition:
    """Not `part`; a double negation is none."""
    return part.part if isinstance(part, Not) else Not(part)


def present_but_not(field: Field, part: Condition) -> Condition:
    """The field is there and `part`, a condition on it, does not hold: what `{not: V}` and `!=` mean."""
    return every(exists(field), negation(part))


def _either(parts: tuple[Condition, ...]) -> Condition:
    return parts[0] if len(parts) == 1 else Some(_in_order(parts))


def _in_order(parts: Iterable[Condition]) -> tuple[Condition, ...]:
    return tuple(sorted(parts, key=lambda part: (part.cost, str(part))))


def _bracketed(part: Condition, looser: type[Every] | type[Some]) -> str:
    return f"({part})" if isinstance(part, looser) and part.parts else str(part)


def _sentence(test: FieldTest) -> str:
    name, operand = test.field.name, test.operand
    if test.op == "exists":
        return f"{name} {'!=' if operand else '=='} null"
    if isinstance(operand, tuple):
        values = ", ".join(map(_literal, operand))
        return f"{name} == {values}" if len(operand) == 1 else f"{name} in ({values})"
    if test.op == "version":
        return f"{name} {operand}"
    return f"{_literal(operand)} in {name}" if test.op == "has" else f"{name} {test.op} {_literal(operand)}"


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


# Compiling


def compile_condition(condition: Condition, index: Mapping[str, int]) -> Predicate:
    """One function of a tuple of facts, `index` saying where each field's fact is (see fields.Extractor).

    The generated text holds places in the tuple and names of our own only; every value of the rule is bound, none is
    printed into it. KeyError if `index` lacks a field of the condition.
    """
    values: dict[str, object] = {}
    source = _source(condition, _Code(index, values), frozenset())
    arguments = "".join(f", {name}={name}" for name in values)
    text = f"lambda facts{arguments}: {source}"
    predicate: Predicate = eval(text, {"__builtins__": {}, **values})  # noqa: S307 - see the docstring
    return predicate


@dataclass(frozen=True, slots=True)
class _Code:
    """What writing the text of a function needs: where facts are, and the values bound so far."""

    index: Mapping[str, int]
    values: dict[str, object]

    def fact(self, test: FieldTest) -> str:
        return f"facts[{int(self.index[test.seen.name])}]"

    def bind(self, value: object) -> str:
        name = f"v{len(self.values)}"
        self.values[name] = value
        return name


def _source(condition: Condition, code: _Code, known: frozenset[str]) -> str:
    """Text of an expression; `known` are the facts that an earlier test of the same conjunction found not null."""
    if isinstance(condition, FieldTest):
        return _test_source(condition, code, known)
    if isinstance(condition, Not):
        return f"not ({_source(condition.part, code, known)})"
    if isinstance(condition, Some):
        return f"({' or '.join(_source(part, code, known) for part in condition.parts)})"
    texts = []
    for part in condition.parts:
        texts.append(_source(part, code, known))
        if isinstance(part, FieldTest) and part.operand is not False:
            known |= {code.fact(part)}
    return " and ".join(texts) or "True"


def _test_source(test: FieldTest, code: _Code, known: frozenset[str]) -> str:
    fact, kind, operand = code.fact(test), test.field.kind, test.operand
    guard = "" if fact in known else f"{fact} is not None and "
    if test.op == "exists":
        return f"{fact} is {'not ' if operand else ''}None"
    if isinstance(operand, tuple) and kind != "version":
        one = len(operand) == 1
        return f"{fact} {'==' if one else 'in'} {code.bind(operand[0] if one else frozenset(operand))}"
    if test.op in ORDER and kind in ("number", "time"):
        return f"{guard}{fact} {test.op} {code.bind(operand)}"
    if test.op == "has" and kind == "list":
        return f"{guard}{code.bind(operand)} in {fact}"
    if test.op == "like" and kind == "text" and (start := _prefix(str(operand))):
        return f"{guard}{fact}.startswith({code.bind(start)})"
    return f"{code.bind(_fact_test(test))}({fact})"


def _prefix(glob: str) -> str:
    """The text before the one star at the end of a glob, empty if it is of another shape."""
    return glob[:-1] if glob.endswith("*") and not set(glob[:-1]) & set("*?") else ""


@lru_cache(maxsize=1024)
def _fact_test(test: FieldTest) -> Callable[[Fact], bool]:
    """A function of one fact, null included; tests on facts of few values remember their answers."""
    holds = _plain_fact_test(test)
    return holds if test.field.kind == "text" else lru_cache(maxsize=1024)(holds)


def _plain_fact_test(test: FieldTest) -> Callable[[Fact], bool]:
    operand = test.operand
    if isinstance(operand, tuple):
        return _version_in(frozenset(map(str, operand)))
    if test.op == "version":
        wanted = Specifier(str(operand))
        return lambda fact: (found := read_version(fact)) is not None and wanted.contains(found, prereleases=True)
    if test.op in ORDER:
        compare = ORDER[test.op]
        return lambda fact: (number := as_number(fact)) is not None and compare(number, operand)
    if test.op == "has":
        return lambda fact: isinstance(fact, frozenset) and operand in fact
    return _like(str(operand)) if test.op == "like" else _matches(str(operand))


def _version_in(wanted: frozenset[str]) -> Callable[[Fact], bool]:
    texts = {spelled(text) for text in wanted}
    versions = {version for text in wanted if (version := read_version(text)) is not None}
    return lambda fact: isinstance(fact, str) and (spelled(fact) in texts or read_version(fact) in versions)


def _like(glob: str) -> Callable[[Fact], bool]:
    # fnmatch makes a pattern that never goes back over a star, so no text can make it slow; only its [] are not ours.
    fits = re.compile(fnmatch.translate(glob.replace("[", "[[]"))).match
    return lambda fact: (
        fact is not None and not isinstance(fact, frozenset) and fits(spelled(as_text(fact))) is not None
    )


def _matches(pattern: str) -> Callable[[Fact], bool]:
    found = compile_pattern(pattern).search
    return lambda fact: isinstance(fact, str) and found(fact[:SEARCHED_TEXT]) is not None


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A rule's regular expression, ready for use; raises re.error, OverflowError or RecursionError."""
    return re.compile(pattern, re.IGNORECASE)


def read_version(fact: Fact) -> Version | None:
    """The version that a text says by PEP 440, None if it is not one."""
    if not isinstance(fact, str) or len(fact) > VERSION_TEXT:
        return None
    try:
        return Version(fact)
    except InvalidVersion:
        return None
