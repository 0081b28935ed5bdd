"""Traffic is always the same for the same seed, whatever is asked for first, and an ordinary week is believable."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from alertd.simulator.scenario import Gathering, Pause, Scenario

DAY, HOUR = 86_400, 3_600
NORMAL = {None, 53118, 53216}  # no error; the room was completed; the session reached its allowed length


def test_the_same_seed_gives_the_same_rooms_whatever_is_asked_first(traffic, noon: int) -> None:
    forwards, backwards = traffic(), traffic()
    first = list(forwards.oldest_first(noon - 6 * HOUR, noon))
    list(backwards.newest_first(noon + DAY, noon + DAY + HOUR))
    pieces = [list(backwards.oldest_first(noon - n * HOUR, noon - (n - 1) * HOUR)) for n in range(1, 7)]
    assert [call for piece in reversed(pieces) for call in piece] == first
    assert [forwards.sessions(call) for call in first[:50]] == [backwards.sessions(call) for call in first[:50]]


def test_another_seed_gives_other_rooms(traffic, noon: int) -> None:
    one = {call.sid for call in traffic(seed=1).oldest_first(noon - HOUR, noon)}
    two = {call.sid for call in traffic(seed=2).oldest_first(noon - HOUR, noon)}
    assert one
    assert not one & two


def test_both_directions_hold_the_same_rooms(traffic, noon: int) -> None:
    oldest, newest = traffic(), traffic()
    rising = list(oldest.oldest_first(noon - 2 * HOUR, noon + 17))
    assert rising == list(newest.newest_first(noon - 2 * HOUR, noon + 17))[::-1]
    assert [call.created for call in rising] == sorted(call.created for call in rising)


def test_the_stretch_includes_its_beginning_and_excludes_its_end(traffic, noon: int) -> None:
    calls = traffic()
    some = list(calls.oldest_first(noon - HOUR, noon))[3]
    assert some in list(calls.oldest_first(some.created, some.created + 1))
    assert some not in list(calls.oldest_first(some.created - 60, some.created))
    assert some not in list(calls.oldest_first(some.created + 0.5, some.created + 60))


def test_a_room_is_found_by_its_sid_alone(traffic, noon: int) -> None:
    known = list(traffic().oldest_first(noon - HOUR, noon))[5]
    calls = traffic()
    assert calls.find(known.sid, noon - DAY, noon) == known
    assert calls.find(known.sid, noon + HOUR, noon + DAY) is None
    assert calls.find("RM" + "0" * 32, noon - DAY, noon) is None
    assert calls.find("not a sid", noon - DAY, noon) is None


def test_rooms_fall_out_of_memory_and_come_back_the_same(traffic, noon: int) -> None:
    calls = traffic(rooms_per_day=6000)
    before = list(calls.oldest_first(noon - 600, noon))
    for hour in range(1, 60, 4):
        list(calls.oldest_first(noon - (hour + 4) * HOUR, noon - hour * HOUR))
    again = list(calls.oldest_first(noon - 600, noon))
    assert again == before
    assert again[0] is not before[0]


def test_a_week_has_the_rooms_asked_for(traffic, noon: int) -> None:
    week = list(traffic(rooms_per_day=1000).oldest_first(noon - 7 * DAY, noon))
    assert len(week) == pytest.approx(7000, rel=0.05)
    assert len({call.sid for call in week}) == len(week)


@pytest.fixture(scope="module")
def ordinary_week() -> dict[str, list]:
    """Calls of an ordinary week, and each with its sessions."""
    from alertd.simulator.scenario import load_scenario
    from alertd.simulator.traffic import Traffic

    noon = 1_772_452_800
    clean = load_scenario("clean").model_copy(update={"rooms_per_day": 3000})
    calls = Traffic(clean, account_sid="AC" + "0" * 32, seed=7, start=noon)
    week = list(calls.oldest_first(noon - 7 * DAY, noon))
    return {"calls": week, "rooms": [(call, calls.sessions(call)) for call in week]}


def test_most_rooms_are_of_two_and_none_has_more_people_than_seats(ordinary_week) -> None:
    sizes = Counter(call.people for call in ordinary_week["calls"])
    whole = len(ordinary_week["calls"])
    assert sizes[2] / whole > 0.6
    assert 0.05 < sum(count for size, count in sizes.items() if 4 <= size <= 10) / whole < 0.2
    assert any(size >= 40 for size in sizes)
    assert all(call.concurrent <= 50 for call in ordinary_week["calls"])


def test_rooms_nobody_joined_time_out_after_five_minutes(ordinary_week) -> None:
    empty = [call for call in ordinary_week["calls"] if call.people == 0]
    assert 0.01 < len(empty) / len(ordinary_week["calls"]) < 0.04
    outcome = {(call.ended - call.created, call.end_reason, call.created_method, call.talked) for call in empty}
    assert outcome == {(300, "timeout", "api", 0)}


def test_rooms_last_from_a_minute_to_a_day(ordinary_week) -> None:
    lengths = sorted(call.ended - call.created for call in ordinary_week["calls"])
    assert 60 <= lengths[0] < 120
    assert 900 < lengths[len(lengths) // 2] < 2400
    assert 12 * HOUR < lengths[-1] <= DAY


def test_everybody_is_in_the_room_while_it_lasts(ordinary_week) -> None:
    for call, sessions in ordinary_week["rooms"]:
        assert all(call.created <= s.joined <= s.left <= call.ended for s in sessions), call.sid
        assert call.concurrent <= call.people == len(sessions)


def test_failures_are_a_low_background_of_well_under_a_hundredth(ordinary_week) -> None:
    codes = Counter(s.ending.code for _, sessions in ordinary_week["rooms"] for s in sessions)
    failed = sum(count for code, count in codes.items() if code not in NORMAL)
    assert 0.005 < failed / codes.total() < 0.01
    assert codes.most_common(4)[-1][0] in {53405, 53216, 53001}
    assert {53405, 53001, 53002, 53000, 53205} <= set(codes)


def test_failures_cluster_in_rooms(ordinary_week) -> None:
    shared = [sessions for _, sessions in ordinary_week["rooms"] if len(sessions) > 1]
    failing = [sum(s.ending.code not in NORMAL for s in sessions) for sessions in shared]
    bad = [count for count in failing if count]
    assert 0.005 < len(bad) / len(failing) < 0.02
    assert sum(count > 1 for count in bad) / len(bad) > 0.3


def test_a_clean_week_holds_no_incident_in_any_hour_region_or_sdk(ordinary_week) -> None:
    slices: dict[tuple[str, object], list[bool]] = defaultdict(list)
    for call, sessions in ordinary_week["rooms"]:
        bad = any(s.ending.code not in NORMAL for s in sessions)
        slices["hour", call.ended // HOUR].append(bad)
        slices["region and half day", (call.region.name, call.ended // DAY)].append(bad)
        for sdk in {(s.client.sdk, s.client.version) for s in sessions}:
            slices["sdk", sdk].append(bad)
    large = {name: sum(bad) / len(bad) for name, bad in slices.items() if len(bad) >= 100}
    assert len(large) > 100
    assert max(large.values()) < 0.07


def test_duplicate_identities_come_back_as_another_participant_of_the_same_name(ordinary_week) -> None:
    for call, sessions in ordinary_week["rooms"]:
        for session in sessions:
            if session.ending.code == 53205 and session.left < call.talk_end - 60:
                again = [s for s in sessions if s.identity == session.identity and s.joined > session.left]
                assert again, call.sid
                assert again[0].sid != session.sid


def test_summaries_settle_mostly_within_ten_minutes_and_never_after_thirty(ordinary_week) -> None:
    delays = sorted(call.settled - call.ended for call in ordinary_week["calls"])
    share = sum(180 <= delay <= 600 for delay in delays) / len(delays)
    assert share > 0.75
    assert delays[-1] <= 1800
    gave_up = [call for call in ordinary_week["calls"] if call.gave_up]
    assert 0.001 < len(gave_up) / len(delays) < 0.006


def test_a_pause_removes_its_share_of_rooms_and_touches_no_other(traffic, noon: int) -> None:
    half = Pause.model_validate({"at": "1h", "for": "2h", "share": 0.5})
    paused, usual = traffic(Scenario(name="quiet", pauses=(half,))), traffic()
    rest = {call.sid for call in paused.oldest_first(noon, noon + DAY)}
    everything = list(usual.oldest_first(noon, noon + DAY))
    missing = [call for call in everything if call.sid not in rest]
    assert all(noon + HOUR <= call.created < noon + 3 * HOUR for call in missing)
    inside = sum(noon + HOUR <= call.created < noon + 3 * HOUR for call in everything)
    assert len(missing) / inside == pytest.approx(0.5, abs=0.1)
    assert len(rest) + len(missing) == len(everything)


def test_a_gathering_is_one_more_room_as_large_and_where_it_was_asked_for(traffic, noon: int) -> None:
    what = {"at": "30m", "for": "1h", "participants": 40, "room_name": "all hands", "media_region": "jp1"}
    calls = traffic(Scenario(name="big", gatherings=(Gathering.model_validate(what),)))
    [room] = [call for call in calls.oldest_first(noon, noon + HOUR) if call.name == "all hands"]
    assert (room.created, room.region.name, room.people) == (noon + 1800, "jp1", 40)
    assert calls.find(room.sid, noon, noon + HOUR) is room
