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
