"""What a name on the command line means, and the nearest one where it means nothing."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import click

from alertd.engine.rules import Rule


def rules_named(name: str, rules: Sequence[Rule]) -> list[Rule]:
    """The rules that are called so: one by its key, or all with this alert name; click.BadParameter if none is."""
    found = [rule for rule in rules if rule.key == name] or [rule for rule in rules if rule.alert == name]
    if not found:
        known = sorted({rule.alert for rule in rules})
        raise click.BadParameter(f'there is no enabled rule "{name}"{hint(name, known)}', param_hint="--rule")
    return found


def nearest(name: str, known: Sequence[str]) -> str:
    """What may have been meant, to put behind a complaint; nothing where nothing is near."""
    close = difflib.get_close_matches(name, known, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def hint(name: str, known: Sequence[str]) -> str:
    """What may have been meant, else all that there is."""
    return nearest(name, known) or f"; there are {', '.join(known) or 'none'}"
