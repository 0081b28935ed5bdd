"""What domain values become in a row: small, exact, and of bounded size where an index holds them."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from alertd.engine.records import Participant, Room
from alertd.store.packing import hashed, pack_body, pack_sid, slices, unpack_body, unpack_sid


def test_a_twilio_sid_takes_sixteen_bytes():
    assert len(pack_sid("RM" + "0123456789abcdef" * 2)) == 16


@given(st.one_of(st.text(), st.from_regex(r"\ARM[0-9a-fA-F]{32}\Z"), st.text(min_size=13, max_size=16)))
def test_every_sid_comes_back_exactly(sid):
    assert unpack_sid(pack_sid(sid)) == sid


@given(st.text(), st.text())
def test_two_sids_never_become_one(one, other):
    assert (pack_sid(one) == pack_sid(other)) == (one == other)


def test_a_room_body_comes_back_exactly():
    moment = datetime(2026, 3, 2, 12, 0, 0, 123000, tzinfo=UTC)
    room = Room(room_sid="RM1", room_name="\x00<!channel>", end_time=moment, codecs=("VP8", "opus"))
    people = (
        Participant(participant_sid="PA1", leave_time=moment, publisher_info={"name": "js", "deep": {"x": [1, None]}}),
        Participant(participant_sid="PA2", error_code=53405, properties={}),
    )
    body = unpack_body(pack_body(room, people))
    assert (body.room, body.participants) == (room, people)


def test_names_are_hashed_one_by_one():
    assert hashed("a", "bc") != hashed("ab", "c")
    assert len(hashed("x" * 100_000, "\x00")) == 16


def test_slices_hold_everything_once_in_order():
    assert [list(part) for part in slices(range(5), 2)] == [[0, 1], [2, 3], [4]]
    assert list(slices([], 2)) == []
