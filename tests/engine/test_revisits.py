"""Which minutes are counted again, and which are forgotten between them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alertd.engine.revisits import KEPT_FOR, SLOT, Revisit, Revisits, slots


@given(st.sets(st.integers(0, 40)), st.integers(0, 41 * SLOT))
def test_the_gaps_are_all_minutes_up_to_one_that_lie_in_no_slot(needed, upto):
    revisits = Revisits()
    revisits.note(needed, 0)
    gaps = revisits.gaps(upto)
    minutes = [minute for minute in range(45 * SLOT) if any(after < minute <= last for after, last in gaps)]
    assert minutes == [minute for minute in range(upto + 1) if minute not in revisits]


@given(st.integers(-500, 500), st.integers(1, 300))
def test_slots_hold_the_minutes_that_are_asked_for_and_no_slot_more(after, length):
    found = list(slots(after, after + length))
    assert {minute // SLOT for minute in range(after + 1, after + length + 1)} == set(found)


def test_only_slots_of_which_something_was_forgotten_are_lacking():
    revisits = Revisits()
    revisits.note([2], 0)
    assert revisits.lacking([1, 2, 3, 4], kept_since=3 * SLOT) == {1, 3}
    assert revisits.lacking([1, 2, 3, 4], kept_since=3 * SLOT - 1) == {1}


def test_a_slot_is_let_go_of_hours_after_it_was_last_needed():
    revisits = Revisits()
    revisits.note([1, 2], 100)
    revisits.note([2], 150)
    other = revisits.copy()
    revisits.forget(101 + KEPT_FOR)
    assert (SLOT in revisits, 2 * SLOT in revisits) == (False, True)
    assert SLOT in other


def test_slots_side_by_side_are_read_at_once():
    revisit = Revisit({}, {"one": {4, 5}, "other": {5, 6, 9}})
    assert revisit.stretches == [(4 * SLOT - 1, 7 * SLOT - 1), (9 * SLOT - 1, 10 * SLOT - 1)]
    assert (revisit.lacks("one", 6 * SLOT), revisit.lacks("other", 6 * SLOT)) == (False, True)
