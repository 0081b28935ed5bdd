"""`alertd schema`: the JSON Schemas of configuration, rule files and webhook."""

from __future__ import annotations

import json

import click


def print_schema(what: str) -> None:
    """Print the schema called `config`, `rules` or `webhook`."""
    if what == "webhook":
        from alertd.receivers.webhook import webhook_schema

        schema = webhook_schema()
    else:
        from alertd.config import schema_for

        schema = schema_for("config" if what == "config" else "rules")
    click.echo(json.dumps(schema, indent=2))
