"""Rule: what is judged, over whom, at which limit, and what its alerts are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from alertd.engine.conditions import EVERYTHING, Condition
from alertd.engine.kinds import AnyKind

Annotation = Callable[[Mapping[str, object]], str]
"""A compiled annotation: the text for the variables `labels`, `sample`, `rule`; raises ValueError if it fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule as loaded; durations in seconds, `source` is `file:line` for messages."""

    alert: str
    kind: AnyKind
    among: Condition = EVERYTHING
    match: Condition = EVERYTHING
    by: tuple[str, ...] = ("account",)
    hold_for: int = 0
    keep_firing_for: int = 900
    no_traffic: int = 21600
    reopen: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, Annotation] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)
    """What the annotations were compiled from, to be shown."""
    max_groups: int = 1000
    source: str = ""
    key: str = field(init=False)
    """What no two rules share: alertname and labels, `Name|severity=page`; a bar inside a text is doubled."""

    def __post_init__(self) -> None:
        texts = [self.alert, *(f"{name}={self.labels[name]}" for name in sorted(self.labels))]
        object.__setattr__(self, "key", "|".join(text.replace("|", "||") for text in texts))
