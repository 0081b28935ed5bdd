"""What goes wrong in a simulation and when: scenarios as TOML, those that ship by name and anybody's own by path."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from alertd.errors import InputError, Problem
from alertd.settings import Table
from alertd.simulator.events import Event, Share
from alertd.simulator.faultkinds import Fault, fault_keys

_SHIPPED = resources.files(__package__) / "scenarios"
_TOML_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)")
_COMPLAINTS = {"extra_forbidden": "unknown key", "missing": "is missing"}


class Where(Table):
    """Which participants an incident can touch; what is left out can be anything."""

    media_region: str | None = None
    room_type: str | None = None
    room_name: str | None = None
    edge_location: str | None = None
    sdk: str | None = None
    sdk_version: str | None = None


class Incident(Event):
    """Trouble: of the rooms that are open (`rooms`: a share, moving to `rooms_by_end`), some participants fail.

    `participants` is the share of those it can touch in a room it hits, at least one. `during = "joining"` strikes only
    who joins meanwhile, at once; `"call"` strikes whoever is in the room. `rejoin` is the share of those who come back.
    """

    where: Where = Where()
    during: Literal["joining", "call"] = "call"
    rooms: Share
    rooms_by_end: Share | None = None
    participants: Share = 0.7
    end_reason: str | None = None
    error_code: int | None = None
    rejoin: Share = 0.0

    @model_validator(mode="after")
    def _has_a_symptom(self) -> Self:
        if self.end_reason is None and not self.error_code:
            raise ValueError("needs an end_reason or an error_code")
        return self


class Release(Event):
    """A new SDK version: its share of the SDK's participants grows from 0 to `share` in this time, and stays."""

    sdk: str
    version: str
    share: Share


class Pause(Event):
    """A stretch in which this share of the usual rooms does not start."""

    share: Share = 1.0


class Gathering(Event):
    """One large room that starts at this moment."""

    participants: int = Field(ge=1, le=50)
    room_name: str = Field(min_length=1, max_length=128)
    media_region: str | None = None


class Scenario(Table):
    """A simulated week: how much traffic there is, and everything that deviates from an ordinary one."""

    name: str
    description: str = ""
    rooms_per_day: float = Field(default=5000, ge=0, le=2_000_000)
    incidents: tuple[Incident, ...] = ()
    releases: tuple[Release, ...] = ()
    pauses: tuple[Pause, ...] = ()
    gatherings: tuple[Gathering, ...] = ()
    faults: tuple[Fault, ...] = ()


def scenario_names() -> list[str]:
    """The names of the scenarios that ship, sorted."""
    return sorted(file.name.removesuffix(".toml") for file in _SHIPPED.iterdir() if file.name.endswith(".toml"))


def load_scenario(name_or_path: str) -> Scenario:
    """The shipped scenario of this name, or the one in this TOML file; InputError names every wrong key."""
    if name_or_path in scenario_names():
        return parse_scenario((_SHIPPED / f"{name_or_path}.toml").read_text(encoding="utf-8"), name_or_path)
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.exists():
        known = ", ".join(scenario_names())
        raise _complaint(name_or_path, f"no scenario of this name; there are {known}, or give the path of a .toml file")
    try:
        return parse_scenario(path.read_text(encoding="utf-8"), name_or_path)
    except (OSError, UnicodeDecodeError) as error:
        raise _complaint(name_or_path, f"cannot be read: {getattr(error, 'strerror', error)}") from None


def parse_scenario(text: str, file: str) -> Scenario:
    """The scenario written in `text`; `file` is the name that errors (InputError) give."""
    try:
        return Scenario.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        found = _TOML_PLACE.search(str(error))
        line, column = (int(found[1]), int(found[2])) if found else (0, 0)
        message = f"not valid TOML: {_TOML_PLACE.sub('', str(error))}"
        raise InputError([Problem(file, line, column, message)]) from None
    except ValidationError as error:
        raise InputError([Problem(file, 0, 0, _said(row)) for row in error.errors()]) from None


def _complaint(file: str, message: str) -> InputError:
    return InputError([Problem(file, 0, 0, message)])


def _said(mistake: ErrorDetails) -> str:
    loc, kind = mistake["loc"], mistake["type"]
    told = _COMPLAINTS.get(kind, mistake["msg"].removeprefix("Value error, "))
    if loc[0] == "faults" and len(loc) > 1:
        told = _said_of_fault(mistake, told)
        loc = loc[:2] + loc[3:]  # the third is the kind, which is not in the file as a key
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    return f"{key}: {told}"


def _said_of_fault(mistake: ErrorDetails, told: str) -> str:
    keys = fault_keys()
    if mistake["type"] == "union_tag_invalid":
        return f"there is no kind {mistake['ctx']['tag']}; there are {', '.join(keys)}"
    if mistake["type"] == "extra_forbidden":
        kind = str(mistake["loc"][2])
        return f"{told}; a fault of kind {kind} has {', '.join(keys[kind])}"
    return told
