"""Which rules a name on the command line means."""

from __future__ import annotations

from collections.abc import Sequence

import click

from alertd.config.mistakes import suggestion
from alertd.engine.rules import Rule


def rules_named(name: str, rules: Sequence[Rule]) -> list[Rule]:
    """The rules that are called so: one by its key, or all with this alert name; click.BadParameter if none is."""
    found = [rule for rule in rules if rule.key == name] or [rule for rule in rules if rule.alert == name]
    if not found:
        known = {rule.alert for rule in rules}
        raise click.BadParameter(f'there is no enabled rule "{name}"{suggestion(name, known)}', param_hint="--rule")
    return found


def rule_named(name: str, rules: Sequence[Rule]) -> Rule:
    """The one rule that is called so; click.BadParameter if none is, or several are."""
    found = rules_named(name, rules)
    if len(found) > 1:
        keys = ", ".join(rule.key for rule in found)
        raise click.BadParameter(f"there are {len(found)} rules {name}; write one of {keys}", param_hint="--rule")
    return found[0]
