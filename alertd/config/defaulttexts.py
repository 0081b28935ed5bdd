"""What an alert says where its rule has no texts of its own: a summary and a description for each kind of rule.

Templates over what annotations may use and two things more: `match`, what counts against the rule in words, and
`kind`, the rule's kind with its keys.
"""

from __future__ import annotations

from alertd.config.ruleforms import is_seconds
from alertd.engine.kinds import (
    Absent,
    Anomaly,
    AnyKind,
    BurnRate,
    Count,
    Distinct,
    Metric,
    NewValue,
    Rate,
    Spike,
)

_ROOMS_THAT_ENDED = """\
in {{ sample.rooms_affected|number }} of {{ sample.rooms|number }} rooms \
that ended within {{ sample.window|duration }}"""
_AFFECTED = """\
{{ sample.matched|number }} of {{ sample.total|number }} rooms that ended within {{ sample.window|duration }}"""

_COUNT = {
    "summary": "{{ sample.matched|number }} in {{ sample.window|duration }}: {{ match }}",
    "description": f"""\
Matching {{{{ sample.of }}}}: {{{{ sample.matched|number }}}}, {_ROOMS_THAT_ENDED}. \
The limit is {{{{ sample.limit|number }}}}.""",
}
_RATE = {
    "summary": "{{ sample.rate|percent }} of {{ sample.of }}: {{ match }}",
    "description": f"""\
{{{{ sample.matched|number }}}} of {{{{ sample.total|number }}}} {{{{ sample.of }}}} match, {_ROOMS_THAT_ENDED}: \
{{{{ sample.rate|percent }}}}\
{{% if sample.lower is not none %}}, and beyond chance at least {{{{ sample.lower|percent }}}}{{% endif %}}. \
The limit is {{{{ sample.limit|percent }}}}.""",
}
_ANOMALY = {
    "summary": "{{ sample.rate|percent }} of rooms are affected, usual are {{ sample.baseline|percent }}: {{ match }}",
    "description": f"""\
{_AFFECTED} have somebody who matches: {{{{ sample.rate|percent }}}}. \
By the {{{{ kind.baseline|duration }}}} before, {{{{ sample.baseline|percent }}}} would be usual here, and up to \
{{{{ sample.limit|percent }}}} ordinary. So many more are hardly chance.""",
}
_BURN_RATE = {
    "summary": "The error budget is spent {{ sample.value|number }} times too fast: {{ match }}",
    "description": f"""\
{{{{ sample.matched|number }}}} of {{{{ sample.total|number }}}} participants match, {_ROOMS_THAT_ENDED}: \
{{{{ sample.rate|percent }}}}, where the objective of {{{{ kind.objective|percent }}}} leaves \
{{{{ (1 - kind.objective)|percent }}}}\
{{% if sample.value > 0 %}}. At this speed a budget for 30 days is gone in \
{{{{ ((720 / sample.value)|round(0, "ceil") * 3600)|duration }}}}{{% endif %}}. \
The limit is {{{{ sample.limit|number }}}} times, in this window and in a shorter one.""",
}
_SPIKE = {
    "summary": """\
{{ sample.matched|number }} in {{ sample.window|duration }}, usual are {{ sample.baseline|number }}: {{ match }}""",
    "description": f"""\
Matching {{{{ sample.of }}}}: {{{{ sample.matched|number }}}}, {_ROOMS_THAT_ENDED}. In such a window there were \
{{{{ sample.baseline|number }}}} on average in the {{{{ kind.against|duration }}}} before. \
The rule holds from {{{{ sample.limit|number }}}} on.""",
}
_NEW_VALUE = {
    "summary": "New {{ kind.field }}: {{ sample.new|join(', ')|truncate(200) }}",
    "description": """\
Never seen in the {{ kind.seen_in|duration }} before\
{% if sample.value > 1 %} are {{ sample.value|number }} values of {{ kind.field }}, and now they are, one of them \
{%- else %}, and now{% endif %} in {{ sample.matched|number }} room{{ "s" if sample.matched > 1 }}. \
Counted are: {{ match }}.""",
}
_ABSENT = {
    "summary": """\
{% if sample.matched %}Only {{ sample.matched|number }} room{{ "s" if sample.matched > 1 }}\
{% else %}No room{% endif %} started within {{ sample.window|duration }}""",
    "description": """\
Rooms of the account that started within {{ sample.window|duration }}: {{ sample.matched|number }}. \
The rule holds below {{ sample.limit|number }}. Rooms that still go on are counted.""",
}
_ABSENT_BY_USUAL = {
    "summary": _ABSENT["summary"] + ", a week ago {{ sample.baseline|round|number }}",
    "description": """\
Rooms of the account that started within {{ sample.window|duration }}: {{ sample.matched|number }}. \
A week ago, at this time, it was {{ sample.baseline|round|number }}. The rule holds where there are far fewer than \
{{ kind.below_usual|percent }} of that: more than one week differs from another, but for holidays.""",
}
_DISTINCT = {
    "summary": "{{ sample.value|number }} different values of {{ kind.field }} in {{ sample.window|duration }}",
    "description": """\
Different values of {{ kind.field }} among {{ sample.matched|number }} participants in rooms that ended within \
{{ sample.window|duration }}: {{ sample.value|number }}. The rule holds {{ "below" if sample.below else "above" }} \
{{ sample.limit|number }}. Counted are: {{ match }}.""",
}
_METRIC = {
    "summary": "{{ kind.agg }} of {{ kind.field }} is {{ sample.value|UNIT }}: {{ match }}",
    "description": """\
{{ kind.agg }} of {{ kind.field }} over {{ sample.matched|number }} values from {{ sample.rooms|number }} rooms that \
ended within {{ sample.window|duration }}: {{ sample.value|UNIT }}. The rule holds \
{{ "below" if sample.below else "above" }} {{ sample.limit|UNIT }}.""",
}
_TEXTS: dict[type[AnyKind], dict[str, str]] = {
    Absent: _ABSENT,
    Anomaly: _ANOMALY,
    BurnRate: _BURN_RATE,
    Count: _COUNT,
    Distinct: _DISTINCT,
    Metric: _METRIC,
    NewValue: _NEW_VALUE,
    Rate: _RATE,
    Spike: _SPIKE,
}


def default_sources(kind: AnyKind) -> dict[str, str]:
    """The templates of `summary` and `description` for a rule of this kind."""
    if isinstance(kind, Absent) and kind.below_usual is not None:
        return _ABSENT_BY_USUAL
    if isinstance(kind, Metric):
        unit = "duration" if is_seconds(kind.field) else "number"
        return {name: source.replace("UNIT", unit) for name, source in _METRIC.items()}
    return _TEXTS[type(kind)]
