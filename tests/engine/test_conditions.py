"""Mappings of fields to matchers: what they match, and what is remarked on them."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from alertd.engine.conditions import EVERYTHING, both, parse_condition, parse_expression

MEDIA = "media_connection_failed_or_media_activity_ceased"


def remarks(data):
    parsed = parse_condition(data)
    assert parsed.mistakes == []
    return [notice.message for notice in parsed.notices]


# Every matcher, on values that match, that do not, and on null


@pytest.mark.parametrize(
    ("field", "matcher", "value", "expected"),
    [
        ("error_code", 53405, 53405, True),
        ("error_code", 53405, 53001, False),
        ("error_code", "53405", 53405, True),
        ("media_region", "us1", "us1", True),
        ("media_region", "US1", "us1", True),
        ("media_region", "us1", "us2", False),
        ("status", "in-progress", "in_progress", True),
        ("status", "in_progress", "In-Progress", True),
        ("participant_identity", 4711, "4711", True),
        ("participant_identity", "Ann-Lee", "ann_lee", True),
        ("error_code", [53405, 53001], 53001, True),
        ("error_code", [53405, 53001], 53002, False),
        ("error_code", [53405, "530*"], 53002, True),
        ("media_region", ["us1", "ie1"], "ie1", True),
        ("error_code", "534*", 53405, True),
        ("error_code", "534*", 53001, False),
        ("error_code", "53?05", 53405, True),
        ("duration_sec", "1*", 123, True),
        ("end_reason", "media_connection_*", MEDIA, True),
        ("end_reason", "Media-Connection-*", MEDIA, True),
        ("end_reason", "media_connection_*", "media", False),
        ("end_reason", "*ceased", MEDIA, True),
        ("end_reason", "*_activity_*", MEDIA, True),
        ("end_reason", "*", MEDIA, True),
        ("participant_identity", "[ab]*", "a", False),
        ("participant_identity", "[ab]*", "[ab]c", True),
        ("participant_identity", "*[ab]", "xa", False),
        ("participant_identity", "*[ab]", "x[ab]", True),
        ("duration_sec", ">= 60", 60, True),
        ("duration_sec", ">= 60", 59, False),
        ("duration_sec", "<10", 9, True),
        ("duration_sec", "< 10", 10, False),
        ("duration_sec", "> 1.5", 2, True),
        ("duration_sec", "<= 10m", 600, True),
        ("duration_sec", "< 1h30m", 5399, True),
        ("duration_sec", "10m", 600, True),
        ("duration_sec", ">= 1, < 5", 4, True),
        ("duration_sec", ">= 1, < 5", 5, False),
        ("duration_sec", "> -1", 0, True),
        ("media_region", {"not": "us1"}, "ie1", True),
        ("media_region", {"not": "us1"}, "US1", False),
        ("media_region", {"not": ["us1", "ie1"]}, "ie1", False),
        ("error_code", {"not": "534*"}, 53001, True),
        ("duration_sec", {"not": "< 10"}, 10, True),
        ("duration_sec", {"not": {"gte": 1, "lt": 5}}, 5, True),
        ("media_region", {"in": ["us1", "ie1"]}, "us1", True),
        ("media_region", {"in": ["us1", "ie1"]}, "de1", False),
        ("media_region", {"exists": True}, "us1", True),
        ("media_region", {"exists": False}, "us1", False),
        ("participant_identity", {"regex": "^tele-"}, "tele-7", True),
        ("participant_identity", {"regex": "^TELE-"}, "Tele-7", True),
        ("participant_identity", {"regex": "(?-i:^TELE-)"}, "Tele-7", False),
        ("participant_identity", {"regex": "^tele-"}, "my-tele-7", False),
        ("participant_identity", {"regex": "tele", "not": "tele-7"}, "tele-7", False),
        ("duration_sec", {"gte": 1, "lt": 5}, 1, True),
        ("duration_sec", {"gte": 1, "lt": 5}, 0, False),
        ("duration_sec", {"gt": 1, "lte": 5}, 5, True),
        ("duration_sec", {"gte": "10m"}, 600, True),
        ("codecs", {"has": "VP9"}, ("vp9", "opus"), True),
        ("codecs", {"has": "VP9"}, ("VP8",), False),
        ("codecs", {"has": "VP9"}, (), False),
        ("codecs", {"not": {"has": "VP9"}}, (), True),
        ("join_time", "> 2026-03-01T00:00:00Z", datetime(2026, 3, 2), True),  # noqa: DTZ001 - Twilio means UTC
        ("join_time", {"lt": date(2026, 3, 2)}, datetime(2026, 3, 2), False),  # noqa: DTZ001 - Twilio means UTC
        ("join_time", 1772409600, datetime(2026, 3, 2), True),  # noqa: DTZ001 - Twilio means UTC
    ],
)
def test_a_matcher_says_whether_a_value_fits(matches, field, matcher, value, expected):
    assert matches({field: matcher}, {field: value}) is expected


@pytest.mark.parametrize(
    ("matcher", "version", "expected"),
    [
        ("< 2.28", "2.27.9", True),
        ("< 2.28", "2.28.0", False),
        ("< 2.28", "2.3", True),
        ("< 2.28", "2.27.0-beta1", True),
        ("< 2.28", "2.28.0-beta1", False),
        (">= 1.0, < 2.0", "1.20.1", True),
        (">= 1.0, < 2.0", "2.0.0", False),
        (">= 7.0.0", "7.1.0-preview2", True),
        ("~= 2.27", "2.30", True),
        ("== 2.28.*", "2.28.4", True),
        ("!= 2.28", "2.27", True),
        ("2.28.1", "2.28.1", True),
        ("2.28", "2.28.0", True),
        ("2.28", "2.28.1", False),
        ("Nightly", "nightly", True),
        (2, "2.0.0", True),
        ("2.28.*", "2.28.4", True),
        (["2.28.1", "< 2"], "1.9", True),
        (["2.28.1", "< 2"], "2.0", False),
        ({"gte": "1.0", "lt": "2"}, "1.5", True),
        ({"not": "< 2.28"}, "2.28", True),
        ({"not": "< 2.28"}, "2.27", False),
        ({"regex": r"^2\.2[78]\."}, "2.27.0", True),
        ("< 2.28", "not a version", False),
        (">= 0", "9" * 5000, False),
        (">= 0", "", False),
    ],
)
@pytest.mark.parametrize("field", ["sdk_version", "publisher_info.sdkVersion", "publisher_info.browser_version"])
def test_versions_compare_as_versions_and_unreadable_ones_match_nothing(matches, field, matcher, version, expected):
    sent = {"sdk_version": version, "browserVersion": version}
    assert matches({field: matcher}, {"publisher_info": sent}) is expected


@pytest.mark.parametrize(
    ("matcher", "sent", "expected"),
    [
        (2, 2, True),
        (2, "2", True),
        ("2", 2, True),
        (True, True, True),
        (True, 1, False),
        (1, True, False),
        (2.5, 2.5, True),
        (">= 2", "3", True),
        (">= 2", "three", False),
        (">= 2", True, False),
        (">= 2", [3], False),
        ({"lt": 2}, 1.5, True),
        ("chr*", "Chrome", True),
        ("chr*", ["chrome"], False),
        ({"has": "a"}, ["A", "b"], True),
        ({"has": "a"}, "abc", False),
        ({"regex": "rom"}, "Chrome", True),
        ({"regex": "a"}, {"a": 1}, True),
        ({"not": "chrome"}, {"a": 1}, True),
        ({"exists": True}, {}, True),
        ({"exists": True}, None, False),
    ],
)
def test_untyped_keys_compare_by_what_their_values_say(matches, matcher, sent, expected):
    assert matches({"properties.thing": matcher}, {"properties": {"thing": sent}}) is expected


@pytest.mark.parametrize(
    ("data", "room", "expected"),
    [
        ({"room_type": ["group", "group_small"]}, {"room_type": "group-small"}, True),
        ({"room.room_name": "tele*"}, {"room_name": "Tele-1"}, True),
        ({"recording_enabled": True}, {"recording_enabled": True}, True),
        ({"recording_enabled": True}, {"recording_enabled": False}, False),
        ({"recording_enabled": {"not": True}}, {"recording_enabled": False}, True),
        ({"recording_enabled": {"not": True}}, {"recording_enabled": None}, False),
        ({"max_participants": "> 2"}, {"max_participants": 3}, True),
        ({"room.codecs": {"has": "h264"}}, {"codecs": ("H264",)}, True),
        ({"room.end_reason": "timeout"}, {"end_reason": "timeout"}, True),
        ({"account": "production"}, {}, True),
        ({"partial": True}, {"partial": True}, True),
        ({"partial": True}, {}, False),
    ],
)
def test_fields_of_the_room_hold_for_each_of_its_participants(matches, data, room, expected):
    assert matches(data, {}, room) is expected


@pytest.mark.parametrize(
    "data",
    [
        {"error_code": 53405},
        {"error_code": [1, 2]},
        {"error_code": "*"},
        {"duration_sec": "< 10"},
        {"duration_sec": {"not": 5}},
        {"duration_sec": {"not": "< 10"}},
        {"duration_sec": {"gte": 0}},
        {"media_region": "us1"},
        {"media_region": "u*"},
        {"media_region": {"not": "us1"}},
        {"media_region": {"not": ["us1"]}},
        {"media_region": {"in": ["us1"]}},
        {"media_region": {"regex": ""}},
        {"media_region": {"not": {"regex": "x"}}},
        {"media_region": {"exists": True}},
        {"codecs": {"has": "VP9"}},
        {"codecs": {"not": {"has": "VP9"}}},
        {"recording_enabled": False},
        {"sdk_version": "< 99"},
        {"sdk_version": {"not": "< 99"}},
        {"sdk_version": "!= 1"},
        {"sdk": "*"},
        {"properties.x": {"not": 1}},
        {"properties.x": {"not": {"has": "a"}}},
        {"join_time": {"gt": 0}},
    ],
)
def test_null_matches_nothing(matches, data):
    assert not matches(data, {})


@pytest.mark.parametrize(
    "field", ["error_code", "media_region", "codecs", "sdk_version", "room_name", "join_time", "sdk"]
)
def test_null_matches_exists_false(matches, field):
    assert matches({field: {"exists": False}}, {})


def test_a_negated_mapping_holds_for_null_where_a_negated_value_does_not(matches):
    assert matches({"not": {"media_region": "us1"}}, {})
    assert not matches({"media_region": {"not": "us1"}}, {})


def test_error_code_zero_is_null_on_both_sides(matches):
    assert not matches({"error_code": {"exists": True}}, {"error_code": 0})
    assert matches({"error_code": 0}, {"error_code": 0})
    assert matches({"error_code": 0}, {})
    assert matches({"error_code": {"not": 0}}, {"error_code": 53405})
    assert not matches({"error_code": {"not": 0}}, {"error_code": 0})
    assert "no error" in remarks({"error_code": 0})[0]


# Combining


def test_all_fields_of_a_mapping_must_hold(matches):
    data = {"error_code": 53405, "media_region": "us1"}
    assert matches(data, {"error_code": 53405, "media_region": "us1"})
    assert not matches(data, {"error_code": 53405, "media_region": "ie1"})


def test_any_all_and_not_nest(matches):
    data = {
        "any": [{"error_code": 53405}, {"all": [{"duration_sec": "< 10"}, {"error": True}]}],
        "not": {"any": [{"media_region": "gll"}, {"category": "user"}]},
    }
    assert matches(data, {"error_code": 53405})
    assert matches(data, {"error_code": 53001, "duration_sec": 5})
    assert not matches(data, {"error_code": 53001, "duration_sec": 15})
    assert not matches(data, {"error_code": 53405, "media_region": "gll"})
    assert not matches(data, {"error_code": 53205, "duration_sec": 5})


def test_when_is_one_more_test(matches):
    data = {"media_region": "us1", "when": "duration_sec < 10 or error"}
    assert matches(data, {"media_region": "us1", "duration_sec": 5})
    assert not matches(data, {"media_region": "us1", "duration_sec": 50})
    assert not matches(data, {"media_region": "ie1", "duration_sec": 5})


def test_an_empty_mapping_is_everything(matches):
    assert parse_condition({}).condition == EVERYTHING
    assert matches({}, {})
    assert EVERYTHING.fields == frozenset()
    assert str(EVERYTHING) == "everything"


def test_both_joins_a_mapping_and_an_expression(holds, settled_room):
    joined = both(parse_condition({"error": True}).condition, parse_expression("duration_sec < 10").condition)
    assert joined == parse_condition({"error": True, "duration_sec": "< 10"}).condition
    assert holds(joined, settled_room({"error_code": 1, "duration_sec": 5}))


# End reasons


@pytest.mark.parametrize("written", ["media_connection_failed", "Media-Connection-Failed", MEDIA, MEDIA.upper()])
def test_an_end_reason_may_be_shortened(matches, written):
    assert matches({"end_reason": written}, {"end_reason": MEDIA})


def test_a_shortened_end_reason_also_matches_itself_should_twilio_come_to_send_it(matches):
    assert matches({"end_reason": "media_connection_failed"}, {"end_reason": "media_connection_failed"})


def test_what_a_shortened_end_reason_was_taken_for_is_said():
    assert remarks({"end_reason": "media_connection_failed"}) == [
        f"end_reason 'media_connection_failed' is taken for {MEDIA}"
    ]
    assert remarks({"end_reason": MEDIA}) == []


def test_the_end_reason_of_a_room_is_another_thing(matches):
    assert remarks({"room.end_reason": "media_connection_failed"}) != []
    assert not matches({"room.end_reason": "media_connection_failed"}, {}, {"end_reason": MEDIA})


# Notices


@pytest.mark.parametrize(
    ("data", "remark"),
    [
        ({"media_region": "us11"}, "did you mean us1?"),
        ({"room_type": ["group", "grup"]}, "did you mean group?"),
        ({"codecs": {"has": "VP99"}}, "did you mean VP9?"),
        ({"end_reason": "room_not_foudn"}, "did you mean room_not_found?"),
        ({"status": "zzz"}, "known are in_progress, connected"),
        ({"when": "media_region != 'us11'"}, "did you mean us1?"),
    ],
)
def test_a_value_that_the_api_does_not_list_is_allowed_with_a_remark(data, remark):
    assert any(remark in message for message in remarks(data))


def test_an_unlisted_value_matches_all_the_same(matches):
    assert matches({"media_region": "zz9"}, {"media_region": "zz9"})


@pytest.mark.parametrize(
    "data", [{"media_region": "US1"}, {"room_type": "peer-to-peer"}, {"participant_identity": "x"}]
)
def test_listed_and_free_values_bring_no_remark(data):
    assert remarks(data) == []
