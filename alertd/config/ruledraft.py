"""What one rule means beyond its form: its conditions, the labels it gives, its kind, and its texts.

A draft is judged from the plain data, so that its mistakes are told beside those of form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from alertd.config.annotations import default_texts, trial
from alertd.config.defaulttexts import default_sources
from alertd.config.forms import label_complaint
from alertd.config.mistakes import dotted
from alertd.config.reading import Document, KeyPath, Written
from alertd.config.ruletables import CONDITIONS, KINDS, OF_EVERYBODY, RuleTable, Shared
from alertd.engine.conditions import EVERYTHING, Condition, Parsed, both, parse_condition, parse_expression
from alertd.engine.fields import Field, UnknownFieldError, find_field, label_name, look_up_field
from alertd.engine.kinds import Absent, Anomaly, AnyKind, BurnRate, Count, Distinct, Metric, NewValue, Rate, Spike
from alertd.engine.rules import Annotation, Rule
from alertd.errors import Problem
from alertd.settings import Table
from alertd.templating import compile_annotation

_KINDS: dict[str, type[AnyKind]] = {
    "count": Count,
    "rate": Rate,
    "anomaly": Anomaly,
    "burn_rate": BurnRate,
    "spike": Spike,
    "new_value": NewValue,
    "absent": Absent,
    "metric": Metric,
    "distinct": Distinct,
}
"""The kinds by the key of their table, whose keys are theirs."""
UNIQUE = ("participant_sid", "room.room_sid")
QUIET, QUIET_COUNT = 900, 14400
"""Seconds of quiet before an alert resolves where the rule does not say: of most kinds, and of counts."""


@dataclass(slots=True)
class Draft:
    """A rule on its way: its place in the document, what its parts mean, and what is wrong or odd about it."""

    document: Document
    path: KeyPath
    alert: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    among: Condition = EVERYTHING
    match: Condition = EVERYTHING
    annotations: dict[str, Annotation] = field(default_factory=dict)
    templates: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notices: list[Problem] = field(default_factory=list)

    @property
    def key(self) -> str:
        """What no two rules share: alertname and labels; empty where there is no name."""
        return Rule(alert=self.alert, kind=Count(at_least=1), labels=self.labels).key if self.alert else ""

    def at(self, *place: str | int) -> KeyPath:
        """The path in the document of what stands at `place` in the rule."""
        return (*self.path, *place)

    def wrong(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        """Note a problem with what stands at `path` in the document."""
        self.problems.append(self.document.problem(path, f"{dotted(path)}: {message}", at_key=at_key))

    def odd(self, path: KeyPath, message: str) -> None:
        """Note what is allowed at `path` in the document, but may not be meant."""
        self.notices.append(self.document.problem(path, f"{dotted(path)}: {message}"))

    def rule(self, table: RuleTable, defaults: Shared) -> Rule:
        """The rule, from a valid table and the file's defaults."""
        kind = _kind(table)
        quiet = table.keep_firing_for if table.keep_firing_for is not None else defaults.keep_firing_for
        usually_quiet = QUIET_COUNT if isinstance(kind, Count) else QUIET
        place = self.document.problem(self.path, "")
        return Rule(
            alert=table.alert,
            kind=kind,
            among=self.among,
            match=self.match,
            by=self.by,
            hold_for=table.for_,
            keep_firing_for=usually_quiet if quiet is None else quiet,
            no_traffic=table.no_traffic,
            reopen=table.anomaly.reopen if table.anomaly else 0,
            labels=self.labels,
            annotations=self.annotations | default_texts(kind, self.match, self.annotations),
            templates=default_sources(kind) | self.templates,
            source=f"{place.file}:{place.line}",
        )


def draft_rule(document: Document, path: KeyPath, raw: dict[str, Any], defaults: dict[str, Any]) -> Draft:
    """The draft of the rule in the plain data `raw` at `path`."""
    draft = Draft(document, path)
    draft.alert = raw["alert"] if isinstance(raw.get("alert"), str) else ""
    draft.labels = _texts(defaults, "labels") | _texts(raw, "labels")
    _judge_kind(draft, raw)
    _judge_conditions(draft, raw)
    given = _judge_by(draft, raw, defaults)
    if raw.get("absent") is not None:
        _judge_absence(draft, raw)
    _judge_labels(draft, raw, given)
    _judge_annotations(draft, raw, defaults, given)
    return draft


def _kind(table: RuleTable) -> AnyKind:
    for name, kind in _KINDS.items():
        found: Table | None = getattr(table, name)
        if found is not None:
            return kind(**found.model_dump(exclude={"reopen"}))
    return Count(at_least=1)


def _judge_kind(draft: Draft, raw: Mapping[str, Any]) -> None:
    found = _kinds(raw)
    if not found:
        draft.wrong(draft.path, f"says no kind; write one of {', '.join(KINDS)}")
    for later in found[1:]:
        draft.wrong(draft.at(later), f"a rule has one kind, and this one has {found[0]} already", at_key=True)


def _kinds(raw: Mapping[str, Any]) -> list[str]:
    return [kind for kind in KINDS if raw.get(kind) is not None]


def _judge_conditions(draft: Draft, raw: Mapping[str, Any]) -> None:
    match, among, when = raw.get("match"), raw.get("among"), raw.get("when")
    if not match and not when and not {"absent", *OF_EVERYBODY}.intersection(_kinds(raw)):
        draft.wrong(draft.path, "needs match or when, else every participant would count against it")
    if isinstance(among, dict):
        draft.among = _condition(draft, draft.at("among"), parse_condition(plain(among)))
    if isinstance(match, dict):
        draft.match = _condition(draft, draft.at("match"), parse_condition(plain(match)))
    if isinstance(when, str):
        draft.match = both(draft.match, _condition(draft, draft.at("when"), parse_expression(when)))


