"""The tree of a condition and the function made of it."""

from __future__ import annotations

import pytest

from alertd.engine.fields import find_field
from alertd.engine.predicates import (
    EVERYTHING,
    FieldTest,
    compile_condition,
    every,
    exists,
    negation,
    one_of,
    present_but_not,
    some,
)

CODE, REGION, SPAN = find_field("error_code"), find_field("media_region"), find_field("duration_sec")
A, B = one_of(CODE, 53405), one_of(REGION, "us1")
SHORT = FieldTest(SPAN, "<", 10)
INDEX = {"error_code": 0, "media_region": 1, "duration_sec": 2}


def test_groups_of_one_sort_become_one_group():
    assert every(A, every(B, SHORT)) == every(every(A, B), SHORT)
    assert some(A, some(B, SHORT)) == some(some(A, B), SHORT)


def test_twins_are_dropped_and_a_group_of_one_is_its_part():
    assert every(A, A) == some(A, A) == every(A) == some(A) == A
    assert every(A, EVERYTHING) == A
    assert every() == EVERYTHING


def test_equalities_on_one_field_become_one_look_up():
    assert some(one_of(CODE, 2), one_of(CODE, 1), B) == some(B, one_of(CODE, 1, 2))


def test_a_double_negation_is_none():
    assert negation(negation(A)) == A


def test_the_cheapest_test_comes_first():
    dear = FieldTest(find_field("room_name"), "matches", "x")
    assert every(dear, SHORT, A, exists(REGION)).parts == (exists(REGION), A, SHORT, dear)


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (EVERYTHING, "everything"),
        (A, "error_code == 53405"),
        (B, 'media_region == "us1"'),
        (one_of(CODE, 2, 1), "error_code in (1, 2)"),
        (exists(CODE), "error_code != null"),
        (exists(CODE, wanted=False), "error_code == null"),
        (present_but_not(CODE, A), "error_code != null and not (error_code == 53405)"),
        (every(SHORT, some(A, B)), 'duration_sec < 10 and (error_code == 53405 or media_region == "us1")'),
        (some(SHORT, every(A, B)), 'duration_sec < 10 or (error_code == 53405 and media_region == "us1")'),
        (FieldTest(find_field("codecs"), "has", "vp9"), '"vp9" in codecs'),
        (FieldTest(find_field("sdk_version"), "version", "<2.28"), "publisher_info.sdk_version <2.28"),
        (FieldTest(find_field("room_name"), "like", 'a"*'), 'room.room_name like "a\\"*"'),
    ],
)
def test_a_condition_reads_as_a_sentence(condition, text):
    assert str(condition) == text


def test_conditions_are_equal_by_content_and_serve_as_keys():
    assert {every(A, B): 1}[every(B, A)] == 1
    assert one_of(CODE, 53001) != A


def test_an_expression_looks_at_text_as_written_and_everything_else_at_facts():
    name = find_field("room_name")
    assert FieldTest(name, "matches", "x").fields == {name.as_written}
    assert every(A, FieldTest(name, "like", "x*")).fields == {CODE, name}


def test_the_function_looks_where_the_index_says():
    holds = compile_condition(every(A, some(B, SHORT)), INDEX)
    assert holds((53405, "us1", None)) is True
    assert holds((53405, None, 9)) is True
    assert holds((53405, "ie1", 10)) is False
    assert holds((None, "us1", 9)) is False


@pytest.mark.parametrize("span", [None, 5, 50])
def test_a_contradiction_about_null_holds_for_nothing(span):
    holds = compile_condition(every(exists(SPAN, wanted=False), SHORT), INDEX)
    assert holds((None, None, span)) is False


def test_everything_matches_a_tuple_without_facts():
    assert compile_condition(EVERYTHING, {})(()) is True


def test_a_field_that_the_index_lacks_is_an_error_at_load():
    with pytest.raises(KeyError, match="error_code"):
        compile_condition(A, {})


def test_values_are_bound_and_not_written_into_the_function():
    holds = compile_condition(one_of(REGION, "__secret__"), INDEX)
    assert "__secret__" not in repr(holds.__code__.co_consts) + repr(holds.__code__.co_names)
    assert holds.__defaults__ == ("__secret__",)
