"""The names of the rule language: which there are, what they are worth, what they are called as labels."""

from __future__ import annotations

import re

import pytest

from alertd.engine.fields import (
    Extractor,
    UnknownFieldError,
    field_names,
    find_field,
    label_name,
    label_value,
    labels,
    returned,
)

PARTICIPANT = [
    "participant_sid",
    "participant_identity",
    "join_time",
    "leave_time",
    "duration_sec",
    "status",
    "codecs",
    "end_reason",
    "error_code",
    "media_region",
    "edge_location",
    "publisher_info.name",
    "publisher_info.sdk_version",
    "publisher_info.browser_name",
    "properties.recordOnConnect",
    "properties.num_audio_tracks",
]
ROOM = [
    "room_sid",
    "room_name",
    "room_type",
    "created_method",
    "end_reason",
    "media_region",
    "edge_location",
    "duration_sec",
    "unique_participants",
    "max_participants",
    "codecs",
    "recording_enabled",
    "processing_state",
    "status_callback",
]
DERIVED = ["account", "sdk", "sdk_major", "error", "category", "rejoined", "partial"]


def facts_of(settled, *names):
    """The facts of each participant by name."""
    extractor = Extractor(find_field(name) for name in names)
    places = [extractor.index[find_field(name).name] for name in names]
    return [tuple(row[place] for place in places) for row in extractor.facts(settled)]


# Names


@pytest.mark.parametrize("name", [*PARTICIPANT, *(f"room.{name}" for name in ROOM), *DERIVED])
def test_every_field_of_the_rule_language_is_found(name):
    assert find_field(name).name.lower().replace("_", "") == name.lower().replace("_", "")


@pytest.mark.parametrize("name", [name for name in ROOM if name not in PARTICIPANT])
def test_a_name_that_only_a_room_has_works_without_room(name):
    assert find_field(name) == find_field(f"room.{name}")


@pytest.mark.parametrize("name", [name for name in ROOM if name in PARTICIPANT])
def test_a_name_that_both_have_means_the_participant(name):
    assert find_field(name).level == "participant"
    assert find_field(name) != find_field(f"room.{name}")


def test_sdk_version_alone_means_the_publishers():
    assert find_field("sdk_version") == find_field("publisher_info.sdkVersion")


def test_camel_case_and_snake_case_are_one_field():
    assert find_field("properties.recordOnConnect") == find_field("properties.record_on_connect")
    assert find_field("publisherInfo.name") == find_field("publisher_info.name")


def test_versions_of_any_publisher_key_are_versions():
    assert find_field("publisher_info.browserVersion").kind == "version"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("eror_code", "error_code"),
        ("end-reason", "end_reason"),
        ("room_typ", "room_type"),
        ("sdk_majr", "sdk_major"),
        ("room.duration", "room.duration_sec"),
        ("publisher.name", "publisher_info.name"),
        ("Rejoined", "rejoined"),
    ],
)
def test_a_mistyped_name_brings_the_one_that_was_meant(typed, meant):
    with pytest.raises(UnknownFieldError, match=rf"did you mean {re.escape(meant)}\?"):
        find_field(typed)


@pytest.mark.parametrize("name", ["", "x", "room.", "publisher_info", "properties.", "properties.a b", "__import__"])
def test_what_is_like_no_name_is_refused(name):
    with pytest.raises(UnknownFieldError, match="there is no field"):
        find_field(name)


def test_a_very_long_name_is_cut_in_the_message():
    with pytest.raises(UnknownFieldError) as refused:
        find_field("x" * 10_000)
    assert len(str(refused.value)) < 200


def test_names_of_people_and_rooms_are_marked_personal():
    personal = {find_field(name).name for name in field_names() if find_field(name).personal}
    assert personal == {"participant_identity", "room.room_name", "room.status_callback"}


# Facts


def test_facts_are_normal_in_form_and_null_where_twilio_says_nothing(settled_room, at):
    settled = settled_room(
        {
            "end_reason": "Room-Not-Found",
            "error_code": 53106,
            "codecs": ("VP8", "opus"),
            "join_time": at(5),
            "publisher_info": {"name": "twilio-video-js", "sdkVersion": "2.28.1"},
            "properties": {"isAdhoc": True, "numAudioTracks": 2},
        },
        {},
        room_type="group-small",
    )
    names = [
        "end_reason",
        "error_code",
        "codecs",
        "join_time",
        "room_type",
        "publisher_info.name",
        "sdk_version",
        "properties.is_adhoc",
        "properties.num_audio_tracks",
        "media_region",
        "room.media_region",
    ]
    full, empty = facts_of(settled, *names)
    assert full == (
        "room_not_found",
        53106,
        frozenset(["vp8", "opus"]),
        1772452805,
        "group_small",
        "twilio_video.js",
        "2.28.1",
        "true",
        "2",
        None,
        None,
    )
    assert empty == (None, None, None, None, "group_small", None, None, None, None, None, None)


def test_an_error_code_of_zero_is_null_and_no_error(settled_room):
    settled = settled_room({"error_code": 0}, {"error_code": None}, {"error_code": 53001})
    assert facts_of(settled, "error_code", "error", "category") == [
        (None, False, "normal"),
        (None, False, "normal"),
        (53001, True, "network"),
    ]


