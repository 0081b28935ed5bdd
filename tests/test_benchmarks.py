"""The benchmarks' command measures everything in a tiny setting, and its page says plainly what was reached."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import rooms
from benchmarks.figures import figures
from benchmarks.report import page
from benchmarks.rounds import ratio
from benchmarks.server import served, set_now

pytestmark = pytest.mark.timeout(300)  # a dozen processes one after the other, on a machine that may be busy
ROOT = Path(__file__).parent.parent
ABOUT = {"date": "2026-03-02", "seconds": 90.0, "rounds": 2, "machine": "a machine"}


def fetching(rates: dict[str, list[float]]) -> dict[str, object]:
    """Results in which contenders fetched so many rooms a second."""
    runs = {
        name: [{"rooms": rate, "seconds": 1.0, "cpu": 0.1, "server_cpu": 0.2} for rate in each]
        for name, each in rates.items()
    }
    return {"fetching": {"found": {"rooms": 10, "runs": runs}, "about": ABOUT}}


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> Path:
    """The folder into which a quick run of the whole command wrote."""
    folder = tmp_path_factory.mktemp("benchmarks")
    command = [sys.executable, "-m", "benchmarks", "--quick", "--output", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_command_measures_every_part_and_writes_table_picture_and_rounds(quick) -> None:
    text = (quick / "README.md").read_text(encoding="utf-8")
    for what in ("whole path", "CPU a room", "API calls a settled room", "a participant and rule", "on disk", "memory"):
        assert what in text
    assert "server's share of a core" in text
    picture = ET.parse(quick / "figures.svg").getroot()
    assert picture.tag.endswith("svg")
    measured = json.loads((quick / "results.json").read_text(encoding="utf-8"))
    assert set(measured) == {"fetching", "calls", "judging", "conditions", "ingest", "memory"}


def test_all_contenders_fetch_the_same_number_of_participants_a_room(quick) -> None:
    runs = json.loads((quick / "results.json").read_text(encoding="utf-8"))["fetching"]["found"]["runs"]
    fetched = [run for name, each in runs.items() if not name.startswith("wrk") for run in each]
    assert fetched
    assert {run["people"] / run["rooms"] for run in fetched} == {rooms.PEOPLE}


def test_a_missed_goal_is_said_plainly() -> None:
    text = page(fetching({"whole 32 30ms": [100, 100], "script 1 30ms": [10, 10]}))
    (row,) = [line for line in text.splitlines() if "whole path" in line and "|" in line]
    assert "10.0x" in row
    assert "**no**" in row


def test_what_is_compared_with_wrk_is_marked_where_wrk_is_missing() -> None:
    results = fetching({"fetch 32 30ms": [900.0]})
    results["fetching"]["found"]["runs"]["wrk 32 30ms"] = [None]
    (figure,) = [figure for figure in figures(results) if "wrk" in figure.against]
    assert "not measured" in figure.against
    assert figure.reached is None


def test_ratios_are_taken_within_rounds() -> None:
    """A machine that is twice as slow in the second round changes no ratio."""
    assert ratio([100, 50, 80], [10, 5, 8]) == (10, 10, 10)


def test_the_server_shows_only_rooms_that_have_settled_by_the_time_it_was_told() -> None:
    from urllib.request import urlopen

    first = 1_772_409_600

    def listed(base: str) -> list[dict[str, object]]:
        with urlopen(f"{base}/v1/Video/Rooms?PageSize=1000&CreatedAfter=2026-03-02T00:00:00Z") as answer:
            return json.load(answer)["rooms"]

    with served(first=first, step=60) as base:
        assert listed(base) == []
        set_now(base, first + 600 + rooms.LASTS + rooms.SETTLES)
        found = listed(base)
    assert len(found) == 11
    assert found[10]["create_time"] == "2026-03-02T00:10:00Z"
    assert [rooms.room_number(str(room["room_sid"])) for room in found] == list(range(11))
