"""What a rule file may say: its tables, their keys with defaults and meaning, and what each value must be."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from alertd.config.ruleforms import (
    AbsenceWindow,
    AbsenceWindows,
    AlertName,
    Confidence,
    Count,
    FalseAlarms,
    FieldName,
    KnownField,
    Lag,
    Limit,
    Memory,
    MetricLimit,
    NumberField,
    Objective,
    Pairs,
    PartOfUsual,
    Ratio,
    TellingField,
    Times,
    Window,
    Windows,
    Yes,
    limit_of_metric,
)
from alertd.engine.durations import format_duration
from alertd.settings import Duration, Table

KINDS = (
    *("any", "count", "rate", "anomaly", "burn_rate", "spike"),
    *("new_value", "absent", "metric", "distinct"),
)
SHORTEST = {
    "any": "any: true",
    "count": "count: {at_least: 5}",
    "rate": "rate: {above: 5%}",
    "anomaly": "anomaly: {}",
    "burn_rate": "burn_rate: {objective: 99.5%}",
    "spike": "spike: {times: 3}",
    "new_value": "new_value: {field: error_code}",
    "absent": "absent: {below_usual: 70%}",
    "metric": "metric: {field: duration_sec, agg: p50, below: 1m}",
    "distinct": "distinct: {field: media_region, below: 3}",
}
"""The shortest form of each kind, with a number that is often right."""
MISPLACED = {
    "severity": "is a label; write labels: {severity: page}",
    **{
        name: f"is an annotation; write annotations: {{{name}: …}}"
        for name in ("summary", "description", "runbook_url")
    },
}
"""What people write directly into a rule, by their key, and where it belongs."""
OF_EVERYBODY = ("new_value", "metric", "distinct")
"""Kinds that may look at everybody in the population, with nothing that counts against the rule."""
CONDITIONS = ("match", "when", "among")
Of = Literal["participants", "rooms", "identities"]
_WINDOW = "Length of the window: whole minutes, up to 30d."


def _either(**keys: str | None) -> ConfigDict:
    """In the published schema: exactly one of the keys, and with it not the key that belongs to the other."""
    ways: list[Any] = [
        {"required": [key]} | ({"properties": {other: False}} if other else {}) for key, other in keys.items()
    ]
    return ConfigDict(json_schema_extra={"oneOf": ways})


def _conditions(schema: dict[str, Any]) -> None:
    """In the published schema: exactly one kind, and something to match, except where everybody or no one is meant."""
    needing = [kind for kind in KINDS if kind not in (*OF_EVERYBODY, "absent")]
    nobody = {"properties": {**dict.fromkeys(CONDITIONS, False), "by": {"const": ["account"]}}}
    schema["oneOf"] = [{"required": [kind]} for kind in KINDS]
    schema["allOf"] = [
        {"if": {"required": ["absent"]}, "then": nobody},
        {
            "if": {"anyOf": [{"required": [kind]} for kind in needing]},
            "then": {"anyOf": [{"required": ["match"]}, {"required": ["when"]}]},
        },
    ]


class CountTable(Table):
    """Holds when the number of matches in a window reaches a limit."""

    at_least: Count = Field(description="The limit.", examples=[5])
    over: Window = Field(1800, description=_WINDOW)
    of: Of = Field("participants", description="What is counted.")


class RateTable(Table):
    """Holds when the share of matches in a window is above a limit, beyond chance."""

    above: Limit = Field(description="The limit: 5% or 0.05.")
    over: Window = Field(3600, description=_WINDOW)
    of: Of = Field("participants", description="What the share is of.")
    min: Count = Field(50, description="The least number counted below which the rule stays silent.")
    min_rooms: Count = Field(3, description="The least number of rooms with a match.")
    confidence: Confidence = Field(
        0.99, description="How sure to be that the true share is above the limit; off compares the plain share."
    )


class AnomalyTable(Table):
    """Holds when more rooms are affected than usual, beyond chance and beyond the usual ups and downs."""

    ratio: Ratio = Field(
        None,
        json_schema_extra={"default": "auto"},
        description="So many times the usual share is still ordinary; auto measures it, between 2 and 4.",
    )
    false_alarms: FalseAlarms = Field(
        0.5, description="How many false alarms a week you bear, of all groups of the rule together: 0.5/week."
    )
    windows: Windows = Field(
        (900, 1800, 3600, 7200, 21600), description="Lengths of the windows that are looked at, the shortest first."
    )
    min_rooms: Count = Field(3, description="The least number of rooms with a match.")
    baseline: Window = Field(604800, description="Length of the past that says what is usual.")
    lag: Lag = Field(86400, description="How long ago that past ends, so that trouble does not count as usual.")
    reopen: Duration = Field(
        14400,
        description="An alert that fires again within this long of its end is the same incident: told in its thread, "
        "with the reason `reopened`.",
    )

    @model_validator(mode="after")
    def _baseline_is_past(self) -> Self:
        longest = format_duration(self.windows[-1])
        if self.lag < self.windows[-1]:
            raise ValueError(f"lag must be at least {longest}, the longest window, or trouble would be its own usual")
        if self.baseline < self.windows[-1]:
            raise ValueError(f"baseline must be at least {longest}, the longest window")
        return self


class BurnRateTable(Table):
    """Holds when the error budget of an objective is spent too fast, in a long window and still in a short one."""

    objective: Objective = Field(0.99, description="The share that should not match; what it leaves is the budget.")
    pairs: Pairs = Field(
        ((3600, 1800, 14.4), (21600, 3600, 6.0), (259200, 21600, 1.0)),
        description="[long window, short window, factor]: holds if the budget is spent faster than so many times "
        "its even speed in both windows.",
        examples=[[["1h", "30m", 14.4]]],
    )
    min_rooms: Count = Field(3, description="The least number of rooms with a match in the long window.")

    @model_validator(mode="after")
    def _pairs_can_hold(self) -> Self:
        for place, (_, _, factor) in enumerate(self.pairs):
            share = factor * (1 - self.objective)
            if share >= 1:
                raise ValueError(
                    f"pairs[{place}] would hold above {100 * share:.3g}% and can never: write pairs with factors "
                    f"below {1 / (1 - self.objective):.3g}, or a higher objective"
                )
        return self


class SpikeTable(Table):
    """Holds when a window has several times as many matches as such windows had of late."""

    times: Times = Field(3.0, description="How many times the usual number.")
    at_least: Count = Field(5, description="The least number that is worth telling.")
    over: Window = Field(1800, description=_WINDOW)
    against: Window = Field(86400, description="Length of the time before that says what is usual.")
    of: Of = Field("participants", description="What is counted.")

    @model_validator(mode="after")
    def _against_is_longer(self) -> Self:
        if self.against <= self.over:
            raise ValueError(f"against must be longer than the window, {format_duration(self.over)}")
        return self


class NewValueTable(Table):
    """Holds when a value of a field shows up that was never there before."""

    field: TellingField = Field(description="The field.", examples=["error_code", "sdk_version"])
    seen_in: Memory = Field(2592000, description="How far back a value must not have been seen: whole hours.")
    min_rooms: Count = Field(2, description="The least number of rooms with the new value.")


class AbsentTable(Table):
    """Holds for an account when fewer rooms started than a limit, or than usual at this time of the week."""

    model_config = _either(fewer_than="windows", below_usual="over")

    fewer_than: Count | None = Field(
        None, description="The limit; with 1 the rule holds when no room started.", examples=[5]
    )
    over: AbsenceWindow = Field(
        7200, description="Length of the window for fewer_than: whole minutes, from 15m to 24h."
    )
    below_usual: PartOfUsual | None = Field(
        None, description="What part of the usual must clearly not be reached: 70% of the same time a week before."
    )
    windows: AbsenceWindows = Field(
        (900, 1800, 3600, 7200, 10800),
        description="Lengths of the windows for below_usual, the shortest first, up to 24h.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        usual = self.below_usual is not None
        if usual == (self.fewer_than is not None):
            raise ValueError("write either fewer_than, or below_usual to compare with the same time a week before")
        stray = "over" if usual else "windows"
        if stray in self.model_fields_set:
            raise ValueError(f"{stray} belongs to {'fewer_than' if usual else 'below_usual'}; leave it out")
        return self


class MetricTable(Table):
    """Holds when a figure over a number field, such as its median, is above or below a limit."""

    model_config = _either(above=None, below=None)

    field: NumberField = Field(description="The field: one that holds numbers.", examples=["duration_sec"])
    agg: Literal["mean", "p50", "p95", "p99", "min", "max", "sum"] = Field(
        description="Which figure: the mean, a percentile (p50 is the median), the least, the greatest, or the sum."
    )
    above: MetricLimit | None = Field(None, description="The limit that must not be exceeded.")
    below: MetricLimit | None = Field(None, description="The limit that must be reached.")
    over: Window = Field(3600, description=_WINDOW)
    min: Count = Field(50, description="The least number of values below which the rule stays silent.")

    @field_validator("above", "below", mode="before")
    @classmethod
    def _in_the_unit_of_the_field(cls, value: object, info: ValidationInfo) -> float | None:
        return None if value is None else limit_of_metric(value, info.data.get("field"))

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        _check_one_limit(self.above, self.below)
        return self


class DistinctTable(Table):
    """Holds when the number of different values of a field is above or below a limit."""

    model_config = _either(above=None, below=None)

    field: KnownField = Field(description="The field.", examples=["media_region"])
    above: int | None = Field(None, ge=0, description="The number that must not be exceeded.")
    below: Count | None = Field(None, description="The number that must be reached.")
    over: Window = Field(3600, description=_WINDOW)

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        _check_one_limit(self.above, self.below)
        return self


def _check_one_limit(above: float | None, below: float | None) -> None:
    if (above is None) == (below is None):
        raise ValueError("write either above or below")


class Shared(Table):
    """What `defaults` may say for all rules of a file."""

    by: tuple[FieldName, ...] | None = Field(
        None,
        description="Fields; one alert for each combination of their values. Default: [account].",
        examples=[["account", "media_region"]],
    )
    keep_firing_for: Duration | None = Field(
        None, description="Quiet this long before it resolves. Default: 4h for any and count, 15m for all others."
    )
    labels: dict[str, str] = Field({}, description="Labels of the alert, such as severity.")
    annotations: dict[str, str] = Field({}, description="Texts of the alert: Jinja2 with labels, sample and rule.")


class RuleTable(Shared):
    """One rule: what it counts, in what population, and at which limit."""

    model_config = ConfigDict(json_schema_extra=_conditions)

    alert: AlertName = Field(description="Name of the alert; its label alertname.", examples=["MediaConnectionFailing"])
    among: dict[str, Any] | None = Field(
        None, description="The population. Default: all participants of settled rooms."
    )
    match: dict[str, Any] | None = Field(None, description="Those that count against the rule.")
    when: str | None = Field(None, description="The same as an expression; beside match, both must hold.")
    any: Yes | None = Field(None, description="Holds when one participant matches.")
    count: CountTable | None = Field(None, description="Holds when so many match.")
    rate: RateTable | None = Field(None, description="Holds when such a share matches, beyond chance.")
    anomaly: AnomalyTable | None = Field(
        None, description="Holds when more rooms are affected than usual, beyond chance and the usual ups and downs."
    )
    burn_rate: BurnRateTable | None = Field(
        None, description="Holds when the error budget of an objective is spent too fast."
    )
    spike: SpikeTable | None = Field(None, description="Holds when several times as many match as of late.")
    new_value: NewValueTable | None = Field(
        None, description="Holds when a value of a field shows up that was never there before."
    )
    absent: AbsentTable | None = Field(None, description="Holds when too few rooms of an account started.")
    metric: MetricTable | None = Field(
        None, description="Holds when a figure over a number field, such as its median, is above or below a limit."
    )
    distinct: DistinctTable | None = Field(
        None, description="Holds when the number of different values of a field is above or below a limit."
    )
    for_: Duration = Field(0, alias="for", description="The rule must hold this long before the alert fires.")
    no_traffic: Duration = Field(
        21600,
        description="What needs traffic to recover resolves without it after so long; until then no data is no "
        "recovery.",
    )
    enabled: bool = Field(True, description="false keeps the rule in the file without judging it.")


class RuleFile(Table):
    """A file of rules for alertd."""

    defaults: Shared = Field(Shared(), description="What all rules of this file share, unless they say otherwise.")
    rules: tuple[RuleTable, ...] = Field(description="The rules.")
