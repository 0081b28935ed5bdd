"""What settings are made of: secrets come from where they are kept and never print themselves."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from alertd.settings import Duration, Secret, Table


class Settings(Table):
    key: Secret
    every: Duration = 60


def complaint(**values: object) -> str:
    with pytest.raises(ValidationError) as refused:
        Settings(**values)  # type: ignore[arg-type]
    (error,) = refused.value.errors()
    return str(error["msg"])


def test_a_secret_is_a_text_or_comes_from_the_environment_or_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_KEY", "hunter2")
    (tmp_path / "key").write_text("hunter3\n")
    assert Settings(key="hunter1").key.get_secret_value() == "hunter1"
    assert Settings(key={"env": "SOME_KEY"}).key.get_secret_value() == "hunter2"
    assert Settings(key={"file": str(tmp_path / "key")}).key.get_secret_value() == "hunter3"


def test_a_secret_does_not_print_itself():
    assert "hunter1" not in f"{Settings(key='hunter1')!r} {Settings(key='hunter1')}"


def test_a_secret_that_is_not_there_says_where_it_was_looked_for(tmp_path):
    assert "NOT_SET_ANYWHERE is not set" in complaint(key={"env": "NOT_SET_ANYWHERE"})
    assert str(tmp_path / "none") in complaint(key={"file": str(tmp_path / "none")})
    (tmp_path / "empty").write_text("\n")
    assert "is empty" in complaint(key={"file": str(tmp_path / "empty")})
    assert '{ env = "NAME" }' in complaint(key={"vault": "x"})


def test_a_duration_without_a_unit_is_refused():
    assert Settings(key="k", every="2h").every == 7200
    assert "30s, 5m, 2h or 7d" in complaint(key="k", every=60)
    assert "30s, 5m, 2h or 7d" in complaint(key="k", every="soon")
