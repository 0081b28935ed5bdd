"""TOML: the data that tomllib reads, with a place for every path into it however the file writes the path."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.config.reading import Mark, UnreadableError
from alertd.config.tomltext import parse_toml


def paths(data, path=()):
    yield path
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield from paths(value, (*path, key))


def place(text, *path):
    return parse_toml(text).places[path]


def test_a_plain_key_and_its_value():
    assert place('a = 1\n  b =  "x"\n', "b") == (Mark(2, 3), Mark(2, 8))


def test_a_key_in_a_table():
    text = "[one]\na = 1\n[two.three]\na = 2\n"
    assert place(text, "two", "three", "a").value == Mark(4, 5)
    assert place(text, "two", "three").value == Mark(3, 1)
    assert place(text, "one").key == Mark(1, 2)


def test_a_dotted_key():
    assert place("rate.above = 1\nrate . 'over' = 2\n", "rate", "over") == (Mark(2, 8), Mark(2, 17))


def test_keys_in_arrays_of_tables_and_in_tables_below_them():
    text = "[[a]]\nx = 1\n[a.in]\ny = 2\n[[a]]\nx = 3\n[a.in]\ny = 4\n[[a.list]]\nz = 5\n[[a.list]]\nz = 6\n"
    assert place(text, "a", 0, "in", "y").value == Mark(4, 5)
    assert place(text, "a", 1, "in", "y").value == Mark(8, 5)
    assert place(text, "a", 1, "list", 1, "z").value == Mark(12, 5)
    assert place(text, "a", 1).value == Mark(5, 1)


def test_inline_tables_and_arrays():
    text = "a = { b = [ 1, { c = 'x' } ], d.e = 2 }\n"
    assert place(text, "a", "b", 1, "c") == (Mark(1, 18), Mark(1, 22))
    assert place(text, "a", "d", "e").value == Mark(1, 37)


def test_an_array_over_several_lines_with_comments():
    text = "a = [ # one ]\n  1,\n  # two, ]\n  [2, 3],\n]\nb = 4\n"
    assert place(text, "a", 1, 1).value == Mark(4, 7)
    assert place(text, "b").value == Mark(6, 5)


def test_brackets_and_hashes_inside_texts_mean_nothing():
    text = 'a = "[x] # \\" }"\nb = \'[[ #\'\nc = """\n[no]\n"quoted" ""\n"""\nd = \'\'\'it\'s\n[no]\'\'\'\ne = 1\n'
    assert place(text, "e").value == Mark(9, 5)
    assert set(parse_toml(text).places) == set(paths(tomllib.loads(text)))


def test_quoted_keys_are_found_by_what_they_say():
    assert place('"a.b" = 1\n\'c d\'."\\u00e9" = 2\n', "c d", "é").value == Mark(2, 18)


def test_a_number_remembers_how_it_was_written():
    assert parse_toml("a = 2.10").data["a"].text == "2.10"


@pytest.mark.parametrize(
    ("text", "mark", "message"),
    [
        ("a = 1\nb = \n", Mark(2, 5), "invalid value"),
        ("a = 1\na = 2\n", Mark(2, 6), "cannot overwrite a value"),
        ("a = [1, 2", Mark(1, 10), "unclosed array"),
        ("a = 1 b\n", Mark(1, 7), "expected newline or end of document after a statement"),
        ("a = 1\nb = " + "9" * 5000 + "\nc = 1", Mark(2, 5), "too many digits"),
    ],
)
def test_what_is_not_toml_is_refused_at_its_place(text, mark, message):
    with pytest.raises(UnreadableError, match=message) as refused:
        parse_toml(text)
    assert refused.value.mistake.mark == mark


@pytest.mark.parametrize("depth", [60, 100_000])
def test_deep_nesting_is_refused(depth):
    with pytest.raises(UnreadableError, match="nested"):
        parse_toml("a = " + "[" * depth + "]" * depth)


def test_comments_alone_are_an_empty_table():
    assert parse_toml("# nothing\n").data == {}


KEYS = st.text(min_size=1, max_size=8)
VALUES = st.recursive(
    st.integers(-1000, 1000) | st.booleans() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def quoted(text):
    return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\U{ord(c):08x}" for c in text) + '"'


def written(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}'" if value.isprintable() and "'" not in value else quoted(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + " ]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quoted(key)} = {written(inner)}" for key, inner in value.items()) + " }"
    return str(value)


def no_surrogates(value):
    return "\\ud" not in ascii(value)


@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4).filter(no_surrogates))
def test_every_path_into_the_data_has_a_place_and_no_other_has(tables):
    text = "".join(
        f"[{quoted(name)}] # {{\n" + "".join(f"{quoted(key)} = {written(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )
    reading = parse_toml(text)
    assert reading.data == tables
    assert set(reading.places) == set(paths(tables))
