"""Mappings that are wrong or hostile: what is said about them, and what they cannot do."""

from __future__ import annotations

import pytest

from alertd.engine.conditions import parse_condition


def said(data):
    """Messages of all mistakes, each behind its path."""
    parsed = parse_condition(data)
    assert parsed.mistakes
    assert parsed.condition is None
    return [(mistake.path, mistake.message) for mistake in parsed.mistakes]


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        ({"category": "netwrok"}, ("category",), "there is no category 'netwrok'; did you mean network?"),
        ({"category": ["network", "zzz"]}, ("category", 1), "known are normal, network, client"),
        ({"category": {"not": "usr"}}, ("category", "not"), "did you mean user?"),
        ({"category": "nett*"}, ("category",), "no category is like 'nett*'; there are normal, network"),
        ({"when": "category == 'netwrok'"}, ("when",), "did you mean network?"),
        ({"browser": "Firefox"}, ("browser",), "SDKs may send it as publisher_info.browser_name"),
        ({"platformVersion": "10"}, ("platformVersion",), "publisher_info.platform_version"),
        ({"eror_code": 1}, ("eror_code",), "did you mean error_code?"),
        ({"error_code": "abc"}, ("error_code",), "error_code is a number; 'abc' is none"),
        ({"error_code": True}, ("error_code",), "is a number"),
        ({"error_code": "media*"}, ("error_code",), "a glob of digits"),
        ({"error_code": "< 10m"}, ("error_code",), "is a number"),
        ({"error_code": None}, ("error_code",), "{exists: false}"),
        ({"error_code": [1, None]}, ("error_code", 1), "{exists: false}"),
        ({"error_code": []}, ("error_code",), "at least one"),
        ({"error_code": {"in": 5}}, ("error_code", "in"), "a list"),
        ({"error_code": {}}, ("error_code",), "says nothing"),
        ({"error_code": {"lt": "x"}}, ("error_code", "lt"), "'x' is none"),
        ({"error_code": {"gtt": 5}}, ("error_code", "gtt"), "did you mean gt?"),
        ({"error_code": {"zzz": 5}}, ("error_code", "zzz"), "there are not, in, exists"),
        ({"error_code": {5: 5}}, ("error_code", "5"), "no matcher '5'"),
        ({"error_code": "!= 5"}, ("error_code",), "{not: 5}"),
        ({"error_code": "== 5"}, ("error_code",), "write 5"),
        ({"error_code": ">= 1, x"}, ("error_code",), "no comparison"),
        ({"error_code": ">="}, ("error_code",), "is none"),
        ({"error_code": 10**30}, ("error_code",), "out of range"),
        ({"error_code": float("nan")}, ("error_code",), "out of range"),
        ({"error_code": {"exists": "yes"}}, ("error_code", "exists"), "true or false"),
        ({"error_code": {"not": {"exists": True}}}, ("error_code", "not"), "{exists: false}"),
        ({"error_code": {"regex": "5"}}, ("error_code", "regex"), "a glob"),
        ({"error_code": {"has": 5}}, ("error_code", "has"), "no list"),
        ({"duration_sec": "us1"}, ("duration_sec",), "a number of seconds or a duration"),
        ({"duration_sec": "< " + "9" * 5000 + "s"}, ("duration_sec",), "a number"),
        ({"media_region": True}, ("media_region",), "in quotes"),
        ({"media_region": 1.5}, ("media_region",), "in quotes"),
        ({"media_region": "< us1"}, ("media_region",), "no order"),
        ({"media_region": {"lt": "us1"}}, ("media_region", "lt"), "no order"),
        ({"media_region": "x" * 5000}, ("media_region",), "longer than"),
        ({"media_region": {"regex": "("}}, ("media_region", "regex"), "no regular expression"),
        ({"media_region": {"regex": 5}}, ("media_region", "regex"), "in quotes"),
        ({"media_region": {"regex": "a" * 300}}, ("media_region", "regex"), "256 are allowed"),
        ({"codecs": "VP9"}, ("codecs",), "{has: 'VP9'}"),
        ({"codecs": ["VP9"]}, ("codecs", 0), "{has: 'VP9'}"),
        ({"codecs": {"has": ["VP9"]}}, ("codecs", "has"), "a list is none"),
        ({"recording_enabled": "yes"}, ("recording_enabled",), "true or false"),
        ({"error": 1}, ("error",), "true or false"),
        ({"error": "> 1"}, ("error",), "no order"),
        ({"sdk_version": 2.2}, ("sdk_version",), "in quotes"),
        ({"sdk_version": "< x"}, ("sdk_version",), "no version range"),
        ({"sdk_version": {"lt": "9" * 5000}}, ("sdk_version", "lt"), "longer than"),
        ({"join_time": "yesterday"}, ("join_time",), "2026-03-02T12:00:00Z"),
        ({"join_time": True}, ("join_time",), "is a time"),
        ({"any": []}, ("any",), "at least one"),
        ({"any": {"error": True}}, ("any",), "a list of mappings"),
        ({"any": [5]}, ("any", 0), "a mapping"),
        ({"not": [{"error": True}]}, ("not",), "a mapping"),
        ({"not": {"any": [{"eror": True}]}}, ("not", "any", 0, "eror"), "did you mean error?"),
        ({"any": [{"when": "error"}]}, ("any", 0, "when"), "at the top"),
        ({"when": 5}, ("when",), "an expression is text"),
        ({5: 5}, (), "no name of a field"),
        ("error", (), "a mapping"),
        (None, (), "a mapping"),
        ([], (), "a mapping"),
    ],
)
def test_a_mistake_says_where_it_is_and_what_would_be_right(data, path, words):
    ((where, message),) = said(data)
    assert where == path
    assert words in message
    assert len(message) < 600


