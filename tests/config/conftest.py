"""A small valid configuration, files written for one test, and the environment its secrets come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SID = "SK" + "a" * 32
CONFIG = """\
[[accounts]]
name = "production"
api_key = { env = "ALERTD_TEST_SID" }
api_key_secret = { env = "ALERTD_TEST_SECRET" }

[route]
receiver = "oncall"

[[receivers]]
name = "oncall"
[[receivers.console]]
"""
RULES = """\
rules:
  - alert: Failing
    match: {error_code: 53405}
    any: true
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets that the samples name; one is never set."""
    monkeypatch.setenv("ALERTD_TEST_SID", SID)
    monkeypatch.setenv("ALERTD_TEST_SECRET", "correct horse battery staple")
    monkeypatch.delenv("ALERTD_TEST_UNSET", raising=False)


@pytest.fixture
def config_text() -> str:
    """A valid configuration with as little as possible."""
    return CONFIG


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file into this test's folder; gives its path."""

    def put(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return put


@pytest.fixture
def config_file(write: Callable[[str, str], Path]) -> Callable[..., Path]:
    """Write a configuration (the small one by default) beside a folder with one rule."""

    def put(text: str = CONFIG, rules: str = RULES) -> Path:
        write("rules/one.yaml", rules)
        return write("alertd.toml", text)

    return put


@pytest.fixture
def rule_file(write: Callable[[str, str], Path]) -> Callable[[str], Path]:
    """Write a rule file in YAML."""
    return lambda text: write("rules.yaml", text)
