"""Durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.engine.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("7d", 604800), ("2w", 1209600), (" 30s ", 30)],
)
def test_a_duration_is_a_number_with_its_unit_or_several_from_great_to_small(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", " ", "5", "m", "5 m", "-5m", "1.5h", "30m1h", "5M", "1h 30m", "five minutes"])
def test_anything_else_is_refused_with_what_would_be_right(text):
    with pytest.raises(ValueError, match="write it like 30s, 5m, 2h or 7d"):
        parse_duration(text)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (90, "1m30s"), (86400, "1d"), (1209600, "14d")])
def test_a_duration_is_shown_in_the_shortest_way_without_weeks(seconds, text):
    assert format_duration(seconds) == text


@given(st.integers(0, 10**9))
def test_what_is_shown_can_be_read_again(seconds):
    assert parse_duration(format_duration(seconds)) == seconds
