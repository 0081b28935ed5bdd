"""What single values mean for single fields; test_conditions.py has the tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.engine.fields import field_names, find_field
from alertd.engine.literals import LiteralError, equal_to, has, matching, ordered, scalar, shown

fields = st.sampled_from(sorted(field_names())).map(find_field)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.text("<>=!~*?., 0123456789smhd", max_size=12),
    st.lists(st.integers(), max_size=2),
    st.binary(max_size=3),
    st.datetimes(),
)


def silent(_message):
    """Takes a remark and drops it."""


def taken_or_refused(read, field, value):
    """The condition, or the error that says why there is none."""
    try:
        return read(field, value, silent)
    except LiteralError as refused:
        return refused


@given(field=fields, value=values)
@pytest.mark.parametrize(
    "read",
    [
        scalar,
        equal_to,
        has,
        lambda field, value, _note: ordered(field, "<", value),
        lambda field, value, _note: matching(field, value),
    ],
    ids=["scalar", "equal_to", "has", "ordered", "matching"],
)
def test_a_value_is_taken_or_refused_with_a_short_message(read, field, value):
    assert 0 < len(str(taken_or_refused(read, field, value))) < 700


def test_a_mappings_scalar_may_be_a_comparison_and_an_expressions_literal_may_not():
    duration = find_field("duration_sec")
    assert str(scalar(duration, "< 10", silent)) == "duration_sec < 10"
    with pytest.raises(LiteralError):
        equal_to(duration, "< 10", silent)


def test_whole_numbers_look_alike_however_they_are_written():
    duration = find_field("duration_sec")
    assert scalar(duration, 60.0, silent) == scalar(duration, "60", silent) == scalar(duration, "1m", silent)


def test_any_value_is_shown_short():
    for value in (10**5000, "x" * 1000, [1] * 1000, {"a": 1}, object(), True, None):
        assert len(shown(value)) <= 90
