"""`alertd test`: the tests of rules, each with its verdict, and for what failed the sample that decided it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import click

from alertd.cli.junit import junit_xml, lines
from alertd.config.casefiles import Cases, load_cases
from alertd.errors import InputError, Problem
from alertd.logs import set_up
from alertd.ruletest import Mismatch, Verdict, run_test


def run_tests(files: Sequence[Path], junit: Path | None) -> int:
    """Run the tests in files and folders, print each verdict; status 1 if any failed."""
    set_up(level="critical")  # what fails in a test is told by its verdict
    began = time.perf_counter()
    found = load_cases(files)
    verdicts = asyncio.run(_verdicts(found))
    if junit is not None:
        _write(junit, junit_xml(verdicts))
    failed = sum(bool(verdict.mismatches) for verdict in verdicts)
    counted = f"{_counted(len(verdicts), 'test')} in {_counted(len(found), 'file')}"
    verdict = f"{failed} of {counted} failed" if failed else f"{counted} passed"
    click.secho(f"{verdict} ({time.perf_counter() - began:.1f} s)", fg="red" if failed else "green")
    return 1 if failed else 0


async def _verdicts(found: Sequence[Cases]) -> list[Verdict]:
    verdicts = []
    for cases in found:
        click.echo(cases.file)
        for place in range(len(cases.tests)):
            verdict = await run_test(cases, place)
            _print(verdict)
            verdicts.append(verdict)
    return verdicts


def _print(verdict: Verdict) -> None:
    mark = click.style("FAILED", fg="red", bold=True) if verdict.mismatches else click.style("ok", fg="green")
    click.echo(f"  {mark}  {verdict.name}")
    for mismatch in verdict.mismatches:
        _explain(mismatch)


def _explain(mismatch: Mismatch) -> None:
    click.echo(f"    {mismatch.place}: {mismatch.what}")
    for line in lines(mismatch):
        click.echo(f"      {line}")


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError([Problem(str(path), 0, 0, f"cannot be written: {error.strerror}")]) from None


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"
