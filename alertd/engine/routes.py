"""Who is told of an alert: the tree of routes with its matchers, as in Prometheus Alertmanager."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, cast

Operator = Literal["=", "!=", "=~", "!~"]
_MATCHER = re.compile(
    r"""\s*([a-zA-Z_][a-zA-Z0-9_.]*)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|((?:[^\s"{},=~!][^\s"{},]*)?))\s*""",
    re.DOTALL,
)
_ORDER = ("=", "!=", "=~", "!~")
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


@dataclass(frozen=True, slots=True)
class Matcher:
    """One test on one label; a missing label counts as empty, regular expressions are anchored."""

    name: str
    op: Operator
    value: str
    pattern: re.Pattern[str] | None = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", _anchored(self.value) if self.op in ("=~", "!~") else None)

    @classmethod
    def parse(cls, text: str) -> Matcher:
        """The matcher written as `name="value"` with `=`, `!=`, `=~` or `!~`; ValueError says what is wrong."""
        found = _MATCHER.fullmatch(text)
        if found is None:
            raise ValueError(f"""{text!r} is not a matcher; write it like severity="page" (or !=, =~, !~)""")
        name, quoted, bare = found[1], found[3], found[4]
        op = cast("Operator", found[2])
        value = bare if quoted is None else re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), quoted)
        return cls(name, op, value)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the label set passes."""
        value = labels.get(self.name, "")
        if self.pattern is not None:
            return (self.pattern.fullmatch(value) is not None) == (self.op == "=~")
        return (value == self.value) == (self.op == "=")

    def __str__(self) -> str:
        return f"{self.name}{self.op}{_quoted(self.value)}"


def _anchored(value: str) -> re.Pattern[str]:
    try:
        return re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Who else is told of what this route has told, so many seconds later, if it fires on and nobody looks after it."""

    after: int
    receiver: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A node of the tree, with what it inherits already filled in; durations in seconds.

    Each repetition waits `repeat_factor` times as long as the one before, up to `repeat_at_most`.
    """

    receiver: str
    group_by: tuple[str, ...] = ()
    group_by_all: bool = False
    group_wait: int = 30
    group_interval: int = 300
    repeat_interval: int = 14400
    repeat_factor: float = 1.0
    repeat_at_most: int = 86400
    matchers: tuple[Matcher, ...] = ()
    continue_: bool = False
    mute_time_intervals: tuple[str, ...] = ()
    active_time_intervals: tuple[str, ...] = ()
    escalations: tuple[Escalation, ...] = ()
    routes: tuple[Route, ...] = ()

    def repeat_after(self, repeats: int) -> int:
        """How long until the same is told again, after it has been so many times."""
        longest = max(self.repeat_interval, self.repeat_at_most)
        grown = self.repeat_interval * self.repeat_factor ** min(repeats, 100)
        return int(min(grown, longest)) if self.repeat_factor > 1 else self.repeat_interval


@dataclass(frozen=True, slots=True)
class Place:
    """A route with its key: the matchers on the way down, as Alertmanager's `groupKey` begins; and those below it.

    `steps` are its escalations, each a place of its own to which no alert is led; there `after` are the seconds.
    """

    key: str
    route: Route
    below: tuple[Place, ...] = ()
    steps: tuple[Place, ...] = ()
    after: int = 0

    def group_labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The labels by which alerts of this route are grouped."""
        wanted = labels if self.route.group_by_all else self.route.group_by
        return {name: labels[name] for name in sorted(wanted) if labels.get(name)}

    def group_key(self, labels: Mapping[str, str]) -> str:
        """The identity of the group an alert with these labels falls into."""
        pairs = ", ".join([f"{name}={_quoted(value)}" for name, value in self.group_labels(labels).items()])
        return f"{self.key}:{{{pairs}}}"

    def match(self, labels: Mapping[str, str]) -> list[Place]:
        """The deepest places from here on that match; none if this one does not."""
        if not all(matcher.matches(labels) for matcher in self.route.matchers):
            return []
        found: list[Place] = []
        for place in self.below:
            deeper = place.match(labels)
            found += deeper
            if deeper and not place.route.continue_:
                break
        return found or [self]


class Tree:
    """All routes, each at its place."""

    def __init__(self, root: Route) -> None:
        self.root = _place(root, "")
        self._by_key = {place.key: place for place in _walk(self.root)}

    def match(self, labels: Mapping[str, str]) -> list[Place]:
        """The places that tell of an alert: the deepest that match, the first of siblings unless it continues."""
        return self.root.match(labels)

    def at(self, key: str) -> Place | None:
        """The place with this key, None if the tree has it no more."""
        return self._by_key.get(key)


def _place(route: Route, above: str, twin: int = 0) -> Place:
    suffix = f"/{twin}" if twin else ""  # siblings with the same matchers must not share a group
    key = f"{above}{_shown(route.matchers)}{suffix}"
    seen: Counter[str] = Counter()
    below = []
    for child in route.routes:
        same = _shown(child.matchers)
        below.append(_place(child, f"{key}/", seen[same]))
        seen[same] += 1
    return Place(key, route, tuple(below), tuple(_step(key, route, one) for one in route.escalations))


def _step(key: str, route: Route, one: Escalation) -> Place:
    """A message of an escalation goes by the route's own grouping and times."""
    own = replace(route, receiver=one.receiver, escalations=(), routes=())
    return Place(f"{key}!{one.after}s/{one.receiver}", own, after=one.after)


def _walk(place: Place) -> Iterator[Place]:
    yield place
    yield from place.steps
    for below in place.below:
        yield from _walk(below)


def _shown(matchers: tuple[Matcher, ...]) -> str:
    """The matchers as Alertmanager writes them: sorted by name, value and operator, without spaces between."""
    ordered = sorted(matchers, key=lambda matcher: (matcher.name, matcher.value, _ORDER.index(matcher.op)))
    return f"{{{','.join(map(str, ordered))}}}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
