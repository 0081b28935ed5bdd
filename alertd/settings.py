"""What settings are made of: a strict table, durations, and secrets that never print themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, WithJsonSchema

from alertd.engine.durations import parse_duration


class Table(BaseModel):
    """A table of settings: frozen once read, and an unknown key is an error.

    Its validator is built when it is first needed: a command that reads rules alone needs none for the configuration.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False, defer_build=True)


def _seconds(value: object) -> int:
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError("write a duration like 30s, 5m, 2h or 7d")


def _secret(value: object) -> object:
    """The secret's text from `{ env = "NAME" }`, `{ file = "PATH" }` or a literal string."""
    if isinstance(value, dict):
        if set(value) == {"env"}:
            return _from_env(str(value["env"]))
        if set(value) == {"file"}:
            return _from_file(str(value["file"]))
        raise ValueError('write a secret as { env = "NAME" } or { file = "PATH" }')
    return value


def _from_env(name: str) -> str:
    text = os.environ.get(name, "")
    if not text:
        raise ValueError(f"the environment variable {name} is not set, or empty; export it or use {{ file = … }}")
    return text


def _from_file(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read the secret file {path}: {getattr(error, 'strerror', error)}") from None
    if not text:
        raise ValueError(f"the secret file {path} is empty")
    return text


Duration = Annotated[
    int,
    BeforeValidator(_seconds),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+[wdhms])+$", "examples": ["30s", "5m", "2h", "7d"]}),
]


def _named_secret(key: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key: {"type": "string"}},
        "required": [key],
        "additionalProperties": False,
    }


SECRET_FORMS: list[dict[str, Any]] = [{"type": "string"}, _named_secret("env"), _named_secret("file")]
"""How a secret may be written, as JSON Schemas."""
Secret = Annotated[SecretStr, BeforeValidator(_secret), WithJsonSchema({"anyOf": SECRET_FORMS})]
