"""The texts of an alert: a rule's own templates, compiled and tried once, and good default ones where it has none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from alertd.engine.rules import Absent, Annotation, Count, Kind, Rate, Sample
from alertd.templating import ANNOTATION_VARIABLES, Render, compile_text

_RATE = {
    "summary": "{{ sample.rate|percent }} of {{ sample.of }}: {{ match }}",
    "description": """\
{{ sample.matched|number }} of {{ sample.total|number }} {{ sample.of }} match, \
in {{ sample.rooms_affected|number }} of \
{{ sample.rooms|number }} rooms that ended within {{ sample.window|duration }}: {{ sample.rate|percent }}\
{% if sample.lower is not none %}, and beyond chance at least {{ sample.lower|percent }}{% endif %}. \
The limit is {{ sample.limit|percent }}.""",
}
_COUNT = {
    "summary": "{{ sample.matched|number }} in {{ sample.window|duration }}: {{ match }}",
    "description": """\
Matching {{ sample.of }}: {{ sample.matched|number }}, in {{ sample.rooms_affected|number }} of \
{{ sample.rooms|number }} rooms that ended within {{ sample.window|duration }}. \
The limit is {{ sample.limit|number }}.""",
}
_ABSENT = {
    "summary": """\
{% if sample.matched %}Only {{ sample.matched|number }} room{{ "s" if sample.matched > 1 }}\
{% else %}No room{% endif %} started within {{ sample.window|duration }}""",
    "description": """\
Rooms of the account that started within {{ sample.window|duration }} and are known: {{ sample.matched|number }}. \
The rule holds below {{ sample.limit|number }}. A room is known once it has ended and Twilio's log of it is complete, \
so those of the last minutes are not among them.""",
}
_DEFAULTS: dict[type[Kind], dict[str, str]] = {Rate: _RATE, Count: _COUNT, Absent: _ABSENT}
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
    lower=0.06,
    upper=0.11,
    settled_share=1.0,
)
LONGEST_MATCH = 300
"""Characters of a condition that a default text shows."""


@lru_cache(maxsize=4096)
def compiled(name: str, source: str) -> Render:
    """The annotation `name` as a renderer; ValueError("line N: …") if it does not compile."""
    return compile_text(source, name=name, known=ANNOTATION_VARIABLES)


def trial(render: Render, alert: str, labels: Mapping[str, str]) -> str | None:
    """What goes wrong when an annotation is rendered for a made-up sample, or None."""
    try:
        render({"labels": labels, "sample": _SPECIMEN, "rule": {"alert": alert, "source": ""}})
    except ValueError as error:
        complaint = str(error).replace(f"'{Sample.__module__}.Sample object'", "sample")
        hint = f" (labels here: {', '.join(sorted(labels))})" if "'dict object'" in complaint else ""
        return complaint.replace("'dict object'", "the mapping") + hint
    return None


def default_texts(kind: Kind, match: str, missing_in: Iterable[str]) -> dict[str, Annotation]:
    """The texts `summary` and `description` for a rule of this kind, without those it has; `match` says what counts."""
    shown = match if len(match) <= LONGEST_MATCH else f"{match[: LONGEST_MATCH - 1]}…"
    sources = _DEFAULTS[type(kind)].items()
    return {name: _with_match(name, source, shown) for name, source in sources if name not in missing_in}


def _with_match(name: str, source: str, match: str) -> Annotation:
    render = _default(name, source)
    return lambda variables: render({**variables, "match": match})


@lru_cache(maxsize=8)
def _default(name: str, source: str) -> Render:
    return compile_text(source, name=name)
