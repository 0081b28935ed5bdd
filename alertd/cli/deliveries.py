"""`alertd deliveries`: the outbox as a table or as JSON, and sending again what was given up."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from alertd.config import load_store
from alertd.store import OutboxEntry, open_store

COLOURS = {"sent": "green", "queued": "yellow", "failed": "red", "withheld": "cyan"}


def print_deliveries(config: Path, *, failed: bool, limit: int, as_json: bool) -> None:
    """Print the newest entries of the outbox."""
    entries = asyncio.run(_read(config, failed=failed, limit=limit))
    if as_json:
        click.echo(json.dumps([_as_json(entry) for entry in entries], indent=2))
        return
    if not entries:
        click.echo("nothing was given up" if failed else "nothing has been sent yet", err=True)
    for entry in entries:
        click.echo(_line(entry))


def retry_delivery(config: Path, id: str) -> int:  # noqa: A002 - named as in the command's help
    """Put a notification up for sending now; status 1 if there is none to send."""
    if asyncio.run(_retry(config, id)):
        click.echo(f"{id} will be sent again with the next turn of the daemon")
        return 0
    click.echo(
        f"alertd: there is no notification {id} that was given up, withheld or waits; see `alertd deliveries`", err=True
    )
    return 1


async def _read(config: Path, *, failed: bool, limit: int) -> list[OutboxEntry]:
    store = await open_store(load_store(config).url.get_secret_value(), migrate=False)
    try:
        return list(await store.deliveries(failed=failed, limit=limit))
    finally:
        await store.close()


async def _retry(config: Path, id: str) -> bool:  # noqa: A002 - named as in the command's help
    store = await open_store(load_store(config).url.get_secret_value(), migrate=False)
    try:
        return await store.retry(id, int(time.time()))
    finally:
        await store.close()


def _line(entry: OutboxEntry) -> str:
    state = click.style(f"{entry.state:8}", fg=COLOURS.get(entry.state))
    names = ", ".join(entry.alerts)
    tries = f"{entry.attempts} attempt{'s' * (entry.attempts != 1)}"
    answer = f": {entry.last_answer or entry.withheld}" if entry.last_answer or entry.withheld else ""
    head = f"{_moment(entry.created_at)}  {state}  {entry.integration:24}  {entry.status:8}  {entry.reason}"
    return f"{head}\n    {names}\n    {entry.id}  {tries}{answer}"


def _as_json(entry: OutboxEntry) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(entry)
    moments = ("created_at", "send_at", "sent_at")
    return fields | {name: _moment(fields[name]) for name in moments if fields.get(name) is not None}


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
