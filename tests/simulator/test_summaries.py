"""A summary grows: the room is listed while open, its end is seen, participants follow, then it is settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec
import pytest

from alertd.simulator.summaries import listed, participant_summary, room_row, room_summary, timestamp

BASE = "https://insights.example.com"
HOUR = 3600


@pytest.fixture
def ended(traffic, noon: int) -> list:
    """Calls with their sessions that started in the three hours before noon."""
    calls = traffic()
    return [(call, calls.sessions(call)) for call in calls.oldest_first(noon - 3 * HOUR, noon)]


@pytest.fixture
def ordinary(ended: list) -> tuple:
    """One call of two participants that settles in the usual way."""
    return next(
        (call, sessions)
        for call, sessions in ended
        if len(sessions) == 2 and not call.gave_up and call.started_processing == call.ended and call.end_reason
    )


def test_an_open_room_has_no_end_yet(ordinary) -> None:
    call, _ = ordinary
    room = room_summary(call, call.ended - 1, BASE, 0.0)
    assert (room["room_status"], room["processing_state"]) == ("in_progress", "in_progress")
    unknown = ("end_time", "end_reason", "duration_sec", "unique_participants", "codecs")
    assert [room[field] for field in unknown] == [None] * 5
    assert room["create_time"] == timestamp(call.created)


def test_an_ended_room_is_completed_but_still_in_progress_until_it_settles(ordinary) -> None:
    call, _ = ordinary
    room = room_summary(call, call.settled - 1, BASE, 0.0)
    assert (room["room_status"], room["processing_state"]) == ("completed", "in_progress")
    assert (room["end_time"], room["end_reason"]) == (timestamp(call.ended), call.end_reason)
    assert room["duration_sec"] == call.ended - call.created
    assert room["total_participant_duration_sec"] is None


def test_a_settled_room_is_complete_and_its_totals_are_those_of_its_participants(ordinary) -> None:
    call, sessions = ordinary
    room = room_summary(call, call.settled, BASE, 0.0)
    people = [participant_summary(call, session, call.settled, BASE) for session in sessions]
    assert room["processing_state"] == "complete"
    assert room["unique_participants"] == len(people)
    assert room["unique_participant_identities"] == len({person["participant_identity"] for person in people})
    assert room["total_participant_duration_sec"] == sum(person["duration_sec"] for person in people)
    assert set(room["codecs"]) == {codec for person in people for codec in person["codecs"]}
    assert room["links"]["participants"] == room["url"] + "/Participants"


def test_everything_about_a_settled_room_stays_as_it_is(ordinary) -> None:
    call, sessions = ordinary
    for later in (1, HOUR, 100 * HOUR):
        assert room_row(call, call.settled + later, BASE, 0.02) == room_row(call, call.settled, BASE, 0.02)
        for session in sessions:
            assert participant_summary(call, session, call.settled + later, BASE) == participant_summary(
                call, session, call.settled, BASE
            )


def test_a_row_is_the_summary_as_json_under_whatever_address_it_is_asked_for(ordinary) -> None:
    call, _ = ordinary
    for base in (BASE, "http://127.0.0.1:9", BASE):
        row = msgspec.json.decode(room_row(call, call.settled, base, 0.0))
        assert row["url"] == f"{base}/v1/Video/Rooms/{call.sid}"
        assert row.keys() == room_summary(call, call.settled, base, 0.0).keys()


def test_a_participant_in_the_room_has_not_left_yet(ordinary) -> None:
    call, (session, _) = ordinary
    person = participant_summary(call, session, session.detailed_at - 1, BASE)
    unknown = ("leave_time", "duration_sec", "end_reason", "error_code", "error_code_url", "codecs")
    assert [person[field] for field in unknown] == [None] * 6
    assert person["status"] in {"in_progress", "connected"}
    assert person["publisher_info"] == session.client.publisher_info


def test_a_participant_who_left_tells_when_and_how(ended) -> None:
    call, session = next((c, s) for c, people in ended for s in people if s.ending.code == 53118 and not c.gave_up)
    person = participant_summary(call, session, call.settled, BASE)
    assert person["status"] in {"completed", "disconnected"}
    assert (person["end_reason"], person["error_code"]) == ("room_completed_error", 53118)
    assert person["error_code_url"] == "https://www.twilio.com/docs/api/errors/53118"
    assert person["leave_time"] == timestamp(session.left)
    assert person["properties"].keys() == {
        "recordOnConnect", "numAudioTracks", "numVideoTracks", "numDataTracks", "isAdhoc"
    }  # fmt: skip


def test_no_error_is_sometimes_null_and_sometimes_zero(ended) -> None:
    fine = [(call, s) for call, people in ended for s in people if s.ending.code is None]
    codes = Counter(participant_summary(call, s, call.settled, BASE)["error_code"] for call, s in fine)
    assert set(codes) == {None, 0}


def test_participants_are_all_shown_and_told_by_the_time_a_room_settles(ended) -> None:
    for call, sessions in ended:
        assert all(s.joined <= s.shown_at <= call.settled for s in sessions)
        if not call.gave_up:
            assert all(max(s.left, s.shown_at) <= s.detailed_at <= call.settled for s in sessions)


def test_a_summary_that_is_given_up_ends_as_timeout_half_an_hour_after_the_room(traffic, noon: int) -> None:
    calls = traffic()
    lost = [call for call in calls.oldest_first(noon - 48 * HOUR, noon) if call.gave_up and call.people > 1]
    assert lost
    for call in lost:
        assert room_summary(call, call.ended + 1799, BASE, 0.0)["processing_state"] != "timeout"
        assert room_summary(call, call.ended + 1800, BASE, 0.0)["processing_state"] == "timeout"
    people = [participant_summary(c, s, noon + 99 * HOUR, BASE) for c in lost for s in calls.sessions(c)]
    assert any(person["leave_time"] is None for person in people)
    assert any(person["leave_time"] is not None for person in people)


def test_a_few_summaries_are_not_even_started_for_a_while(ended) -> None:
    late = [call for call, _ in ended if call.started_processing > call.ended]
    assert 0 < len(late) < len(ended) / 10
    for call in late:
        assert room_summary(call, call.ended, BASE, 0.0)["processing_state"] == "not_started"
        assert room_summary(call, call.started_processing, BASE, 0.0)["processing_state"] == "in_progress"


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.3, 0.2, 0.4), (1.0, 1, 1)])
def test_the_hyphenated_spelling_has_the_share_asked_for(ended, share: float, least: float, most: float) -> None:
    states = [room_summary(call, call.ended - 1, BASE, share)["processing_state"] for call, _ in ended]
    assert least <= states.count("in-progress") / len(states) <= most


def test_a_room_is_known_from_its_start_until_a_week_after_its_end(ordinary) -> None:
    call, _ = ordinary
    known: Callable[[int], bool] = lambda now: listed(call, now)  # noqa: E731 - reads as the sentence it tests
    assert [known(call.created - 1), known(call.created)] == [False, True]
    assert [known(call.ended + 7 * 86_400), known(call.ended + 7 * 86_400 + 1)] == [True, False]


def test_a_room_keeps_to_one_vocabulary_for_the_status_of_its_participants(ended) -> None:
    seen = set()
    for call, sessions in ended:
        words = {participant_summary(call, s, now, BASE)["status"] for s in sessions for now in (s.joined, 1 << 39)}
        assert words in (set(), {"in_progress", "completed"}, {"connected", "disconnected"}) or call.gave_up
        seen |= words
    assert seen == {"in_progress", "completed", "connected", "disconnected"}
