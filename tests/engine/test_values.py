"""What values from Twilio are worth as text, as numbers and as facts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from alertd.engine.values import (
    CLIENT_TEXT,
    as_number,
    as_text,
    fact_of,
    look_up,
    sdk_major_name,
    sdk_name,
    snake,
    written_fact,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [("In-Progress", "In-Progress"), (True, "true"), (2, "2"), (2.0, "2"), (2.5, "2.5"), ({"a": [1]}, '{"a":[1]}')],
)
def test_any_value_has_a_plain_text(value, text):
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("fact", "number"),
    [(3, 3), (2.5, 2.5), ("12", 12), ("-1.5", -1.5), ("1e9", None), ("nan", None), ("9" * 5000, None), ("12 ", None)],
)
def test_text_that_says_a_plain_number_counts_as_one(fact, number):
    assert as_number(fact) == number


@pytest.mark.parametrize("fact", [None, True, False, frozenset(["1"]), "", "one"])
def test_everything_else_is_no_number(fact):
    assert as_number(fact) is None


@pytest.mark.parametrize("kind", ["text", "number", "flag", "version", "list", "time", "any"])
def test_null_is_a_null_fact_of_every_kind(kind):
    assert fact_of(kind)(None) is None


@pytest.mark.parametrize(
    ("kind", "value", "fact"),
    [
        ("text", "In-Progress", "in_progress"),
        ("text", "X-" * 100, "x_" * 100),
        ("number", 53405, 53405),
        ("flag", False, False),
        ("version", "7.0.0-Beta1", "7.0.0-Beta1"),
        ("version", 2, "2"),
        ("list", ("VP8", "H264", "VP8"), frozenset(["vp8", "h264"])),
        ("list", [], frozenset()),
        ("list", tuple("abcdefghijkl"), frozenset("abcdefghijkl")),
        ("time", datetime(2026, 3, 2, 12, tzinfo=UTC), 1772452800),
        ("any", "Chrome", "chrome"),
        ("any", 2, "2"),
        ("any", "2", "2"),
        ("any", True, "true"),
        ("any", ["A", 1], frozenset(["a", "1"])),
        ("any", "x" * 10_000, "x" * CLIENT_TEXT),
    ],
)
def test_a_fact_is_the_value_in_the_one_form_that_conditions_compare(kind, value, fact):
    assert fact_of(kind)(value) == fact


def test_the_written_fact_keeps_the_spelling():
    assert written_fact("Tele-1") == "Tele-1"
    assert written_fact(None) is None


@pytest.mark.parametrize("key", ["sdkVersion", "sdk_version", "sdk-version", "SdkVersion", "SDKVersion"])
def test_both_spellings_of_a_key_are_one(key):
    assert snake(key) == "sdk_version"
    assert look_up({"name": "x", key: "2.28.1"}, "sdk_version") == "2.28.1"


@pytest.mark.parametrize("sent", [None, {}, {"name": "x"}])
def test_a_key_that_was_not_sent_is_null(sent):
    assert look_up(sent, "sdk_version") is None


@pytest.mark.parametrize(
    ("name", "version", "full", "major"),
    [
        ("twilio-video.js", "2.28.1", "twilio-video.js 2.28.1", "twilio-video.js 2"),
        ("twilio-video-js", "2.28.1", "twilio-video.js 2.28.1", "twilio-video.js 2"),
        ("twilio-video-ios", "5.11.3", "twilio-video-ios 5.11.3", "twilio-video-ios 5"),
        ("twilio-video-ios", "", "twilio-video-ios", "twilio-video-ios"),
        ("twilio-video-ios", "nightly", "twilio-video-ios nightly", "twilio-video-ios"),
    ],
)
def test_an_sdk_is_called_by_name_and_version(name, version, full, major):
    assert (sdk_name(name, version), sdk_major_name(name, version)) == (full, major)
