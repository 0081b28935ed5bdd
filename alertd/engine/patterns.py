"""Whether a regular expression that comes over the network can be tried on a label in reasonable time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _parser  # type: ignore[attr-defined]  # Python's own, and the only way to see what it makes of a pattern
from typing import Any, NamedTuple

LONGEST_PATTERN = 1000
"""Characters."""
MOST_REPEATS = 3
"""Repeats, such as `.*`, on one way through a pattern: each multiplies the time by the length of the label."""
MOST_OPTIONS = 10
"""Optional parts, such as `x?`, on one way: each doubles the time."""
FEW = 4
"""Up to so many a repeat only is an option."""


class _Cost(NamedTuple):
    """Repeats and options on the costliest way through a part of a pattern."""

    repeats: int = 0
    options: int = 0

    def then(self, other: _Cost) -> _Cost:
        return _Cost(self.repeats + other.repeats, self.options + other.options)


class _TooSlowError(ValueError):
    """What makes it too slow."""


def complaint(pattern: str) -> str:
    """Why the pattern is not taken, or an empty text.

    Python's engine goes back and tries again, so that some patterns take longer than the sun lasts; Alertmanager's
    (RE2) does not. Refused are repeats of what has more than one way to match, references to groups, and too many
    repeats in a row.
    """
    if len(pattern) > LONGEST_PATTERN:
        return f"is longer than {LONGEST_PATTERN} characters"
    try:
        cost = _cost(_parser.parse(pattern))
    except (re.error, RecursionError, OverflowError) as error:
        return f"is not a regular expression: {error}"
    except _TooSlowError as error:
        return str(error)
    if cost.repeats > MOST_REPEATS:
        return f"has more than {MOST_REPEATS} repeats such as .* in a row"
    return f"has more than {MOST_OPTIONS} options such as x? in a row" if cost.options > MOST_OPTIONS else ""


def _cost(parts: Iterable[tuple[Any, Any]]) -> _Cost:
    total = _Cost()
    for kind, content in parts:
        total = total.then(_cost_of(str(kind), content))
    return total


def _cost_of(kind: str, content: Any) -> _Cost:  # noqa: ANN401 - as Python's parser gives it
    if kind.endswith("REPEAT"):
        return _repeated(*content)
    if kind == "BRANCH":
        ways = [_cost(way) for way in content[1]]
        return _Cost(max(way.repeats for way in ways), 1 + max(way.options for way in ways))
    if kind.startswith("GROUPREF"):
        raise _TooSlowError("refers back to a group, which is not taken")
    if kind == "SUBPATTERN":
        return _cost(content[3])
    if kind.startswith("ASSERT"):
        return _cost(content[1])
    return _cost(content) if kind == "ATOMIC_GROUP" else _Cost()


def _repeated(least: int, most: int, parts: Iterable[tuple[Any, Any]]) -> _Cost:
    inner = _cost(parts)
    if most > 1 and inner != _Cost():
        raise _TooSlowError("repeats something that can match in more than one way; write it without the inner * + ? |")
    if least == most:
        return inner
    return inner.then(_Cost(repeats=1) if most > FEW else _Cost(options=1))