def test_derived_fields_of_the_room(settled_room):
    settled = settled_room({}, account="Clinic-EU", partial=True)
    assert facts_of(settled, "account", "partial") == [("clinic_eu", True)]


def test_the_sdk_is_null_where_its_name_is(settled_room):
    settled = settled_room(
        {"publisher_info": {"name": "twilio-video.js", "sdk_version": "2.28.1"}},
        {"publisher_info": {"sdk_version": "2.28.1"}},
        {"publisher_info": {}},
        {},
    )
    assert facts_of(settled, "sdk", "sdk_major") == [
        ("twilio_video.js 2.28.1", "twilio_video.js 2"),
        (None, None),
        (None, None),
        (None, None),
    ]


def test_a_verbatim_twin_keeps_what_was_sent(settled_room):
    field = find_field("room_name").as_written
    settled = settled_room({}, room_name="Tele-1")
    extractor = Extractor([field, find_field("room_name")])
    (row,) = extractor.facts(settled)
    assert row[extractor.index[field.name]] == "Tele-1"
    assert row[extractor.index["room.room_name"]] == "tele_1"


def test_each_field_is_computed_once_however_often_it_is_asked_for():
    extractor = Extractor([find_field("sdk_version"), find_field("publisher_info.sdk_version"), find_field("error")])
    assert extractor.index == {"error": 0, "publisher_info.sdk_version": 1}


def test_a_room_without_participants_has_no_facts(settled_room):
    assert Extractor([find_field("error")]).facts(settled_room()) == []


def test_hostile_values_of_open_keys_do_no_harm(settled_room):
    odd = {"name": {"a": 1}, "sdk_version": ["x"], "Name": None, "": 1, "x" * 1000: "y" * 10_000}
    settled = settled_room({"publisher_info": odd, "properties": {"k": float("inf")}})
    assert facts_of(settled, "publisher_info.name", "sdk_version", "properties.k", "sdk_major")[0][1] == '["x"]'


# Rejoining


def calls(at, *spans):
    """Participants of given identity, joining and leaving at given seconds."""
    return [
        {"participant_identity": who, "join_time": at(joined), "leave_time": None if left is None else at(left)}
        for who, joined, left in spans
    ]


@pytest.mark.parametrize(
    ("spans", "marked"),
    [
        ([("ann", 0, 100), ("ann", 160, 300)], [0]),
        ([("ann", 0, 100), ("ann", 161, 300)], []),
        ([("ann", 0, 100), ("ann", 100, 300)], [0]),
        ([("ann", 0, 100), ("ann", 99, 300)], []),
        ([("ann", 0, 100), ("Ann", 110, 300)], []),
        ([("ann", 0, None), ("ann", 110, 300)], []),
        ([(None, 0, 100), (None, 110, 300)], []),
        ([("", 0, 100), (None, 110, 300)], []),
        ([("ann", 100, 100)], []),
        ([("ann", 100, 100), ("ann", 200, 300)], []),
        ([("ann", 100, 100), ("ann", 100, 100)], [0, 1]),
        ([("ann", 0, 10), ("ben", 5, 20), ("ann", 30, 40), ("ann", 70, 80)], [0, 2]),
    ],
)
def test_who_left_and_came_back_within_a_minute_is_marked(settled_room, at, spans, marked):
    settled = settled_room(*calls(at, *spans))
    assert returned(settled) == {settled.participants[place].participant_sid for place in marked}
    assert [row[0] for row in facts_of(settled, "rejoined")] == [place in marked for place in range(len(spans))]


# Labels


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("media_region", "media_region"),
        ("room.room_type", "room_type"),
        ("room_type", "room_type"),
        ("room.media_region", "room_media_region"),
        ("publisher_info.sdk_version", "sdk_version"),
        ("publisher_info.foo-bar", "publisher_info_foo_bar"),
        ("account", "account"),
    ],
)
def test_a_field_has_one_name_as_a_label(name, label):
    assert label_name(find_field(name)) == label


def test_all_label_names_are_valid_and_different():
    fields = {find_field(name) for name in field_names()}
    names = {label_name(field) for field in fields}
    assert len(names) == len(fields)
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) for name in names)


def test_labels_keep_twilios_spelling_and_are_empty_for_null(settled_room, at):
    settled = settled_room(
        {
            "status": "In-Progress",
            "duration_sec": 61,
            "codecs": ("VP8", "opus"),
            "join_time": at(0),
            "properties": {"isAdhoc": False},
        },
        {},
        recording_enabled=True,
    )
    names = ["status", "duration_sec", "codecs", "join_time", "properties.is_adhoc", "recording_enabled", "error"]
    full, empty = labels([find_field(name) for name in names], settled)
    assert full == ("In-Progress", "61", "VP8,opus", "2026-03-02T12:00:00Z", "false", "true", "false")
    assert empty == ("", "", "", "", "", "true", "false")


def test_one_label_is_the_same_as_among_many(settled_room, at):
    settled = settled_room(*calls(at, ("ann", 0, 10), ("ann", 20, 30)))
    values = [label_value(find_field("rejoined"), settled, who) for who in settled.participants]
    assert values == ["true", "false"]
    assert labels([find_field("rejoined")], settled) == [("true",), ("false",)]
