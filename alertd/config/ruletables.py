"""What a rule file may say: its tables, their keys with defaults and meaning, and what each value must be."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from alertd.config.forms import AbsenceWindow, AlertName, Confidence, Count, Limit, Window, Yes
from alertd.settings import Duration, Table

KINDS = ("any", "count", "rate", "absent")
LATER_KINDS = ("anomaly", "burn_rate", "spike", "new_value", "metric", "distinct")
CONDITIONS = ("match", "when", "among")
Of = Literal["participants", "rooms", "identities"]


def _conditions(schema: dict[str, Any]) -> None:
    """In the published schema: exactly one kind, and something to match, except for absence of rooms."""
    schema["oneOf"] = [{"required": [kind]} for kind in KINDS]
    schema["if"] = {"required": ["absent"]}
    schema["then"] = {"properties": {**dict.fromkeys(CONDITIONS, False), "by": {"const": ["account"]}}}
    schema["else"] = {"anyOf": [{"required": ["match"]}, {"required": ["when"]}]}


class CountTable(Table):
    """Holds when the number of matches in a window reaches a limit."""

    at_least: Count = Field(description="The limit.", examples=[5])
    over: Window = Field(1800, description="Length of the window: whole minutes, up to 30d.")
    of: Of = Field("participants", description="What is counted.")


class RateTable(Table):
    """Holds when the share of matches in a window is above a limit, beyond chance."""

    above: Limit = Field(description="The limit: 5% or 0.05.")
    over: Window = Field(3600, description="Length of the window: whole minutes, up to 30d.")
    of: Of = Field("participants", description="What the share is of.")
    min: Count = Field(50, description="The least number counted below which the rule stays silent.")
    min_rooms: Count = Field(3, description="The least number of rooms with a match.")
    confidence: Confidence = Field(
        0.99, description="How sure to be that the true share is above the limit; off compares the plain share."
    )


class AbsentTable(Table):
    """Holds for an account when fewer rooms than a limit started in a window, as far as they are known."""

    fewer_than: Count = Field(description="The limit; with 1 the rule holds when no room started.", examples=[5])
    over: AbsenceWindow = Field(7200, description="Length of the window: whole minutes, from 1h to 24h.")


class Shared(Table):
    """What `defaults` may say for all rules of a file."""

    by: tuple[str, ...] | None = Field(
        None,
        description="Fields; one alert for each combination of their values. Default: [account].",
        examples=[["account", "media_region"]],
    )
    keep_firing_for: Duration | None = Field(
        None, description="Quiet this long before it resolves. Default: 15m for rate and absent, 4h for others."
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
    rate: RateTable | None = Field(None, description="Holds when such a share matches.")
    absent: AbsentTable | None = Field(None, description="Holds when too few rooms of an account started.")
    for_: Duration = Field(0, alias="for", description="The rule must hold this long before the alert fires.")
    no_traffic: Duration = Field(
        21600, description="A rate that sees no traffic resolves after so long; until then no data is not recovery."
    )
    enabled: bool = Field(True, description="false keeps the rule in the file without judging it.")


class RuleFile(Table):
    """A file of rules for alertd."""

    defaults: Shared = Field(Shared(), description="What all rules of this file share, unless they say otherwise.")
    rules: tuple[RuleTable, ...] = Field(description="The rules.")
