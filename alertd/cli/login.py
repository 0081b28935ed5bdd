"""`alertd login`: what to write into [http.auth] so that somebody can log in."""

from __future__ import annotations

import sys

import click

from alertd.logins import hash_password, hash_token, new_token

SHORTEST = 8
"""Characters of a password."""


def print_login(name: str, *, token: bool) -> None:
    """Print the lines for the configuration; a new token goes to standard error, once."""
    if token:
        made = new_token()
        click.echo(f"the token, shown this once: {made}", err=True)
        click.echo(f'[[http.auth.tokens]]\nname = "{name}"\ntoken_hash = "{hash_token(made)}"')
        return
    click.echo(f'[[http.auth.users]]\nname = "{name}"\npassword_hash = "{hash_password(_password())}"')


def _password() -> str:
    """What is typed twice without being shown, or a line of standard input."""
    if sys.stdin.isatty():
        password = click.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    if len(password) < SHORTEST:
        raise click.UsageError(f"a password needs at least {SHORTEST} characters")
    return str(password)
