"""What a template of a person may do: Jinja2 in a sandbox, with known variables, four filters of ours and bounded work.

The same variables stand everywhere:

in annotations of rules
    `labels` (name -> value), `sample` (alertd.engine.samples.Sample), `rule` (`alert`, `source`)
in messages of receivers
    `notification` (alertd.engine.groups.Notification), `alerts`, `firing`, `resolved` (lists of its alerts),
    `group_labels`, `common_labels`, `common_annotations` (name -> value), `receiver` (its name), `external_url`,
    `status` (firing or resolved), `reason` (why it is sent)

Filters beside Jinja2's plain ones (FILTERS): `percent` (0.0312 -> 3.1 %), `duration` (300 -> 5m),
`time` (epoch seconds -> 2026-03-02 12:08 UTC), `number` (12345.678 -> 12,345.68); each says n/a for none.

Bounds: the text has a limit in bytes that is watched while it grows, `range()` counts to 100, loops nest three deep,
text cannot be multiplied or padded, and there are no macros, captures, includes or imports.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, NamedTuple

import jinja2
from jinja2 import meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from alertd.engine.durations import format_duration

if TYPE_CHECKING:
    from alertd.engine.groups import Notification

Render = Callable[[Mapping[str, object]], str]
"""A compiled template: the text for some variables; ValueError("line N: …") if it fails or grows too long."""

ANNOTATION_LIMIT = 4 * 1024
MESSAGE_LIMIT = 64 * 1024
MAX_RANGE = 100
MAX_LOOPS = 3
ANNOTATION_VARIABLES = frozenset({"labels", "sample", "rule"})
MESSAGE_VARIABLES = frozenset(
    {
        "notification",
        "alerts",
        "firing",
        "resolved",
        "group_labels",
        "common_labels",
        "common_annotations",
        "receiver",
        "external_url",
        "status",
        "reason",
    }
)
FILTERS = (
    *("abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "groupby", "int"),
    *("items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace"),
    *("reverse", "round", "select", "selectattr", "sort", "string", "sum", "title", "tojson", "trim", "truncate"),
    *("unique", "upper", "urlencode", "wordcount", "wordwrap"),
)
"""Jinja2's filters that cannot make much out of little; `safe` is not among them."""
_WIDENING = frozenset({"center", "expandtabs", "format", "format_map", "ljust", "rjust", "zfill"})
_REFUSED: dict[type[nodes.Node], str] = {
    nodes.AssignBlock: "a captured block",
    nodes.Block: "block",
    nodes.CallBlock: "call",
    nodes.Extends: "extends",
    nodes.FilterBlock: "a filter block",
    nodes.FromImport: "import",
    nodes.Import: "import",
    nodes.Include: "include",
    nodes.Macro: "macro",
    nodes.Pow: "the operator **",
}


class CompiledText(NamedTuple):
    """A compiled text of a rule, and what it reads of its `labels` by name, each with its first line."""

    render: Render
    labels_read: Mapping[str, int]


def compile_text(
    source: str,
    *,
    name: str,
    autoescape: bool = False,
    limit: int = ANNOTATION_LIMIT,
    escape: Callable[[str], str] | None = None,
    known: Collection[str] | None = None,
) -> Render:
    """The renderer of `source`; `name` says in errors what it is for, `limit` is the longest text in UTF-8 bytes.

    `autoescape` escapes every inserted value for HTML, `escape` in a receiver's own way. With `known`, a variable of
    another name is refused here. Raises ValueError("line N: …").
    """
    environment = _environment(autoescape, escape)
    with _told():
        return _compiled(_parsed(source, environment, known), environment, name, limit)


@lru_cache(maxsize=4096)
def compile_annotation(name: str, source: str) -> CompiledText:
    """The annotation `name` of a rule; rules often share theirs. Raises ValueError("line N: …")."""
    environment = _environment(autoescape=False, escape=None)
    with _told():
        tree = _parsed(source, environment, ANNOTATION_VARIABLES)
        read = MappingProxyType(_entries_read(tree, "labels"))
        return CompiledText(_compiled(tree, environment, name, ANNOTATION_LIMIT), read)


@contextmanager
def _told() -> Iterator[None]:
    """What Jinja2 says of a text as ValueError("line N: …")."""
    try:
        yield
    except jinja2.TemplateSyntaxError as error:
        raise ValueError(f"line {error.lineno}: {error.message}") from None
    except RecursionError:
        raise ValueError("line 1: the template is nested too deeply") from None


def _parsed(source: str, environment: _Sandbox, known: Collection[str] | None) -> nodes.Template:
    tree = environment.parse(source)
    _check(tree, environment, known)
    return tree


def _compiled(tree: nodes.Template, environment: _Sandbox, name: str, limit: int) -> Render:
    code = environment.compile(tree, name=name, filename=name)
    template = jinja2.Template.from_code(environment, code, environment.make_globals(None))
    return lambda variables: _render(template, name, limit, variables)


def _entries_read(tree: nodes.Template, variable: str) -> dict[str, int]:
    """What a template reads of a mapping by name, such as `labels.account`, each with its first line."""
    read: dict[str, int] = {}
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        if isinstance(node, nodes.Getattr | nodes.Getitem) and getattr(node.node, "name", "") == variable:
            name = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", None)
            if isinstance(name, str):
                read.setdefault(name, node.lineno)
    return read


