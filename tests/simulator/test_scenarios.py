"""Each shipped scenario does what it says, and nothing else: counted over its window, beside an ordinary run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from alertd.cli.simulate import plan
from alertd.simulator.faultkinds import fault_keys
from alertd.simulator.scenario import load_scenario, scenario_names

DAY, HOUR, MINUTE = 86_400, 3_600, 60
NORMAL = {None, 53118, 53216}


@pytest.fixture
def rooms(traffic, noon: int) -> Callable[..., list]:
    """Calls with their sessions that start between two offsets (seconds) from the simulator's start."""

    def between(name: str, since: int, before: int, **options) -> list:
        calls = traffic(name, **options)
        return [(call, calls.sessions(call)) for call in calls.oldest_first(noon + since, noon + before)]

    return between


def failing(rooms: list, *codes: int) -> float:
    """The share of participants that ended with one of these codes, or with any failure."""
    ends = [session.ending.code for _, sessions in rooms for session in sessions]
    return sum(code in codes if codes else code not in NORMAL for code in ends) / max(1, len(ends))


@pytest.mark.parametrize("name", scenario_names())
def test_before_it_begins_a_scenario_is_an_ordinary_day(rooms, name: str) -> None:
    """Calls that are over before the first event are those of a clean run, one by one."""
    volume = load_scenario(name).rooms_per_day
    usual = rooms("clean", -8 * HOUR, -5 * HOUR, rooms_per_day=volume)
    ours = rooms(name, -8 * HOUR, -5 * HOUR, rooms_per_day=volume)
    assert len(usual) > 100
    over = [n for n, (call, _) in enumerate(usual) if call.ended < call.created + 4 * HOUR]
    assert [ours[n] for n in over] == [usual[n] for n in over]


@pytest.mark.parametrize("name", scenario_names())
def test_scenarios_name_failures_as_twilio_does(name: str) -> None:
    reasons = json.loads((Path(__file__).parent / "end_reasons.json").read_text())
    for incident in load_scenario(name).incidents:
        assert incident.end_reason == reasons[str(incident.error_code)]


def test_regional_outage_fails_one_region_for_its_time_and_no_other(rooms) -> None:
    before = rooms("regional-outage", -3 * HOUR, -HOUR)
    during = rooms("regional-outage", 10 * MINUTE, 50 * MINUTE)
    after = rooms("regional-outage", 50 * MINUTE, 3 * HOUR)
    hit = [pair for pair in during if pair[0].region.name == "ie1"]
    spared = [pair for pair in during if pair[0].region.name != "ie1"]
    assert len(hit) > 30
    assert failing(hit, 53405) > 0.5
    assert failing(spared) < 0.02
    assert failing(before) < 0.02
    assert failing(after) < 0.02


def test_short_outage_is_over_after_twenty_minutes(rooms) -> None:
    def in_the_region(since: int, before: int) -> float:
        return failing([pair for pair in rooms("short-outage", since, before) if pair[0].region.name == "ie1"], 53405)

    assert in_the_region(4 * MINUTE, 24 * MINUTE) > 0.5
    assert in_the_region(24 * MINUTE, 3 * HOUR) < 0.03


def test_an_incident_also_ends_calls_that_were_already_going_on(rooms, noon: int) -> None:
    open_before = [
        sessions
        for call, sessions in rooms("regional-outage", -HOUR, 10 * MINUTE)
        if call.region.name == "ie1" and call.talk_end > noon + 30 * MINUTE
    ]
    struck = [s for sessions in open_before for s in sessions if s.ending.code == 53405]
    assert len(struck) > 10
    assert all(noon + 10 * MINUTE <= s.left <= noon + 50 * MINUTE for s in struck)


def test_bad_sdk_release_appears_at_a_growing_share_and_fails(rooms) -> None:
    def share(since: int, before: int) -> float:
        web = [
            session.client.version
            for _, sessions in rooms("bad-sdk-release", since, before)
            for session in sessions
            if session.client.sdk == "twilio-video.js"
        ]
        return web.count("2.37.0") / len(web)

    assert share(-4 * HOUR, 0) == 0
    assert share(HOUR, 2 * HOUR) == pytest.approx(0.11, abs=0.05)
    assert share(8 * HOUR, 11 * HOUR) == pytest.approx(0.5, abs=0.06)

    later = rooms("bad-sdk-release", 6 * HOUR, 9 * HOUR)
    ends = [(s.client.version, s.ending.code) for _, sessions in later for s in sessions]
    new = [code for version, code in ends if version == "2.37.0"]
    old = [code for version, code in ends if version != "2.37.0"]
    assert new.count(53402) / len(new) > 0.2
    assert old.count(53402) / len(old) < 0.005


