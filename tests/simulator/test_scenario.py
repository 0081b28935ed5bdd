"""Scenarios are read from TOML, by name or by path, and every mistake is named with its file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from alertd.errors import InputError
from alertd.simulator.scenario import load_scenario, parse_scenario, scenario_names

MINIMAL = 'name = "mine"\n[[incidents]]\nat = "5m"\nfor = "1h"\nrooms = 0.5\nerror_code = 53001\n'


def complaints(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse_scenario(text, "mine.toml")
    assert all(problem.file == "mine.toml" for problem in caught.value.problems)
    return [problem.message for problem in caught.value.problems]


def test_all_shipped_scenarios_load_under_their_own_names_and_say_what_happens() -> None:
    assert {"clean", "regional-outage", "bad-sdk-release", "slow-burn", "turn-failure"} <= set(scenario_names())
    assert {"big-room-storm", "blip", "silence", "api-trouble", "foul-weather"} <= set(scenario_names())
    for name in scenario_names():
        scenario = load_scenario(name)
        assert scenario.name == name
        assert scenario.description.endswith(".")


def test_a_file_of_ones_own_is_read_with_durations_in_seconds(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(MINIMAL)
    [incident] = load_scenario(str(file)).incidents
    assert (incident.at, incident.lasts, incident.rooms, incident.participants) == (300, 3600, 0.5, 0.7)
    assert (incident.error_code, incident.end_reason, incident.where.media_region) == (53001, None, None)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"regional-outgae: no scenario of this name; there are .*regional-outage"):
        load_scenario("regional-outgae")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(InputError, match=r"/nowhere/mine\.toml: cannot be read: No such file"):
        load_scenario("/nowhere/mine.toml")


def test_a_folder_is_not_a_scenario(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_scenario(str(tmp_path))


def test_broken_toml_is_told_with_line_and_column() -> None:
    with pytest.raises(InputError) as caught:
        parse_scenario('name = "mine"\nrooms_per_day = = 3\n', "mine.toml")
    assert str(caught.value).startswith("mine.toml:2:17: not valid TOML")


def test_every_wrong_key_is_told_at_once() -> None:
    text = MINIMAL.replace('at = "5m"', "at = 5").replace("rooms = 0.5", "rooms = 1.5") + "colour = 3\n"
    assert complaints(text) == [
        "incidents[0].at: write a duration like 30s, 5m, 2h or 7d",
        "incidents[0].colour: unknown key",
        "incidents[0].rooms: Input should be less than or equal to 1",
    ]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("name = ", "title = "), "name: is missing"),
        (('for = "1h"\n', ""), "incidents[0].for: is missing"),
        (('for = "1h"', 'for = "0s"'), "incidents[0].for: Input should be greater than 0"),
        (("error_code = 53001\n", ""), "incidents[0]: needs an end_reason or an error_code"),
        (("rooms = 0.5", "rooms = 0.5\nwhere = { planet = 'mars' }"), "incidents[0].where.planet: unknown key"),
        (("rooms = 0.5", "rooms = 0.5\nduring = 'lunch'"), "incidents[0].during: Input should be 'joining' or 'call'"),
    ],
)
def test_a_mistake_is_told_by_its_key(change: tuple[str, str], complaint: str) -> None:
    assert complaint in complaints(MINIMAL.replace(*change))


FAULT = 'name = "mine"\n[[faults]]\nat = "5m"\nfor = "1h"\n'


def test_a_fault_that_does_not_say_its_kind_is_a_status() -> None:
    [fault] = parse_scenario(FAULT + "status = 503", "mine.toml").faults
    assert (fault.kind, fault.status, fault.share, fault.retry_after) == ("status", 503, 1.0, None)


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        (
            'kind = "hail"',
            (
                "faults[0]: there is no kind hail; there are status, html, stall, reset, truncated, drip, revoked, "
                "repeated_link, shifting, twice, malformed, late, vanishing, changing, drift, skew"
            ),
        ),
        (
            'kind = "stall"\nseconds = 1\nretry_after = 3',
            "faults[0].retry_after: unknown key; a fault of kind stall has at, for, kind, seconds, share",
        ),
        ('kind = "revoked"\nshare = 0.5', "faults[0].share: unknown key; a fault of kind revoked has at, for, kind"),
        ('kind = "drip"', "faults[0].seconds: is missing"),
        ("", "faults[0].status: is missing"),
        ("status = 200", "faults[0].status: Input should be greater than or equal to 400"),
        ('status = 429\nretry_after_as = "date"', "faults[0]: retry_after_as needs a retry_after"),
        ('kind = "html"\nstatus = 204', "faults[0]: status must be 200 or from 400 to 599"),
        ('kind = "late"\nafter = "2h"\nup_to = "1h"', "faults[0]: up_to must not be less than after"),
        ('kind = "late"\nafter = 60', "faults[0].after: write a duration like 30s, 5m, 2h or 7d"),
        ('kind = "skew"\nseconds = 100_000', "faults[0].seconds: Input should be less than or equal to 86400"),
        ('kind = "truncated"\nhow = "so"', "faults[0].how: Input should be 'short', 'json' or 'either'"),
    ],
)
def test_a_mistake_in_a_fault_is_told_by_its_key_and_kind(keys: str, complaint: str) -> None:
    assert complaints(FAULT + keys) == [complaint]
