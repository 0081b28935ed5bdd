"""Whatever strangers send that the documents of the APIs allow, or nearly, the daemon answers it and does not break."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest


class Daemon(Protocol):
    """An alertd as a process; see conftest."""

    address: str
    log: str

    def start(self) -> None:
        """Until it answers."""

    def stop(self) -> None:
        """In order."""


ALERTMANAGER = Path(__file__).parent.parent / "data/alertmanager_v2_openapi.yaml"
"""Alertmanager's own document of its API v2 (prometheus/alertmanager, api/v2/openapi.yaml, Apache License 2.0)."""


@pytest.fixture(scope="module")
def daemon(daemon_in: Callable[[Path], Daemon], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running alertd."""
    running = daemon_in(tmp_path_factory.mktemp("daemon"))
    running.start()
    yield running.address
    running.stop()
    assert "Traceback" not in running.log


def attacked(document: str, url: str, folder: Path, *checks: str) -> str:
    """What schemathesis says in the end; an empty text if it found nothing."""
    program = shutil.which("schemathesis", path=Path(sys.executable).parent) or "schemathesis"
    words = ["run", document, "--url", url, "--checks", ",".join(checks), "--max-examples", "15", "--seed", "1"]
    words += ["--phases", "examples,coverage,fuzzing", "--generation-database", "none"]
    run = subprocess.run([program, *words], check=False, cwd=folder, capture_output=True, text=True, timeout=110)
    return "" if run.returncode == 0 else run.stdout[-4000:] + run.stderr[-1000:]


@pytest.mark.timeout(120)
def test_alertmanagers_api_never_answers_that_it_failed(daemon, tmp_path):
    assert attacked(str(ALERTMANAGER), f"{daemon}/api/v2", tmp_path, "not_a_server_error") == ""


@pytest.mark.timeout(120)
def test_nor_does_alertds_own_and_what_it_answers_is_as_its_document_says(daemon, tmp_path):
    checks = ("not_a_server_error", "status_code_conformance", "response_schema_conformance")
    assert attacked(f"{daemon}/api/openapi.json", daemon, tmp_path, *checks) == ""
