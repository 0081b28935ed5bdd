"""The `when:` of a rule: what it means, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.engine.conditions import parse_condition
from alertd.engine.expressions import EXPRESSION_LENGTH, parse_expression


def condition_of(text):
    parsed = parse_expression(text)
    assert parsed.mistakes == []
    return parsed.condition


@pytest.fixture(scope="session")
def says_yes(holds, settled_room):
    """Whether an expression matches one participant, given by its values."""
    return lambda text, participant: holds(condition_of(text), settled_room(participant))


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("error_code == 53405", {"error_code": 53405}),
        ("53405 == error_code", {"error_code": 53405}),
        ("error_code == '534*'", {"error_code": "534*"}),
        ("error_code == 0", {"error_code": 0}),
        ("error_code != 53405", {"error_code": {"not": 53405}}),
        ("error_code in (53405, 53001)", {"error_code": [53405, 53001]}),
        ("error_code in [53405]", {"error_code": 53405}),
        ("error_code not in (53405, 53001)", {"error_code": {"not": [53405, 53001]}}),
        ("duration_sec < 10", {"duration_sec": "< 10"}),
        ("10 > duration_sec", {"duration_sec": "< 10"}),
        ("10 < duration_sec", {"duration_sec": "> 10"}),
        ("10 >= duration_sec", {"duration_sec": "<= 10"}),
        ("duration_sec >= '10m'", {"duration_sec": ">= 600"}),
        ("duration_sec > -1", {"duration_sec": "> -1"}),
        ("1 <= duration_sec < 5", {"duration_sec": {"gte": 1, "lt": 5}}),
        ("media_region == 'US1'", {"media_region": "us1"}),
        ('media_region == "us1"', {"media_region": "us1"}),
        ("end_reason == 'media_connection_failed'", {"end_reason": "media_connection_failed"}),
        ("end_reason == 'media_*'", {"end_reason": "media_*"}),
        ("sdk_version < '2.28'", {"sdk_version": "< 2.28"}),
        ("'1.0' <= publisher_info.sdk_version < '2.0'", {"sdk_version": ">= 1.0, < 2.0"}),
        ("sdk_version == '2.28.1'", {"publisher_info.sdkVersion": "2.28.1"}),
        ("room.room_type == 'group-small'", {"room_type": "group_small"}),
        ("properties.isAdhoc == true", {"properties.is_adhoc": True}),
        ("'VP9' in codecs", {"codecs": {"has": "VP9"}}),
        ("'VP9' not in room.codecs", {"room.codecs": {"not": {"has": "VP9"}}}),
        ("error", {"error": True}),
        ("not error", {"not": {"error": True}}),
        ("error == False", {"error": False}),
        ("recording_enabled != true", {"recording_enabled": {"not": True}}),
        ("media_region == null", {"media_region": {"exists": False}}),
        ("None == media_region", {"media_region": {"exists": False}}),
        ("media_region != none", {"media_region": {"exists": True}}),
        ("join_time > '2026-03-01T00:00:00Z'", {"join_time": "> 2026-03-01T00:00:00Z"}),
        (
            "error_code == 53405 and duration_sec < 10 and sdk_version < '2.28'",
            {"error_code": 53405, "duration_sec": "< 10", "sdk_version": "< 2.28"},
        ),
        (
            "error_code == 53405 or (duration_sec < 10 and not media_region == 'us1')",
            {"any": [{"error_code": 53405}, {"duration_sec": "< 10", "not": {"media_region": "us1"}}]},
        ),
        ("  error\n  and partial\n", {"error": True, "partial": True}),
    ],
)
def test_an_expression_means_the_same_as_a_mapping(text, mapping):
    assert condition_of(text) == parse_condition(mapping).condition


@pytest.mark.parametrize(
    "text",
    [
        "error_code == 1",
        "error_code != 1",
        "error_code in (1, 2)",
        "error_code not in (1, 2)",
        "error_code < 1",
        "error_code >= 0",
        "sdk_version < '9'",
        "sdk_version != '9'",
        "'VP8' in codecs",
        "'VP8' not in codecs",
        "recording_enabled",
        "media_region != null",
    ],
)
def test_null_passes_no_comparison(says_yes, text):
    assert not says_yes(text, {})


@pytest.mark.parametrize("text", ["not error_code == 1", "not (status in ('a', 'b'))", "media_region == null"])
def test_plain_negation_and_the_question_for_null_hold_for_null(says_yes, text):
    assert says_yes(text, {})


def test_and_binds_closer_than_or(says_yes):
    text = "error or duration_sec < 10 and media_region == 'us1'"
    assert says_yes(text, {"error_code": 5, "media_region": "ie1"})
    assert not says_yes(text, {"duration_sec": 5, "media_region": "ie1"})


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("eror_code == 1", 1, "did you mean error_code?"),
        ("error and eror", 11, "did you mean error?"),
        ("  error and eror", 13, "did you mean error?"),
        ("error\nand\neror", 11, "did you mean error?"),
        ("participant_identity == 'Zoë' and eror", 35, "did you mean error?"),
        ("room.typ == 'x'", 1, "there is no field 'room.typ'"),
        ("error_code == 'abc'", 1, "error_code is a number"),
        ("media_region < 'us1'", 1, "no order"),
        ("media_region == 'us1' and codecs == 'VP8'", 27, "{has: 'VP8'}"),
        ("duration_sec", 1, "compare it with something"),
        ("duration_sec == join_time", 1, "a literal on the other"),
        ("1 == 1", 1, "a literal on the other"),
        ("true", 1, "nothing is compared"),
        ("'error'", 1, "nothing is compared"),
        ("error_code in 5", 15, "a list of literals"),
        ("error_code in ()", 15, "a list of literals"),
        ("media_region in 'us1'", 17, "a list of literals"),
        ("error_code in (1, null)", 19, "error_code == null"),
        ("error_code in (1, duration_sec)", 19, "no literal"),
        ("error_code is None", 1, "write == or !="),
        ("error_code == 53405 AND error", 21, "small letters"),
        ("error_code = 53405", 12, "equality is written =="),
        ("error_code ==", 14, "cannot be read"),
        ("(error", 1, "cannot be read"),
        ("", 1, "cannot be read"),
        ("error; error", 6, "cannot be read"),
        ("error_code == 9**9", 15, "no literal"),
        ("error_code == " + "9" * 1900, 1, "out of range"),
        ("error_code == 1e999", 1, "out of range"),
        ("error_code == 1j", 15, "no literal"),
        ("media_region == b'us1'", 17, "no literal"),
        ("media_region == f'{error}'", 17, "no literal"),
        ("error_code == ...", 15, "no literal"),
        ("error_code == -true", 15, "no literal"),
        ("__import__('os').system('true')", 1, "nothing is compared"),
        ("__import__ == 1", 1, "there is no field '__import__'"),
        ("error.__class__ == 1", 1, "there is no field"),
        ("error_code == (lambda: 1)()", 15, "no literal"),
        ("[x for x in (1,)] == error_code", 1, "no literal"),
        ("(error := 1)", 2, "nothing is compared"),
        ("error if error else error", 1, "nothing is compared"),
        ("error_code + 1 == 2", 1, "a literal on the other"),
        ("codecs[0] == 'VP8'", 1, "a literal on the other"),
        ("error_code == 1 == 1", 15, "a literal on the other"),
    ],
)
def test_a_mistake_says_at_which_character_and_what_would_be_right(text, column, words):
    parsed = parse_expression(text)
    assert parsed.condition is None
    mistake = parsed.mistakes[0]
    assert words in mistake.message
    assert mistake.column == column
    assert f"character {column}:" in mistake.message
    assert len(mistake.message) < 400


def test_all_mistakes_are_told_at_once():
    parsed = parse_expression("a == 1 or not b == 2 and (error_code == 'x' or 5)")
    assert [mistake.column for mistake in parsed.mistakes] == [1, 15, 27, 48]


def test_notices_have_their_place_too():
    (notice,) = parse_expression("error and media_region == 'us11'").notices
    assert notice.column == 27
    assert "did you mean us1?" in notice.message


@pytest.mark.parametrize(
    "text",
    [
        "error or " * 400 + "error",
        "not " * 400 + "error",
        "(" * 300 + "error" + ")" * 300,
        "error_code == " + "-" * 900 + "1",
        "error" + ".a" * 900,
        "(" * (EXPRESSION_LENGTH + 1),
        "error\x00",
    ],
)
def test_what_is_too_large_too_deep_or_no_text_is_refused(text):
    parsed = parse_expression(text)
    assert parsed.mistakes


def test_wide_expressions_within_the_length_are_fine():
    assert parse_expression(" or ".join(f"error_code == {code}" for code in range(1, 80))).condition is not None


@pytest.mark.parametrize("value", [None, 5, True, ["error"]])
def test_what_is_no_text_is_no_expression(value):
    assert "is text" in parse_expression(value).mistakes[0].message


@given(text=st.text(max_size=60) | st.text("eror_cd ()<>=!'59,.notindb-", max_size=40))
def test_any_text_is_either_a_condition_or_a_list_of_mistakes(text):
    parsed = parse_expression(text)
    assert (parsed.condition is None) == bool(parsed.mistakes)


comparisons = st.sampled_from(
    [
        ("error_code == 53405", {"error_code": 53405}),
        ("error_code != 53405", {"error_code": {"not": 53405}}),
        ("duration_sec < 10", {"duration_sec": "< 10"}),
        ("media_region in ('us1', 'ie1')", {"media_region": ["us1", "ie1"]}),
        ("sdk_version >= '2.28'", {"sdk_version": ">= 2.28"}),
        ("'VP8' in codecs", {"codecs": {"has": "VP8"}}),
        ("media_region == null", {"media_region": {"exists": False}}),
        ("error", {"error": True}),
    ]
)
pairs = st.recursive(
    comparisons,
    lambda inner: (
        st.tuples(inner, inner).map(lambda two: (f"({two[0][0]} and {two[1][0]})", {"all": [two[0][1], two[1][1]]}))
        | st.tuples(inner, inner).map(lambda two: (f"({two[0][0]} or {two[1][0]})", {"any": [two[0][1], two[1][1]]}))
        | inner.map(lambda one: (f"not ({one[0]})", {"not": one[1]}))
    ),
    max_leaves=10,
)


@given(pair=pairs)
def test_an_expression_and_its_mapping_are_one_tree(pair):
    text, mapping = pair
    assert condition_of(text) == parse_condition(mapping).condition
