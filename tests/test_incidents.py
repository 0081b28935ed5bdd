"""How soon incidents are found is measured with the real command, kept, and written into its page."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from alertd.config import load_rules
from alertd.history import HistoryFile
from benchmarks.incidentpage import figures, with_figures
from benchmarks.incidents import Fired, collated, rules_for
from benchmarks.staging import DAY, HOUR, QUICK, SETTINGS, START, Setting, staged, write_history

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "detection.md"
ORDINARY = Setting(seeds=1)


def history(size: int = 5000, minutes: float | None = 12.0, **others: object) -> dict[str, object]:
    """A history that was gone over, with one rule and one incident."""
    found = {"AnomalyByRegion": {"regional-outage": minutes}}
    none = {"AnomalyByRegion": 0}
    return {"size": size, "seed": 1, "clean_hours": 168, "false": none, "stray": none, "found": found} | others


@pytest.mark.timeout(300)  # two processes one after the other, on a machine that may be busy
def test_a_quick_run_keeps_what_it_found_and_writes_the_figures_of_the_page(tmp_path) -> None:
    page, results = tmp_path / "detection.md", tmp_path / "incidents.json"
    shutil.copy(PAGE, page)
    command = [sys.executable, "-m", "benchmarks.incidents", "--quick", "--results", str(results), "--page", str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    (kept,) = json.loads(results.read_text(encoding="utf-8"))
    assert kept["rooms"] > 300
    assert "### 400 rooms a day: 1 history" in page.read_text(encoding="utf-8")
    prose = PAGE.read_text(encoding="utf-8").partition("<!-- figures -->")[0]
    assert page.read_text(encoding="utf-8").startswith(prose)


def test_the_page_shows_all_that_was_kept() -> None:
    kept = json.loads((ROOT / "benchmarks" / "incidents.json").read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    assert with_figures(page, kept) == page
    assert {one["size"] for one in kept} == set(SETTINGS)


def test_the_page_explains_every_rule() -> None:
    prose = PAGE.read_text(encoding="utf-8").partition("<!-- figures -->")[0]
    rules = yaml.safe_load((ROOT / "benchmarks" / "incidents.yaml").read_text(encoding="utf-8"))["rules"]
    assert [rule["alert"] for rule in rules if f"`{rule['alert']}`" not in prose] == []


@pytest.mark.parametrize("setting", [QUICK, *SETTINGS.values()])
def test_the_rules_of_every_setting_are_valid(tmp_path, setting) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"rules": rules_for(setting)}), encoding="utf-8")
    assert load_rules([path]).rules


def test_the_history_can_be_read_back_and_is_known_at_full_minutes(tmp_path) -> None:
    play = staged(QUICK, 50, random.Random(1))
    written = write_history(tmp_path / "history.ndjson", play, 1)
    rooms = list(HistoryFile(tmp_path / "history.ndjson"))
    assert len(rooms) == written > 20
    assert all(room.known_at % 60 == 0 and room.ended < room.known_at <= room.ended + 1860 for room in rooms)
    assert any(room.participants for room in rooms)


def test_incidents_lie_apart_and_leave_the_first_days_clean() -> None:
    incidents = staged(ORDINARY, 200, random.Random(1)).incidents
    assert [one.name for one in incidents] == list(ORDINARY.incidents)
    assert incidents[0].begin >= START + 8 * DAY
    gaps = [after.begin - before.end for before, after in pairwise(incidents)]
    assert min(gaps) >= 18 * HOUR
    assert incidents[-1].end - incidents[-1].begin == 30 * HOUR


def test_an_alert_counts_for_an_incident_only_if_its_labels_fit_and_it_came_in_time() -> None:
    play = staged(QUICK, 200, random.Random(1))
    outage = play.incidents[0]
    fired = [
        Fired("Here", outage.begin + 600, {"media_region": "ie1"}),
        Fired("Here", outage.begin + 900, {"media_region": "ie1"}),
        Fired("Elsewhere", outage.begin + 600, {"media_region": "us1"}),
        Fired("TooLate", outage.end + HOUR + 60, {"media_region": "ie1"}),
        Fired("Before", outage.begin - 60, {"media_region": "ie1"}),
        Fired("Before", START + 60, {"media_region": "ie1"}),
    ]
    told = collated(QUICK, play, ["Here", "Elsewhere", "TooLate", "Before"], fired)
    assert {rule: found["regional-outage"] for rule, found in told["found"].items()} == {
        "Here": 10.0,
        "Elsewhere": None,
        "TooLate": None,
        "Before": None,
    }
    assert told["false"] == {"Here": 0, "Elsewhere": 0, "TooLate": 0, "Before": 1}
    assert told["stray"] == {"Here": 0, "Elsewhere": 1, "TooLate": 1, "Before": 0}


def test_a_bad_release_is_told_of_by_its_version_and_by_no_other() -> None:
    release = staged(ORDINARY, 200, random.Random(1)).incidents[4]
    assert release.fits({"sdk": "twilio-video.js 2.37.0"})
    assert not release.fits({"sdk": "twilio-video.js 2.35.0"})
    assert release.fits({"media_region": "us1"})


def test_a_cell_tells_the_median_with_its_spread_and_what_was_not_found() -> None:
    text = figures([history(), history(minutes=20.0), history(minutes=None, false={"AnomalyByRegion": 6})])
    assert "### 5,000 rooms a day: 3 histories, 3.0 clean weeks" in text
    assert "| AnomalyByRegion | **16 min** (12 to 20), 2 of 3 | 2.00 (6) | 0 |" in text


def test_sizes_have_tables_of_their_own_the_smallest_first() -> None:
    text = figures([history(), history(size=200, minutes=None)])
    assert text.index("### 200 rooms") < text.index("### 5,000 rooms")
    assert "| 0 of 1 |" in text
