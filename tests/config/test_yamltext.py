"""YAML: the scalars of version 1.2, places of everything, nothing that runs, repeats or grows without end."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.config.reading import Mark, UnreadableError, Written
from alertd.config.yamltext import MAX_ALIASES, parse_yaml


def value(text):
    return parse_yaml(f"x: {text}").data["x"]


@pytest.mark.parametrize("text", ["NO", "no", "on", "off", "yes", "y", "12:30", "1_000", "2026-03-02", "0x", "1e", "."])
def test_words_that_older_yaml_turned_into_something_else_stay_text(text):
    assert value(text) == text


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-7", -7),
        ("012", 12),
        ("0x1f", 31),
        ("0o17", 15),
        ("2.5", 2.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(text, meant):
    assert value(text) == meant
    assert type(value(text)) in (type(meant), Written)


def test_not_a_number_is_a_number_of_that_name():
    assert math.isnan(value(".nan"))


def test_a_number_remembers_how_it_was_written():
    assert value("2.10") == 2.1
    assert value("2.10").text == "2.10"


def test_every_key_and_value_has_its_place():
    places = parse_yaml("a: 1\nb:\n  - c: x\n    d: {e: y}\n  - z\n").places
    assert places["a",].key == Mark(1, 1)
    assert places["a",].value == Mark(1, 4)
    assert places["b", 0].value == Mark(3, 5)
    assert places["b", 0, "d"].key == Mark(4, 5)
    assert places["b", 0, "d", "e"].value == Mark(4, 12)
    assert places["b", 1].value == Mark(5, 5)


def test_columns_count_characters_and_not_bytes():
    assert parse_yaml("{ä: ü, x: 1}").places["x",].key == Mark(1, 8)


def test_a_key_that_stands_twice_keeps_its_first_value_and_is_a_mistake():
    reading = parse_yaml("a: 1\nb: 2\na: 3\n")
    assert reading.data == {"a": 1, "b": 2}
    assert [(m.mark, m.message) for m in reading.mistakes] == [
        (Mark(3, 1), 'the key "a" stands here again; it was first set in line 1')
    ]


def test_an_alias_stands_for_its_anchor():
    reading = parse_yaml("a: &one [1, 2]\nb: *one\n")
    assert reading.data == {"a": [1, 2], "b": [1, 2]}
    assert reading.places["b",].value == Mark(2, 4)


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system [echo]", "!own x", "!!binary aGk=", "! x", "!!int '5'"]
)
def test_tags_are_refused_and_never_acted_on(tag):
    assert [mistake.message for mistake in parse_yaml(f"x: {tag}").mistakes] == [
        "tags (!…) are not read here; write the plain value"
    ]


def test_a_bomb_of_aliases_is_refused_before_it_goes_off():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(UnreadableError, match="aliases counted in full"):
        parse_yaml("\n".join(lines))


def test_more_aliases_than_anybody_writes_are_refused():
    with pytest.raises(UnreadableError, match="aliases"):
        parse_yaml("a: &a x\nb: [" + "*a, " * (MAX_ALIASES + 1) + "]")


def test_an_alias_inside_its_own_anchor_is_refused():
    with pytest.raises(UnreadableError, match="no anchor"):
        parse_yaml("a: &a [*a]")


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "[" * 60 + "]" * 60])
def test_deep_nesting_is_refused(text):
    with pytest.raises(UnreadableError, match="nested"):
        parse_yaml(text)


@pytest.mark.parametrize("digits", ["9" * 101, "9" * 5000, "0x" + "f" * 5000, "0." + "1" * 500])
def test_a_number_too_long_to_be_meant_is_a_mistake(digits):
    assert [mistake.message for mistake in parse_yaml(f"x: {digits}").mistakes] == [
        "is a number of more than 100 digits"
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [("a: [1, 2\n", Mark(2, 1)), ("a: b: c", Mark(1, 5)), ("x: 'open", Mark(1, 9)), ("ab: 1\nc: \x01", Mark(2, 4))],
)
def test_what_is_not_yaml_is_refused_at_its_place(text, place):
    with pytest.raises(UnreadableError, match="is not YAML") as refused:
        parse_yaml(text)
    assert refused.value.mistake.mark == place


@pytest.mark.parametrize("text", ["? [a]\n: 1", "{[a]: 1}", "*a : 1"])
def test_a_key_that_is_no_text_is_refused(text):
    with pytest.raises(UnreadableError, match="a key must be plain text"):
        parse_yaml(text)


@pytest.mark.parametrize("text", ["# only a comment\n", "---\n...\n", "---\n"])
def test_a_document_without_content_is_null(text):
    assert parse_yaml(text).data is None


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_and_nothing_else(text):
    with suppress(UnreadableError):
        assert all(place.value.column >= 1 for place in parse_yaml(text).places.values())
