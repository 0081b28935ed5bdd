"""The texts of an alert: a rule's own templates, tried once, and good default ones where it has none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from alertd.config.defaulttexts import default_sources
from alertd.engine.conditions import EVERYTHING, Condition
from alertd.engine.kinds import AnyKind
from alertd.engine.rules import Annotation
from alertd.engine.samples import Sample
from alertd.templating import Render, compile_text

_SPECIMEN = Sample(
    value=0.08,
    limit=0.05,
    matched=16,
    total=200,
    rooms=80,
    rooms_affected=9,
    identities=15,
    window=3600,
    position=0,
    settled_share=1.0,
)
_HAS: dict[str, dict[str, Any]] = {
    "rate": {"lower": 0.06, "upper": 0.11},
    "anomaly": {"of": "rooms", "baseline": 0.02},
    "spike": {"value": 16, "limit": 9, "baseline": 3.0},
    "new_value": {"value": 1, "limit": 0, "new": ("2.31.0",)},
    "absent": {"value": 16, "limit": 70, "total": 16, "baseline": 100.0, "below": True},
}
"""What samples of a kind have beside what all have."""
MISSING_TOLD = 5
"""How many names that a template wants in vain are told at once."""
LONGEST_MATCH = 300
"""Characters of a condition that a default text shows."""


def trial(render: Render, alert: str, labels: Mapping[str, str], kind: str) -> str | None:
    """What goes wrong when an annotation is rendered for a made-up sample of a `kind`, a rule's key; or None.

    Every name that is missing is told, up to MISSING_TOLD: what is wanted in vain is made up for the next look.
    """
    sample = msgspec.structs.replace(_SPECIMEN, **_HAS.get(kind, {}))
    stand, made_up, said = _Stand(sample), dict[str, str](), list[str]()
    while len(said) < MISSING_TOLD:
        rule = {"alert": alert, "source": "", **made_up}
        complaint = _complaint(
            render, {"labels": {**labels, **made_up}, "sample": stand if said else sample, "rule": rule}
        )
        missing = _MISSING.search(complaint or "")
        if complaint and (missing or not said):  # what else goes wrong once a value is made up here is no mistake
            said.append(_readable(complaint, labels))
        if missing is None:
            break
        if missing[1] == "dict":
            made_up[missing[2]] = "x"
        else:
            stand.made_up.add(missing[2])
    return "; ".join(said) or None


def _complaint(render: Render, variables: Mapping[str, object]) -> str | None:
    try:
        render(variables)
    except ValueError as error:
        return str(error)
    return None


class _Stand:
    """A sample that also has the names that a template was found to want of it in vain, so that others are found."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.made_up: set[str] = set()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a sample holds
        return 1 if name in self.made_up else getattr(self.sample, name)


_OURS = tuple(f"{one.__module__}.{one.__qualname__}" for one in (Sample, _Stand))
_MISSING = re.compile(rf"'(dict|{'|'.join(map(re.escape, _OURS))}) object' has no attribute '(\w+)'")


def _readable(complaint: str, labels: Mapping[str, str]) -> str:
    text = complaint.replace(f"'{_OURS[0]} object'", "sample").replace(f"'{_OURS[1]} object'", "sample")
    hint = f" (labels here: {', '.join(sorted(labels))})" if "'dict object'" in text else ""
    return text.replace("'dict object'", "the mapping") + hint


def default_texts(kind: AnyKind, match: Condition, missing_in: Iterable[str]) -> dict[str, Annotation]:
    """The texts `summary` and `description` for a rule of this kind, without those it has."""
    words = "everybody" if match == EVERYTHING else str(match)
    shown = words if len(words) <= LONGEST_MATCH else f"{words[: LONGEST_MATCH - 1]}…"
    sources = default_sources(kind).items()
    return {name: _with(name, source, shown, kind) for name, source in sources if name not in missing_in}


def _with(name: str, source: str, match: str, kind: AnyKind) -> Annotation:
    render = _default(name, source)
    return lambda variables: render({**variables, "match": match, "kind": kind})


@lru_cache(maxsize=32)
def _default(name: str, source: str) -> Render:
    return compile_text(source, name=name)
