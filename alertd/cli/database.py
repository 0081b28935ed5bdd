"""`alertd db`: schema migration, and a consistent copy of a live database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from alertd import store
from alertd.config import load_store


def upgrade_database(config: Path) -> None:
    """Migrate and say from which version to which."""
    before, after = asyncio.run(store.upgrade(load_store(config).url.get_secret_value()))
    click.echo(f"the schema is at {after}" + ("" if before == after else f", it was {before or 'empty'}"))


def backup_database(config: Path, file: Path) -> None:
    """Copy and say how large the copy is."""
    asyncio.run(store.backup(load_store(config).url.get_secret_value(), file))
    click.echo(f"{file}: {file.stat().st_size:,} bytes")