def message_variables(notification: Notification, external_url: str) -> dict[str, object]:
    """The variables of a message (MESSAGE_VARIABLES)."""
    return {
        "notification": notification,
        "alerts": list(notification.alerts),
        "firing": notification.firing(),
        "resolved": notification.resolved(),
        "group_labels": notification.group_labels,
        "common_labels": notification.common_labels,
        "common_annotations": notification.common_annotations,
        "receiver": notification.receiver,
        "external_url": external_url,
        "status": notification.status,
        "reason": notification.reason,
    }


def percent(share: float | None) -> str:
    """A share as people say it: 0.0312 -> `3.1 %`; below a tenth of a percent two digits that count."""
    if share is None:
        return "n/a"
    value = share * 100
    return f"{value:.2g} %" if 0.001 <= abs(value) < 0.1 else f"{round(value, 1):g} %"


def duration(seconds: float | None) -> str:
    """Seconds as `5m` or `1h30m`."""
    return "n/a" if seconds is None else format_duration(max(0, round(seconds)))


def time(instant: float | None) -> str:
    """Seconds since the epoch as `2026-03-02 12:08 UTC`."""
    return "n/a" if instant is None else f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%d %H:%M} UTC"


def number(value: float | None) -> str:
    """A number with thousands set apart and at most two decimals: `12,345.68`, `30`."""
    if value is None:
        return "n/a"
    text = f"{value:,.2f}"
    return text.rstrip("0").rstrip(".")


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox without the ways to make a huge text in one step."""

    intercepted_binops = frozenset({"*", "%"})

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        """Numbers only: `"x" * 10 ** 9` and `"%999999999d" % 1` would fill the memory before any limit is seen."""
        if not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise SecurityError(f"{operator} works on numbers only; for text use a filter")
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Not the methods of text that pad it to any width."""
        return attr not in _WIDENING and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: object) -> Callable[..., str] | None:  # noqa: ARG002 - the signature is Jinja2's
        """`str.format` pads too, so it is left to `is_safe_attribute`, which refuses it."""
        return None


@lru_cache(maxsize=16)
def _environment(autoescape: bool, escape: Callable[[str], str] | None) -> _Sandbox:
    finalize = None if escape is None else (lambda value: escape(str(value)))
    environment = _Sandbox(undefined=jinja2.StrictUndefined, autoescape=autoescape, finalize=finalize)
    ours = {"percent": percent, "duration": duration, "time": time, "number": number}
    environment.filters = {name: environment.filters[name] for name in FILTERS} | ours
    environment.globals = {"range": _range}
    return environment


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > MAX_RANGE:
        raise SecurityError(f"range() counts to at most {MAX_RANGE} in a template")
    return numbers


def _check(tree: nodes.Template, environment: _Sandbox, known: Collection[str] | None) -> None:
    """Refuse what could run or grow without bounds, and with `known` every variable of another name."""
    for node in tree.find_all(tuple(_REFUSED)):
        raise jinja2.TemplateSyntaxError(f"{_REFUSED[type(node)]} is not available in templates", node.lineno)
    _check_loops(tree, 0)
    if known is None:
        return
    unknown = meta.find_undeclared_variables(tree) - set(known) - set(environment.globals)
    first: dict[str, int] = {}
    for node in tree.find_all(nodes.Name):
        if node.name in unknown:
            first.setdefault(node.name, node.lineno)
    if first:
        said = "; ".join(_unknown(name, known) for name in first)
        raise jinja2.TemplateSyntaxError(said, next(iter(first.values())))


def _check_loops(node: nodes.Node, depth: int) -> None:
    for child in node.iter_child_nodes():
        inside = depth + isinstance(child, nodes.For)
        if inside > MAX_LOOPS:
            raise jinja2.TemplateSyntaxError(f"loops nest at most {MAX_LOOPS} deep in a template", child.lineno)
        if isinstance(child, nodes.For) and child.recursive:
            raise jinja2.TemplateSyntaxError("a recursive loop is not available in templates", child.lineno)
        _check_loops(child, inside)


def _unknown(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"
    return f"unknown variable {name!r}; {hint}"


def _render(template: jinja2.Template, name: str, limit: int, variables: Mapping[str, object]) -> str:
    try:
        return "".join(_within(limit, name, template.root_render_func(template.new_context(dict(variables)))))
    except Exception as error:  # noqa: BLE001 - a template runs a person's code: whatever it raises is its mistake
        line = _line(template, name, error.__traceback__)
        said = str(error) or type(error).__name__
        raise ValueError(f"line {line}: {said}") from None


def _within(limit: int, name: str, pieces: Iterator[str]) -> Iterator[str]:
    room = limit
    for piece in pieces:
        room -= len(piece.encode("utf-8", "replace"))
        if room < 0:
            raise ValueError(f"the text of {name} is longer than {limit} bytes")
        yield piece


def _line(template: jinja2.Template, name: str, traceback: TracebackType | None) -> int:
    """The template's line at which an error left its code; 1 where it never was in it, such as at the limit."""
    line = 1
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == name:
            line = template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line
