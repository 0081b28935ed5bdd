"""What docs/testing.md shows is what `alertd test` does, and it names every key that a test may have."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from alertd.config.casetables import (
    AlertTable,
    CaseFile,
    CaseTable,
    EntryTable,
    ExpectTable,
    NotificationTable,
    OwnParticipantKeys,
    OwnRoomKeys,
)
from alertd.engine.groups import Reason

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/testing.md").read_text()
RULES, TESTS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
PASSING, FAILING = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path):
    """A folder with the page's files."""
    (tmp_path / "media.yaml").write_text(RULES)
    (tmp_path / "media.test.yaml").write_text(TESTS)
    return tmp_path


def without_seconds(text: str) -> str:
    return re.sub(r"\(\d+\.\d s\)", "(… s)", text)


def run(folder: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "alertd", "test", "media.test.yaml"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, without_seconds(done.stdout)


def test_the_example_passes_as_shown(folder):
    status, out = run(folder)
    assert (status, f"$ alertd test media.test.yaml\n{out}") == (0, without_seconds(PASSING))


def test_a_failure_looks_as_shown(folder):
    (folder / "media.test.yaml").write_text("""\
rules: media.yaml
tests:
  - name: one bad region pages once
    rooms:
      - every: 1m
        times: 60
        room: {media_region: au1}
        participants: [{count: 9}, {count: 1, end_reason: media_connection_failed}]
    expect: [{at: 12m, alerts: [{alert: MediaConnectionFailing, labels: {media_region: au1}}]}]
""")
    assert run(folder) == (1, without_seconds(FAILING))


@pytest.mark.parametrize(
    "table",
    [CaseFile, CaseTable, EntryTable, ExpectTable, AlertTable, NotificationTable, OwnRoomKeys, OwnParticipantKeys],
    ids=lambda table: table.__name__,
)
def test_every_key_is_explained(table):
    assert {name for name in table.model_fields if f"`{name}" not in PAGE and f"{name}:" not in PAGE} == set()


def test_every_reason_is_named():
    assert {reason for reason in get_args(Reason) if f"`{reason}`" not in PAGE} == {"test"}