def test_slow_burn_creeps_from_one_to_four_percent_over_a_day(rooms) -> None:
    before, morning, end = (failing(rooms("slow-burn", since * HOUR, (since + 6) * HOUR)) for since in (-7, 9, 24))
    assert before < 0.012
    assert before < morning < end
    assert end == pytest.approx(0.04, abs=0.012)


def test_turn_failure_hits_every_region_with_turn_and_media_failures(rooms) -> None:
    before, during = rooms("turn-failure", -6 * HOUR, -3 * HOUR), rooms("turn-failure", 10 * MINUTE, 70 * MINUTE)
    assert failing(during, 53501) > 0.1
    assert failing(during, 53405) > 0.05
    assert failing(before, 53501, 53405) < 0.01
    for region in ("us1", "ie1", "de1"):
        assert failing([pair for pair in during if pair[0].region.name == region], 53501, 53405) > 0.1


def test_turn_failures_strike_while_joining(rooms) -> None:
    stays = [
        session.left - session.joined
        for _, sessions in rooms("turn-failure", 10 * MINUTE, 70 * MINUTE)
        for session in sessions
        if session.ending.code == 53501
    ]
    assert stays
    assert max(stays) <= 30


def test_big_room_storm_is_many_participants_of_one_room_only(rooms) -> None:
    during = rooms("big-room-storm", 0, 2 * HOUR)
    failures = Counter(
        call.sid for call, sessions in during for session in sessions if session.ending.code not in NORMAL
    )
    (storm, most), *rest = failures.most_common()
    [(hall, people)] = [pair for pair in during if pair[0].name == "town-hall"]
    assert storm == hall.sid
    assert len(people) == 50
    assert most > 30
    assert len(rest) / len(during) < 0.03


def test_blip_drops_signalling_for_three_minutes_and_most_come_back(rooms, noon: int) -> None:
    pairs = rooms("blip", -2 * HOUR, 2 * HOUR)
    dropped = [(sessions, s) for _, sessions in pairs for s in sessions if s.ending.code == 53001]
    inside = [pair for pair in dropped if noon + 20 * MINUTE <= pair[1].left <= noon + 23 * MINUTE]
    assert len(inside) > 100
    assert len(dropped) - len(inside) < 20
    returned = [s for sessions, s in inside if any(t.identity == s.identity and t.joined > s.left for t in sessions)]
    assert len(returned) / len(inside) > 0.4


def test_in_a_silence_no_room_starts_and_afterwards_all_is_as_usual(rooms) -> None:
    assert rooms("silence", 10 * MINUTE, 130 * MINUTE) == []
    assert rooms("silence", -2 * HOUR, 10 * MINUTE) == rooms("clean", -2 * HOUR, 10 * MINUTE)
    assert rooms("silence", 131 * MINUTE, 4 * HOUR) == rooms("clean", 131 * MINUTE, 4 * HOUR)


@pytest.mark.parametrize("name", ["clean", "api-trouble", "foul-weather"])
def test_without_incidents_nothing_stands_out(rooms, name: str) -> None:
    assert failing(rooms(name, 0, 12 * HOUR)) < 0.012


def test_foul_weather_has_every_kind_of_fault_there_is_and_every_hour_of_its_week_several() -> None:
    faults = load_scenario("foul-weather").faults
    assert {fault.kind for fault in faults} == set(fault_keys())
    assert all(sum(fault.covers(hour * HOUR) for fault in faults) >= 10 for hour in range(7 * 24))


def test_the_plan_says_of_each_fault_its_kind_and_what_was_said_of_it(noon: int) -> None:
    lines = plan(load_scenario("foul-weather"), noon)
    assert "  fault revoked: 03-04 12:00 UTC to 03-04 12:20 UTC" in lines
    assert "  fault late (share 0.01, after 20m, up_to 5h): 03-02 12:00 UTC to 03-09 12:00 UTC" in lines
    assert len(lines) == len(load_scenario("foul-weather").faults)