def test_all_mistakes_are_told_at_once():
    paths = [
        path for path, _ in said({"a": 1, "error_code": "x", "any": [{"codecs": "VP8"}], "when": "x == 1 or y == 2"})
    ]
    assert paths == [("a",), ("error_code",), ("any", 0, "codecs"), ("when",), ("when",)]


def test_a_mistake_in_an_expression_keeps_its_column():
    (mistake,) = parse_condition({"when": "error and eror"}).mistakes
    assert (mistake.path, mistake.column) == (("when",), 11)


def test_an_end_reason_that_fits_several_is_refused():
    ((path, message),) = said({"end_reason": ["room_not_found", "track_name"]})
    assert path == ("end_reason", 1)
    assert "fits several: track_name_is_invalid, track_name_is_too_long" in message


# Hostile input


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "(a*)*", "((a+))+", "(?:a|aa)+", "(?P<n>a+){2,}", "(a?){50}", "(\\w+\\s?)*$", "a*a*a*a*b", "(a+){40}"],
)
def test_patterns_that_a_text_could_keep_busy_are_refused(pattern):
    ((_, message),) = said({"room_name": {"regex": pattern}})
    assert "repeats" in message


@pytest.mark.parametrize(
    "pattern",
    [
        "^tele-",
        r"^(tele|visit)-\d+$",
        r"(?i)^\w{8}-\w{4}",
        r"[+*?{]{3}",
        r"\(\+\)+",
        "(?:a+)?b",
        "(ab)+",
        r"^https?://",
        "[]+]+",
    ],
)
def test_ordinary_patterns_are_allowed(pattern):
    assert parse_condition({"room_name": {"regex": pattern}}).mistakes == []


def test_a_pattern_sees_no_more_of_a_text_than_a_name_can_have(matches):
    assert matches({"room_name": {"regex": "x$"}}, {}, {"room_name": "x" * 100_000 + "y"})


def test_a_glob_of_many_stars_does_not_go_back_and_forth(matches):
    assert not matches({"room_name": "*a" * 100 + "b"}, {}, {"room_name": "a" * 20_000})


def test_values_are_never_code(matches):
    evil = "'); __import__('os').system('true') #"
    assert matches({"participant_identity": evil}, {"participant_identity": evil})
    assert not matches({"participant_identity": evil}, {"participant_identity": "x"})


def test_deep_nesting_is_refused():
    data: dict = {"error": True}
    for _ in range(5000):
        data = {"not": data}
    ((path, message),) = said(data)
    assert len(path) == 21
    assert "deeper than 20" in message


def test_the_deepest_nesting_that_is_allowed_still_compiles(matches):
    data: dict = {"error": True}
    for _ in range(10):
        data = {"not": {"any": [data, {"duration_sec": "< 10"}]}}
    assert matches(data, {"error_code": 1, "duration_sec": 50}) in (True, False)


def test_aliases_that_unfold_without_end_are_refused():
    data: dict = {"error": True}
    for _ in range(15):
        data = {"any": [data] * 10}
    ((_, message),) = said(data)
    assert "more than 10000 parts" in message


def test_a_mapping_that_holds_itself_is_refused():
    data: dict = {}
    data["not"] = data
    assert "deeper" in said(data)[0][1]
