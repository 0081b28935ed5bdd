"""Laws of conditions, held against a slow reading of the same mappings."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from alertd.engine.conditions import parse_condition
from alertd.engine.fields import find_field

NAMES = {
    "error_code": st.sampled_from([None, 0, 53405, 53001, 534]),
    "duration_sec": st.sampled_from([None, 0, 9, 10, 600]),
    "media_region": st.sampled_from([None, "us1", "US1", "ie1", "zz"]),
    "participant_identity": st.sampled_from([None, "", "Tele-1", "tele_1", "x"]),
    "codecs": st.sampled_from([None, (), ("VP8",), ("vp8", "H264")]),
    "sdk_version": st.sampled_from([None, "", "1.0", "2.28.0", "2.28.1-beta2", "odd"]),
}
people = st.fixed_dictionaries(NAMES)

numbers = st.sampled_from([53405, 53001, 10, 9])
texts = st.sampled_from(["us1", "IE1", "zz", "tele-1", "T*", "*1", "t?le_*", "x"])
versions = st.sampled_from(["1.0", "2.28", "< 2.28", ">= 1.0, < 2.28.1", "2.*", "Odd"])
orders = st.sampled_from(["< 10", ">= 10", "> 0, <= 600", "<= 9"])


def matchers(values):
    """Matchers of a field, given its bare values: alone, in lists, negated, or asking whether there is one."""
    listed = st.lists(values, min_size=1, max_size=3)
    plain = values | listed | listed.map(lambda several: {"in": several})
    return plain | plain.map(lambda value: {"not": value}) | st.booleans().map(lambda wanted: {"exists": wanted})


leaves = st.one_of(
    st.tuples(st.just("error_code"), matchers(numbers | st.just("534*"))),
    st.tuples(st.just("duration_sec"), matchers(numbers | orders) | st.just({"gte": 9, "lt": 600})),
    st.tuples(st.sampled_from(["media_region", "participant_identity"]), matchers(texts) | st.just({"regex": "E-?1"})),
    st.tuples(st.just("codecs"), st.sampled_from([{"has": "VP8"}, {"not": {"has": "H264"}}, {"exists": False}])),
    st.tuples(st.just("sdk_version"), matchers(versions)),
).map(lambda pair: dict([pair]))
mappings = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts})
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts})
        | inner.map(lambda part: {"not": part})
        | st.tuples(leaves, inner).map(lambda two: two[0] | two[1])
    ),
    max_leaves=8,
)


def slowly(data, person):
    """The meaning of a mapping, read word by word."""
    return all(slow_entry(key, value, person) for key, value in data.items())


def slow_entry(key, value, person):
    if key == "any":
        return any(slowly(part, person) for part in value)
    if key == "all":
        return all(slowly(part, person) for part in value)
    if key == "not":
        return not slowly(value, person)
    sent = person[key]
    if key == "error_code" and sent == 0:
        sent = None
    if isinstance(value, dict) and "exists" in value:
        return (sent is not None) == value["exists"]
    return sent is not None and slow_value(value, sent)


def slow_value(value, sent):
    if isinstance(value, list):
        return any(slow_value(one, sent) for one in value)
    if isinstance(value, dict):
        return all(slow_word(word, operand, sent) for word, operand in value.items())
    if isinstance(sent, int):
        return slow_number(value, sent)
    same = value.lower().replace("-", "_")
    if re.search("[<>]", value):
        return slow_version(value, sent)
    if re.search("[*?]", value):
        pattern = re.escape(same).replace(r"\*", ".*").replace(r"\?", ".")
        return re.fullmatch(pattern, sent.lower().replace("-", "_"), re.DOTALL) is not None
    return same == sent.lower().replace("-", "_") or (value[0].isdigit() and slow_version(f"== {value}", sent))


def slow_word(word, operand, sent):
    if word == "not":
        return not slow_value(operand, sent)
    if word == "in":
        return slow_value(operand, sent)
    if word == "has":
        return operand.lower() in [codec.lower() for codec in sent]
    if word == "regex":
        return re.search(operand.lower(), sent.lower()) is not None
    return sent >= operand if word == "gte" else sent < operand


def slow_number(value, sent):
    if isinstance(value, int):
        return value == sent
    if "*" in value:
        return str(sent).startswith(value[:-1])
    return all(eval(f"{sent} {part}") for part in value.split(","))


def slow_version(value, sent):
    try:
        return SpecifierSet(value).contains(Version(sent), prereleases=True)
    except InvalidVersion:
        return False


@pytest.fixture(scope="session")
def answer(matches):
    """Whether a mapping matches a person of the strategy above."""

    def ask(data, person):
        version = person["sdk_version"]
        sent = {name: value for name, value in person.items() if name != "sdk_version"}
        return matches(data, sent | {"publisher_info": {"sdk_version": version}})

    return ask


@given(data=mappings, person=people)
def test_the_compiled_function_agrees_with_a_slow_reading(answer, data, person):
    assert answer(data, person) == slowly(data, person)


@given(data=mappings, person=people)
def test_not_twice_is_as_it_was_and_once_is_the_opposite(answer, data, person):
    plain = answer(data, person)
    assert answer({"not": {"not": data}}, person) == plain
    assert answer({"not": data}, person) != plain


@given(data=mappings, other=mappings)
def test_the_order_of_parts_makes_no_difference(data, other):
    one, two = parse_condition({"all": [data, other]}).condition, parse_condition({"all": [other, data]}).condition
    assert one == two
    assert hash(one) == hash(two)
    assert str(one) == str(two)


@given(data=mappings)
def test_a_condition_knows_its_fields(data):
    condition = parse_condition(data).condition
    named = {find_field(name) for name in NAMES if f"'{name}'" in str(data)}
    assert {field.name.removesuffix(" as written") for field in condition.fields} == {field.name for field in named}


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*NAMES, "any", "all", "not", "when", "in", "exists", "regex", "has", "lt", "end_reason", "error"]
            )
            | st.text(max_size=5),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(data=json_like)
def test_whatever_is_written_is_either_a_condition_or_a_list_of_mistakes(holds, settled_room, data):
    parsed = parse_condition(data)
    assert (parsed.condition is None) == bool(parsed.mistakes)
    if parsed.condition is not None:
        holds(parsed.condition, settled_room({"error_code": 5, "end_reason": "x"}))
