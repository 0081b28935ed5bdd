"""What becomes of rooms: listed late, gone, corrected after they were complete, drifted; and what a client that misses
nothing can have counted of them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from alertd.simulator.calls import Call, Session
from alertd.simulator.fates import countable, final_people
from alertd.simulator.summaries import room_summary

ROOMS = "/v1/Video/Rooms"
HOUR, DAY = 3_600, 86_400
SINCE = {"CreatedAfter": "2026-03-02T06:00:00Z", "PageSize": "1000"}
NEW_WORDS = {"archived", "enriching", "xx9"}

Struck = Callable[..., list[tuple[Call, Call, list[Session]]]]


@pytest.fixture
def struck(traffic, weather, account: str, noon: int) -> Struck:
    """Calls of the six hours after noon: as they would be, as the faults have them, and those sessions."""

    def make(*faults: dict, seed: int = 1) -> list[tuple[Call, Call, list[Session]]]:
        usual, ours = (traffic(weather(*some), seed=seed, account=account) for some in ((), faults))
        pairs = zip(*(t.oldest_first(noon, noon + 6 * HOUR) for t in (usual, ours)), strict=True)
        return [(one, other, ours.sessions(other)) for one, other in pairs]

    return make


def found(rooms: list[dict], call: Call) -> bool:
    return any(room["room_sid"] == call.sid for room in rooms)


# Late


async def test_a_late_room_is_neither_listed_nor_found_until_its_time(simulator, weather, struck, noon: int) -> None:
    late = {"kind": "late", "after": "3h"}
    call = next(call for _, call, _ in struck(late) if call.settled < noon + 2 * HOUR)
    server = await simulator(weather(late), rooms_per_day=5000)
    path = f"{ROOMS}/{call.sid}"
    server.clock.time = call.created + 3 * HOUR - 1
    assert not found(await server.rooms(**SINCE), call)
    assert {(await server.ask(path))[0].status, (await server.ask(path + "/Participants"))[0].status} == {404}
    server.clock.time += 1
    assert found(await server.rooms(**SINCE), call)
    assert (await server.ask(path))[1]["processing_state"] in ("complete", "timeout")


def test_how_late_is_drawn_for_each_room_between_the_two_limits(struck) -> None:
    delays = [call.shown_from - call.created for _, call, _ in struck({"kind": "late", "after": "20m", "up_to": "5h"})]
    assert 1200 <= min(delays) < 2400
    assert 16_000 < max(delays) <= 5 * HOUR


# Vanishing


async def test_a_room_that_vanishes_is_there_and_then_it_is_not(simulator, weather, struck) -> None:
    vanishing = {"kind": "vanishing", "after": "1h"}
    call = next(call for _, call, people in struck(vanishing) if people)
    server = await simulator(weather(vanishing), rooms_per_day=5000)
    path = f"{ROOMS}/{call.sid}"
    server.clock.time = call.ended + HOUR - 1
    assert found(await server.rooms(**SINCE), call)
    assert (await server.ask(path + "/Participants"))[0].status == 200
    server.clock.time += 1
    assert not found(await server.rooms(**SINCE), call)
    assert (await server.ask(path))[1]["code"] == 20404
    assert (await server.ask(path + "/Participants"))[0].status == 404


def test_what_vanishes_before_it_is_complete_cannot_be_counted_and_what_does_later_can(struck, noon: int) -> None:
    early = struck({"kind": "vanishing", "after": "30s"})
    assert not any(countable(call, noon + 9 * DAY) for _, call, _ in early)
    later = struck({"kind": "vanishing", "after": "31m"})
    assert all(countable(call, noon + 9 * DAY) for _, call, _ in later)


# Changing


async def test_a_summary_that_was_complete_is_corrected_once(simulator, weather, struck) -> None:
    changing = {"kind": "changing", "after": "1h"}
    call = next(call for _, call, people in struck(changing) if len(people) > 1 and any(p.ending.code for p in people))
    server = await simulator(weather(changing), rooms_per_day=5000)
    path, seen = f"{ROOMS}/{call.sid}", []
    for moment in (call.settled, call.settled + HOUR - 1, call.settled + HOUR, call.settled + DAY):
        server.clock.time = moment
        seen.append(((await server.ask(path))[1], await server.participants(call.sid)))
    assert seen[0] == seen[1] != seen[2] == seen[3]
    (before, few), (after, all_of_them) = seen[0], seen[2]
    assert {before["processing_state"], after["processing_state"]} == {"complete"}
    assert len(few) == before["unique_participants"] == len(all_of_them) - 1 == after["unique_participants"] - 1
    assert before["total_participant_duration_sec"] < after["total_participant_duration_sec"]
    assert before["end_reason"] != after["end_reason"]
    assert sum(bool(p["error_code"]) for p in few) < sum(bool(p["error_code"]) for p in all_of_them)


def test_after_its_correction_a_summary_is_what_it_would_have_been(struck) -> None:
    for usual, call, _ in struck({"kind": "changing", "after": "10m", "up_to": "1h"}):
        if not call.gave_up:
            assert call.settled + 600 <= call.changed_at <= call.settled + HOUR
            before, after = (room_summary(call, moment, "", 0) for moment in (call.changed_at - 1, call.changed_at))
            assert before != after == room_summary(usual, call.changed_at, "", 0)


def test_what_twilio_gave_up_is_not_corrected(struck) -> None:
    assert all(call.changed_at == 0 for _, call, _ in struck({"kind": "changing", "after": "1m"}) if call.gave_up)


# Drift


async def test_drifted_rooms_have_new_keys_and_words_and_others_have_none(simulator, weather, struck) -> None:
    drift = {"kind": "drift", "share": 0.5, "at": "2h", "for": "2h"}
    calls = {call.sid: call for _, call, _ in struck(drift)}
    server = await simulator(weather(drift), rooms_per_day=5000)
    server.clock.time += 4 * HOUR
    rooms = await server.rooms(CreatedAfter="2026-03-02T12:00:00Z", PageSize="1000")
    drifted = [room for room in rooms if room.keys() > {"quality", "retention_tier"}]
    assert {room["room_sid"] for room in drifted} == {
        room["room_sid"] for room in rooms if calls[room["room_sid"]].drifted
    }
    assert 0.2 < len(drifted) / len(rooms) < 0.5
    words = {room[field] for room in drifted for field in ("room_status", "processing_state", "media_region")}
    assert words >= NEW_WORDS
    assert (
        not {word for room in rooms if room not in drifted for word in room.values() if isinstance(word, str)}
        & NEW_WORDS
    )
    room = next(room for room in drifted if room["unique_participants"] and room["processing_state"] == "complete")
    for person in await server.participants(room["room_sid"]):
        assert person["media_region"] == "xx9"
        assert person.keys() >= {"network", "role"}
        assert person["publisher_info"]["hardware"] == {"cores": 8}


# Who is struck, and together


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "late", "after": "1h"},
        {"kind": "vanishing", "after": "1h"},
        {"kind": "changing", "after": "1h"},
        {"kind": "drift"},
    ],
)
def test_a_fault_of_rooms_strikes_its_share_of_those_that_end_meanwhile_and_no_other(struck, noon: int, fault) -> None:
    rooms = struck(fault | {"at": "2h", "for": "2h", "share": 0.3})
    meanwhile = [call for _, call, _ in rooms if noon + 2 * HOUR <= call.ended < noon + 4 * HOUR]
    hit = [call for usual, call, _ in rooms if call != usual]
    assert all(call in meanwhile for call in hit)
    assert len(hit) / len(meanwhile) == pytest.approx(0.3, abs=0.06)


def test_the_same_rooms_are_struck_in_the_same_way_however_often_one_asks(struck) -> None:
    faults = (
        {"kind": "late", "share": 0.3, "after": "1m", "up_to": "1h"},
        {"kind": "changing", "share": 0.3, "after": "1m", "up_to": "1h"},
    )
    assert struck(*faults) == struck(*faults)
    assert [call.shown_from for _, call, _ in struck(*faults)] != [c.shown_from for _, c, _ in struck(*faults, seed=2)]


def test_a_room_can_be_late_drifted_corrected_and_then_vanish(struck) -> None:
    faults = [
        {"kind": "late", "after": "10m"},
        {"kind": "drift"},
        {"kind": "changing", "after": "1h"},
        {"kind": "vanishing", "after": "5h"},
    ]
    for _, call, _ in struck(*faults):
        if not call.gave_up and call.ended > call.created + 600:
            assert call.created < call.shown_from < call.settled < call.changed_at < call.gone_from
            assert call.drifted


# What can be counted


async def test_what_can_be_counted_is_what_a_client_sees_that_looks_all_the_time(
    simulator, weather, traffic, account: str, noon: int
) -> None:
    """The client looks every minute for six hours and keeps, of each room it saw as final, the last participants."""
    scenario = weather(
        {"kind": "late", "share": 0.4, "after": "5m", "up_to": "3h"},
        {"kind": "vanishing", "share": 0.4, "after": "0s", "up_to": "2h"},
        {"kind": "changing", "share": 0.4, "after": "1m", "up_to": "1h"},
        {"kind": "drift", "share": 0.3},
    ).model_copy(update={"rooms_per_day": 300})
    server = await simulator(scenario, rooms_per_day=300)
    seen: dict[str, list[dict]] = {}
    summaries: dict[str, str] = {}
    for minute in range(6 * 60):
        server.clock.time = noon + 60 * minute
        for room in await server.rooms(**SINCE):
            sid, text = room["room_sid"], json.dumps(room)
            if room["processing_state"] in ("complete", "timeout") and summaries.get(sid) != text:
                summaries[sid], seen[sid] = text, await server.participants(sid)

    ours, end = traffic(scenario, account=account), int(server.clock.time)
    calls = list(ours.oldest_first(noon - 6 * HOUR, end))
    certain = {call.sid: call for call in calls if countable(call, end, steady=60)}
    possible = {call.sid for call in calls if countable(call, end)}
    assert certain.keys() <= seen.keys() <= possible
    assert len(possible) - len(certain) < 10 < len(certain)
    for sid, call in certain.items():
        if not 0 < min(end + 1, call.gone_from) - call.changed_at <= 60:  # corrected since the last look
            people = final_people(call, ours.sessions(call), end)
            told = json.dumps([person | {"url": server.base + person["url"]} for person in people])
            assert json.loads(told) == seen[sid]


def test_a_room_must_have_stood_for_as_long_as_a_client_needs(struck) -> None:
    _, call, _ = next(
        row for row in struck({"kind": "vanishing", "after": "31m"}) if row[1].settled < row[1].ended + 1000
    )
    stood = call.gone_from - call.settled
    assert [countable(call, call.settled - 1), countable(call, call.settled)] == [False, True]
    assert [
        countable(call, call.gone_from + DAY, steady=stood - 1),
        countable(call, call.gone_from + DAY, steady=stood),
    ] == [True, False]
    assert not countable(call, call.settled + 59, steady=60)


def test_of_a_room_that_has_vanished_what_stood_there_before_counts(struck, noon: int) -> None:
    for _, call, sessions in struck({"kind": "vanishing", "after": "31m"}, {"kind": "changing", "after": "2h"}):
        people = final_people(call, sessions, noon + 3 * DAY)
        assert people == final_people(call, sessions, call.gone_from - 1)
        assert len(people) == len(sessions) - bool(sessions) * (not call.gave_up)
