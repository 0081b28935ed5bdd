"""Reading pages and records: what is good stays, what is malformed goes, and the paths say what went."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.insights.wire import PARTICIPANTS, ROOMS, UnreadableError

RM, PA = "RM" + "0" * 32, "PA" + "0" * 32


def page_of(*rooms, then=None):
    return json.dumps({"meta": {"key": "rooms", "next_page_url": then}, "rooms": rooms}).encode()


def test_a_whole_room_is_read_with_times_as_utc_datetimes(room):
    page = ROOMS.page(page_of(room(), then="/next"))
    (read,) = page.records
    assert read.end_time == datetime(2026, 3, 2, 11, 30, tzinfo=UTC)
    assert read.codecs == ("VP8", "opus")
    assert read.recording_enabled is False
    assert (page.next_link, page.faults) == ("/next", [])


def test_a_whole_participant_is_read(participant):
    read = PARTICIPANTS.one(json.dumps(participant(error_code=53405)).encode()).records[0]
    assert read.error_code == 53405
    assert read.publisher_info == {"name": "twilio-video.js", "sdk_version": "2.28.1"}


def test_every_field_but_the_sid_may_be_null_or_missing(room, participant):
    for form, record, sid in ((ROOMS, room(), "room_sid"), (PARTICIPANTS, participant(), "participant_sid")):
        nulls = form.one(json.dumps(dict.fromkeys(record) | {sid: record[sid]}).encode())
        bare = form.one(json.dumps({sid: record[sid]}).encode())
        assert nulls.records == bare.records
        assert nulls.faults == []


def test_unknown_keys_and_values_of_enumerations_are_just_data(room):
    odd = room(room_type="hologram", media_region="stage_us1", processing_state="in-progress", brand_new={"a": [1]})
    (read,) = ROOMS.page(page_of(odd)).records
    assert (read.room_type, read.media_region, read.processing_state) == ("hologram", "stage_us1", "in-progress")


def test_times_with_fractions_and_offsets_are_times(room):
    record = room(create_time="2026-03-02T11:00:00.123456789Z", end_time="2026-03-02T13:30:00+02:00")
    (read,) = ROOMS.page(page_of(record)).records
    assert read.create_time.microsecond == 123457
    assert read.end_time == datetime(2026, 3, 2, 11, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("end_time", "Mon, 02 Mar 2026 11:30:00 +0000"),
        ("end_time", "yesterday"),
        ("end_time", 1772451000),
        ("end_time", "1772451000"),
        ("duration_sec", "half an hour"),
        ("duration_sec", 3.5),
        ("duration_sec", {"seconds": 5}),
        ("room_name", 7),
        ("codecs", "VP8"),
        ("codecs", ["VP8", None]),
        ("recording_enabled", "maybe"),
    ],
)
def test_a_value_that_does_not_fit_is_left_out_and_the_rest_of_the_record_kept(room, field, value):
    good, bad = room(), room(**{field: value})
    page = ROOMS.page(page_of(good, bad))
    assert [read.room_sid for read in page.records] == [good["room_sid"], bad["room_sid"]]
    assert getattr(page.records[1], field) is None
    assert page.records[1].media_region == "us1"
    assert page.faults == [f"rooms[].{field}"]


def test_several_bad_values_in_a_record_are_each_named(room):
    page = ROOMS.page(page_of(room(end_time="?", duration_sec=[], codecs=5)))
    assert sorted(page.faults) == ["rooms[].codecs", "rooms[].duration_sec", "rooms[].end_time"]


def test_numbers_and_truth_that_come_as_text_are_taken(participant, room):
    who = PARTICIPANTS.one(json.dumps(participant(error_code="53405", duration_sec="12")).encode())
    assert (who.records[0].error_code, who.records[0].duration_sec, who.faults) == (53405, 12, [])
    where = ROOMS.one(json.dumps(room(recording_enabled="true", duration_sec=1800.0)).encode())
    assert (where.records[0].recording_enabled, where.records[0].duration_sec) == (True, 1800)


@pytest.mark.parametrize("sid", [None, "", 5, "RM1", "RM" + "A" * 32, "RM" + "0" * 31, "PA" + "0" * 32, RM + "\n"])
def test_a_record_without_a_valid_sid_is_dropped_and_counted(room, sid):
    good = room()
    page = ROOMS.page(page_of(room(room_sid=sid), good))
    assert [read.room_sid for read in page.records] == [good["room_sid"]]
    assert page.faults == ["rooms[].room_sid"]


def test_what_is_no_record_at_all_is_dropped_and_counted(room):
    page = ROOMS.page(page_of(None, 5, "text", [], room()))
    assert len(page.records) == 1
    assert page.faults == ["rooms[].room_sid"] * 4


@pytest.mark.parametrize("name", ["\ud800", "a\udfffb"])
def test_a_lone_surrogate_in_a_name_costs_neither_page_nor_record_and_can_be_stored(room, name):
    page = ROOMS.page(page_of(room(room_name=name), room()))
    assert len(page.records) == 2
    assert page.records[0].room_name.encode("utf-8") == name.encode("utf-8", "replace")


def test_broken_utf8_costs_neither_page_nor_record(room):
    page = ROOMS.page(page_of(room(room_name="@@"), room()).replace(b"@@", b"\xff\xfe"))
    assert len(page.records) == 2


def test_nan_and_infinity_become_null_also_deep_inside(participant):
    who = participant(duration_sec=float("nan"), properties={"a": [float("inf"), "\ud800", 1.5], "\ud801": None})
    (read,) = PARTICIPANTS.one(json.dumps(who).encode()).records
    assert read.duration_sec is None
    assert read.properties == {"a": [None, "?", 1.5], "?": None}


def test_an_untyped_object_that_is_no_object_is_left_out(participant):
    page = PARTICIPANTS.one(json.dumps(participant(publisher_info=["a"], properties="x")).encode())
    assert sorted(page.faults) == ["participants[].properties", "participants[].publisher_info"]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not JSON"),
        (b"<html>503</html>", "not JSON"),
        (page_of({"room_sid": RM})[:-5], "cut short"),
        (b'{"a":' + b"[" * 100_000, "not JSON"),
        (b"[]", "not a page of rooms"),
        (b"null", "not a page of rooms"),
        (b'{"rooms": []}', "not a page of rooms"),
        (b'{"meta": {}}', "not a page of rooms"),
        (b'{"meta": null, "rooms": []}', "not a page of rooms"),
        (b'{"meta": {"next_page_url": 5}, "rooms": []}', "not a page of rooms"),
        (b'{"meta": {}, "rooms": {}}', "not a page of rooms"),
        (b'{"code": 20404, "message": "secret", "status": 404}', "not a page of rooms"),
    ],
)
def test_what_is_not_a_page_is_unreadable_and_never_an_empty_one(body, complaint):
    with pytest.raises(UnreadableError, match=complaint):
        ROOMS.page(body)


def test_a_page_may_be_empty_or_null_and_still_lead_on():
    assert ROOMS.page(page_of(then="?b")).next_link == "?b"
    null = ROOMS.page(b'{"meta": {"next_page_url": ""}, "rooms": null}')
    assert (null.records, null.next_link) == ([], None)


@pytest.mark.parametrize("body", [b"null", b"[]", b"{}", b'{"room_sid": "RM1"}', b'{"room_sid": 5}', b"<html>"])
def test_a_single_answer_without_a_room_is_unreadable(body):
    with pytest.raises(UnreadableError):
        ROOMS.one(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("2026-03-02T11:00:00Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
room_like = st.dictionaries(st.sampled_from(["end_time", "duration_sec", "codecs", "room_name", "x"]), json_values)


@given(st.lists(room_like, max_size=5))
def test_no_room_with_a_valid_sid_is_ever_lost_whatever_its_fields(rooms):
    page = ROOMS.page(page_of(*({**fields, "room_sid": RM} for fields in rooms)))
    assert len(page.records) == len(rooms)


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_body_does_worse_than_unreadable(body):
    for form in (ROOMS, PARTICIPANTS):
        for read in (form.page, form.one):
            with contextlib.suppress(UnreadableError):
                read(body)
