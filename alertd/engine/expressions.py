"""The `when:` of a rule: an expression such as `error_code == 53405 and duration_sec < 10`, read into a condition.

It is parsed as Python's syntax and then taken apart by a short list of what is allowed: names of fields, literals,
`and or not in == != < <= > >=`, parentheses. Nothing of it is ever executed. A literal means what it means in a mapping
(`end_reason == 'media_*'` is a glob); comparisons of versions go by version order.

Null passes no comparison, `!=` and `not in` included; `not (…)` around one is plain negation and holds for null.
`x == null` and `x != null` ask whether the value is missing; a name of a flag may stand alone.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

from alertd.engine.fields import Field, UnknownFieldError, find_field
from alertd.engine.literals import LiteralError, equal_to, has, ordered, shown
from alertd.engine.predicates import Condition, every, exists, negation, one_of, present_but_not, some

EXPRESSION_LENGTH = 2000
EXPRESSION_DEPTH = 20

_ALLOWED = "an expression has names of fields, literals, and or not in == != < <= > >=, and parentheses"
_WORDS: dict[str, bool | None] = {"null": None, "none": None, "true": True, "false": False}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong, or worth a remark, and where: the keys and indexes that lead to it from the top of the data.

    `column` counts from 1 within the text of an expression; 0 where the value is no expression. `at_key` says that
    the last key itself is wrong, not what stands under it.
    """

    path: tuple[str | int, ...]
    message: str
    column: int = 0
    at_key: bool = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was read: no condition if there are mistakes; notices are remarks on what is valid."""

    condition: Condition | None
    mistakes: list[Mistake] = field(default_factory=list)
    notices: list[Mistake] = field(default_factory=list)


def parse_expression(text: object) -> Parsed:
    """Read an expression, with all its mistakes at once; each says at which character."""
    if not isinstance(text, str):
        return Parsed(None, [Mistake((), f"an expression is text; {shown(text)} is none")])
    if len(text) > EXPRESSION_LENGTH:
        return Parsed(None, [Mistake((), f"this expression is longer than {EXPRESSION_LENGTH} characters")])
    reader = _Reader(text)
    condition = reader.read()
    return Parsed(None if reader.mistakes else condition, reader.mistakes, reader.notices)


class _NotAllowedError(ValueError):
    """A part of an expression is not of the language; carries the part."""

    def __init__(self, node: ast.expr, message: str) -> None:
        super().__init__(message)
        self.node = node


class _Reader:
    """Reads one expression; collects what is wrong with it."""

    def __init__(self, text: str) -> None:
        # A line break would end the expression for Python; a space keeps the columns.
        flat = "".join(" " if character.isspace() else character for character in text)
        self.source = flat.strip()
        self.offset = len(flat) - len(flat.lstrip())
        self.mistakes: list[Mistake] = []
        self.notices: list[Mistake] = []

    def read(self) -> Condition | None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about odd literals, which are judged below
                tree = ast.parse(self.source, mode="eval")
        except SyntaxError as error:
            # Python names no place where the text ends too early.
            self.mistake(error.offset or len(self.source) + 1, f"cannot be read here; {_ALLOWED}{_hint(self.source)}")
        except (ValueError, RecursionError, MemoryError):
            self.mistake(1, f"cannot be read; {_ALLOWED}")
        else:
            return self.condition(tree.body, 0)
        return None

    def mistake(self, column: int, message: str) -> None:
        place = column + self.offset
        self.mistakes.append(Mistake((), f"character {place}: {message}", place))

    def notice(self, node: ast.expr) -> Callable[[str], None]:
        place = self.column(node) + self.offset
        return lambda message: self.notices.append(Mistake((), f"character {place}: {message}", place))

    def column(self, node: ast.expr) -> int:
        """Where a part begins in the stripped text, from 1; Python counts bytes, people characters."""
        return len(self.source.encode()[: node.col_offset].decode()) + 1

    def condition(self, node: ast.expr, depth: int) -> Condition | None:
        """The condition that a part says, None after a mistake."""
        try:
            return self.lowered(node, depth)
        except _NotAllowedError as error:
            self.mistake(self.column(error.node), str(error))
        except (LiteralError, UnknownFieldError) as error:
            self.mistake(self.column(node), str(error))
        return None

    def lowered(self, node: ast.expr, depth: int) -> Condition | None:
        if depth > EXPRESSION_DEPTH:
            raise _NotAllowedError(node, f"this is nested deeper than {EXPRESSION_DEPTH} levels")
        if isinstance(node, ast.BoolOp):
            parts = [self.condition(part, depth + 1) for part in node.values]
            good = [part for part in parts if part is not None]
            return (every if isinstance(node.op, ast.And) else some)(*good) if len(good) == len(parts) else None
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.condition(node.operand, depth + 1)
            return None if inner is None else negation(inner)
        if isinstance(node, ast.Compare):
            return self.chain(node)
        return self.alone(node)

    def alone(self, node: ast.expr) -> Condition:
        named = _name(node)
        if named is None:
            raise _NotAllowedError(node, f"nothing is compared here; {_ALLOWED}")
        found = _field(node, named)
        if found.kind != "flag":
            raise _NotAllowedError(node, f"{found.name} is not true or false by itself; compare it with something")
        return one_of(found, True)

    def chain(self, node: ast.Compare) -> Condition:
        """`1 <= x < 5` as both of its halves."""
        operands = [node.left, *node.comparators]
        pairs = zip(operands, node.ops, operands[1:], strict=False)
        return every(*(self.pair(left, op, right) for left, op, right in pairs))

    def pair(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Condition:
        sign = _SIGNS.get(type(op))
        if sign is None:
            raise _NotAllowedError(left, f"`is` is not known here, write == or !=; {_ALLOWED}")
        named_left, named_right = _name(left), _name(right)
        if (named_left is None) == (named_right is None):
            raise _NotAllowedError(left, "a comparison has a field on one side and a literal on the other")
        if named_left is not None:
            return self.compared(_field(left, named_left), sign, right)
        found = _field(right, named_right or "")
        if sign in _MIRRORED:
            return self.compared(found, _MIRRORED[sign], left)
        member = has(found, _value(left), self.notice(left))
        return member if sign == "in" else present_but_not(found, member)

    def compared(self, found: Field, sign: str, node: ast.expr) -> Condition:
        if sign in ("in", "not in"):
            if not isinstance(node, ast.List | ast.Tuple) or not node.elts:
                raise _NotAllowedError(node, f"after `{sign}` comes a list of literals: ('us1', 'ie1')")
            wanted = some(*(self.equal(found, item) for item in node.elts))
            return wanted if sign == "in" else present_but_not(found, wanted)
        if sign not in ("==", "!="):
            return ordered(found, sign, _value(node))
        if _value(node) is None:
            return exists(found, wanted=sign == "!=")
        wanted = self.equal(found, node)
        return wanted if sign == "==" else present_but_not(found, wanted)

    def equal(self, found: Field, node: ast.expr) -> Condition:
        value = _value(node)
        if value is None:
            raise _NotAllowedError(node, f"null is not in a list; write {found.name} == null")
        return equal_to(found, value, self.notice(node))


def _name(node: ast.expr) -> str | None:
    """The field name, dots and all, that a part spells; None for what is no name, or a word for a literal."""
    keys: list[str] = []
    while isinstance(node, ast.Attribute):
        keys.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or (not keys and node.id.lower() in _WORDS):
        return None
    return ".".join([node.id, *keys])


def _field(node: ast.expr, name: str) -> Field:
    try:
        return find_field(name)
    except UnknownFieldError as error:
        raise _NotAllowedError(node, str(error)) from None


def _value(node: ast.expr) -> object:
    """The literal that a part spells."""
    if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, str | int | float)):
        return node.value
    if isinstance(node, ast.Name) and node.id.lower() in _WORDS:
        return _WORDS[node.id.lower()]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = _value(node.operand)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value
    raise _NotAllowedError(node, f"this is no literal; {_ALLOWED}")


def _hint(source: str) -> str:
    """The likeliest slip, for an expression that does not parse."""
    words = set(source.split())
    if words & {"AND", "OR", "NOT", "IN", "&&", "||"}:
        return "; and, or, not, in are written in small letters"
    return "; equality is written ==" if "=" in words else ""