def _condition(draft: Draft, path: KeyPath, parsed: Parsed) -> Condition:
    for mistake in parsed.mistakes:
        draft.wrong((*path, *mistake.path), mistake.message, at_key=mistake.at_key)
    for notice in parsed.notices:
        draft.odd((*path, *notice.path), notice.message)
    return parsed.condition or EVERYTHING


def plain(data: object, *, version: bool = False) -> object:
    """The data of a condition with its numbers as numbers, but those of version fields as they were written."""
    if isinstance(data, dict):
        return {key: plain(value, version=version or _is_version(key)) for key, value in data.items()}
    if isinstance(data, list):
        return [plain(item, version=version) for item in data]
    if isinstance(data, Written):
        return data.text if version else float(data)
    return str(data) if version and type(data) is int else data


def _is_version(key: str) -> bool:
    found = look_up_field(key)
    return found is not None and found.kind == "version"


def _judge_by(draft: Draft, raw: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, str]:
    """The label that each field of `by` gives, with the name of the field."""
    path = draft.at("by") if "by" in raw or "by" not in defaults else ("defaults", "by")
    names = raw.get("by", defaults.get("by", ["account"]))
    given: dict[str, str] = {}
    for place, name in enumerate(names if isinstance(names, list) else []):
        found = _by_field(draft, (*path, place), name) if isinstance(name, str) else None
        if found is None:
            continue
        label = label_name(found)
        if label in given:
            draft.wrong((*path, place), f'"{name}" gives the label {label} a second time')
        given[label] = found.name
        if found.name in UNIQUE:
            draft.odd(
                (*path, place), f'"{name}" is another one each time, so each gets an alert of its own, up to 1000'
            )
    draft.by = tuple(given.values())
    return given


def _judge_absence(draft: Draft, raw: Mapping[str, Any]) -> None:
    """Absence is that of rooms in an account: there is nobody in them to match, nor anything else to tell apart."""
    for key in CONDITIONS:
        if raw.get(key) is not None:
            message = f"absent counts all rooms of an account that started, whoever was in them; leave {key} out"
            draft.wrong(draft.at(key), message, at_key=True)
    if draft.by != ("account",):
        path = draft.at("by") if "by" in raw else ("defaults", "by")
        draft.wrong(path, "absent has one alert for each account and no others; write by: [account] in its rule")


def _by_field(draft: Draft, path: KeyPath, name: str) -> Field | None:
    try:
        found = find_field(name)
    except UnknownFieldError as error:
        draft.wrong(path, str(error))
        return None
    if found.personal:
        draft.odd(path, f"{name} tells of a person; a pseudonym goes into the label unless [privacy] shows it")
    return found


def _judge_labels(draft: Draft, raw: Mapping[str, Any], given: Mapping[str, str]) -> None:
    own = _texts(raw, "labels")
    for name in draft.labels:
        complaint = label_complaint(name) or _taken(name, given)
        if complaint:
            path = draft.at("labels", name) if name in own else ("defaults", "labels", name)
            draft.wrong(path, complaint, at_key=True)


def _taken(name: str, given: Mapping[str, str]) -> str | None:
    if name == "alertname":
        return 'the label "alertname" is the name of the alert; leave it out'
    if name == "account":
        return 'the label "account" is the Twilio account; call this label something else'
    return f'the label "{name}" comes from by ({given[name]}); call this one something else' if name in given else None


def _judge_annotations(
    draft: Draft, raw: Mapping[str, Any], defaults: Mapping[str, Any], given: Mapping[str, str]
) -> None:
    labels = {"alertname": draft.alert, **draft.labels, **dict.fromkeys(given, "x")}
    own = _texts(raw, "annotations")
    kind = _specimen(raw)
    for name, source in (_texts(defaults, "annotations") | own).items():
        place = draft.at("annotations", name) if name in own else ("defaults", "annotations", name)
        complaint = label_complaint(name)
        if complaint is None:
            try:
                text = compile_annotation(name, source)
            except ValueError as error:
                complaint = str(error)
            else:
                draft.annotations[name], draft.templates[name] = text.render, source
                complaint = trial(text.render, draft.alert, labels, kind)
                if complaint is None and name in own:
                    _judge_labels_read(draft, place, text.labels_read, labels)
        if complaint:
            draft.wrong(place, complaint)


def _judge_labels_read(draft: Draft, place: KeyPath, read: Mapping[str, int], labels: Mapping[str, str]) -> None:
    """A label that is never there reads as its default for ever: mostly it is called otherwise."""
    for label, line in read.items():
        if label not in labels and not hasattr(dict, label):
            known = ", ".join(sorted(labels))
            draft.odd(place, f"line {line}: alerts of this rule never have the label {label} (they have {known})")


def _specimen(raw: Mapping[str, Any]) -> str:
    """The kind whose samples hold what those of this rule will: some keys leave things out."""
    kind = next(iter(_kinds(raw)), "")
    table = raw[kind] if kind and isinstance(raw[kind], dict) else {}
    plain_rate = kind == "rate" and table.get("confidence") == "off"
    plain_absence = kind == "absent" and "below_usual" not in table
    return "count" if plain_rate or plain_absence else kind


def _texts(table: Mapping[str, Any], key: str) -> dict[str, str]:
    """The texts in the table at `key`; whatever else stands there is told elsewhere."""
    found = table.get(key)
    return {name: text for name, text in found.items() if isinstance(text, str)} if isinstance(found, dict) else {}
