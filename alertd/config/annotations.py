"""The texts of an alert: a rule's own templates, compiled and tried once, and good default ones where it has none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from alertd.config.defaulttexts import default_sources
from alertd.engine.conditions import EVERYTHING, Condition
from alertd.engine.kinds import AnyKind
from alertd.engine.rules import Annotation
from alertd.engine.samples import Sample
from alertd.templating import ANNOTATION_VARIABLES, Render, compile_text

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
LONGEST_MATCH = 300
"""Characters of a condition that a default text shows."""


@lru_cache(maxsize=4096)
def compiled(name: str, source: str) -> Render:
    """The annotation `name` as a renderer; ValueError("line N: …") if it does not compile."""
    return compile_text(source, name=name, known=ANNOTATION_VARIABLES)


def trial(render: Render, alert: str, labels: Mapping[str, str], kind: str) -> str | None:
    """What goes wrong when an annotation is rendered for a made-up sample of a `kind`, a rule's key; or None."""
    sample = msgspec.structs.replace(_SPECIMEN, **_HAS.get(kind, {}))
    try:
        render({"labels": labels, "sample": sample, "rule": {"alert": alert, "source": ""}})
    except ValueError as error:
        complaint = str(error).replace(f"'{Sample.__module__}.Sample object'", "sample")
        hint = f" (labels here: {', '.join(sorted(labels))})" if "'dict object'" in complaint else ""
        return complaint.replace("'dict object'", "the mapping") + hint
    return None


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
