"""What is kept of the values that came up says just what a plain list of the rooms says, however they came and went."""

from __future__ import annotations

import math
import pickle
import sys
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alertd.engine.books import Bags, Different, Entry, Quantities, Sightings, Starts, number_said, slot, value_at

HOUR = 60
LAW = settings(deadline=None, max_examples=60)
texts = st.sampled_from(["0", "1", "-3", "7.5", "255", "300", "86400", "0.001", "nan", "inf", "1e400", "true", "x"])
rooms = st.lists(
    st.builds(
        lambda ended, values: Entry(ended, ended + 8, ended, len(values), len(values), tuple(values)),
        st.integers(0, 300),
        st.lists(texts, max_size=4),
    ),
    max_size=25,
)
spans = st.lists(st.tuples(st.integers(-10, 310), st.integers(-40, 320)).map(lambda s: (s[0], s[0] + s[1])), max_size=8)


def entry(ended: int, *values: str, known: int | None = None) -> Entry:
    return Entry(ended, ended + 8 if known is None else known, ended, max(len(values), 1), len(values), values)


def said(entries: list[Entry], after: int, upto: int) -> list[float]:
    """The numbers that the rooms of a window say, in order."""
    words = [text for one in entries if after < one.ended <= upto for text in one.values]
    return sorted(number for number in map(number_said, words) if number is not None)


def steps(work: Callable[[], object]) -> int:
    """How many lines of the books' code are run: a cost that no busy machine changes."""
    count = 0

    def trace(frame, event, _argument):
        nonlocal count
        if not frame.f_code.co_filename.endswith(("books.py", "windows.py")):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


# numbers in words


@pytest.mark.parametrize(
    "text", [
        *("nan", "NaN", "inf", "-inf", "Infinity", "1e400", "1e16", "-1e16", "9" * 400, "true", "false", "", " 1"),
        *("1_000", "0x10", "\u0661\u0662", "1,5", "--1", "1.", ".5", "1e", '{"a":1}', "1\n", "\ud800", "x" * 10_000),
    ],
)  # fmt: skip
def test_what_is_no_measurement_is_no_number(text):
    assert number_said(text) is None


@pytest.mark.parametrize("text", ["0", "-0", "12", "-3.25", "1e-7", "2.5E+3", "1e15", "-1e15", "0.0001234", "1e-999"])
def test_decimals_are_read_as_python_reads_them(text):
    assert number_said(text) == float(text)


@LAW
@given(st.floats(-1e15, 1e15))
def test_a_number_is_told_to_one_in_256(value):
    assert value_at(slot(value)) == pytest.approx(value, rel=1 / 256, abs=2.0**-100)


@LAW
@given(st.floats(-1e15, 1e15), st.floats(-1e15, 1e15))
def test_the_scale_keeps_the_order_of_numbers(one, other):
    low, high = sorted((one, other))
    assert slot(low) <= slot(high)
    assert value_at(slot(low)) <= value_at(slot(high))


@LAW
@given(st.one_of(st.floats(-1e15, 1e15), st.integers(-600, 600).map(float)))
def test_what_is_told_of_a_number_lies_in_its_own_step_and_mirrors_its_opposite(value):
    assert slot(value_at(slot(value))) == slot(value)
    assert slot(-value) == -slot(value)


def test_whole_numbers_below_256_are_told_exactly():
    assert [value_at(slot(float(number))) for number in range(-255, 256)] == [float(n) for n in range(-255, 256)]


# windows that move


@LAW
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 60), st.integers(0, 3)),
            st.tuples(st.just("out"), st.integers(0, 20), st.just(0)),
            st.tuples(st.just("ask"), st.integers(-5, 65), st.integers(-10, 40)),
            st.tuples(st.just("forget"), st.integers(0, 10), st.just(0)),
        ),
        max_size=40,
    )
)
def test_however_windows_move_while_numbers_come_and_go_each_holds_what_is_in_it(script):
    bags, inside, forgotten = Bags(), [], -1
    for what, one, other in script:
        if what == "add":
            bags.add(one, {other: 1, other + 1: 2}, 1)
            inside.append((one, other))
        elif what == "out" and inside:
            minute, number = inside.pop(one % len(inside))
            bags.add(minute, {number: 1, number + 1: 2}, -1)
        elif what == "forget":
            forgotten = max(forgotten, one)
            bags.forget(forgotten)
            inside = [pair for pair in inside if pair[0] > forgotten]
        elif what == "ask":
            there = [number for minute, number in inside if one < minute <= one + other]
            assert bags.within(one, one + other) == Counter(there) + Counter(n + 1 for n in there for _ in "ab")


def test_bags_hold_nothing_of_what_was_taken_out_again():
    bags = Bags()
    bags.add(5, {1: 2}, 1)
    bags.within(0, 10)
    bags.add(5, {1: 2}, -1)
    assert len(bags) == 0
    assert bags.within(0, 10) == {}


# numbers


@LAW
@given(rooms, spans, st.data())
def test_numbers_are_those_of_a_plain_list_in_any_order_with_rooms_taken_out(entries, windows, data):
    gone = data.draw(st.lists(st.sampled_from(entries), unique_by=id)) if entries else []
    book = Quantities(10**6)
    for one in data.draw(st.permutations(entries)):
        book.fold(one, 1)
    for one in gone:
        book.fold(one, -1)
    left = entries.copy()
    for one in gone:
        left.remove(one)
    for after, upto in windows:
        numbers = said(left, after, upto)
        assert book.count(after, upto) == len(numbers)
        assert book.sum(after, upto) == pytest.approx(math.fsum(numbers), abs=1e-5)
        assert book.mean(after, upto) == pytest.approx(math.fsum(numbers) / len(numbers) if numbers else 0, abs=1e-6)
        for percent in (0, 50, 95, 99, 100):
            rank = max(1, -(-percent * len(numbers) // 100))
            exact = numbers[rank - 1] if numbers else 0
            assert book.percentile(percent, after, upto) == pytest.approx(exact, rel=1 / 256)


@LAW
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.sampled_from([50, 95, 99, 100]))
def test_percentiles_are_numpys_by_nearest_rank(values, percent):
    values = [float(f"{value:.6f}") for value in values]
    book = Quantities(100)
    book.fold(entry(5, *[f"{value:.6f}" for value in values]), 1)
    theirs = np.percentile(values, percent, method="inverted_cdf")
    assert book.percentile(percent, 0, 10) == pytest.approx(theirs, rel=1 / 256, abs=1e-12)


def test_small_shares_keep_their_mean():
    """Packet loss is a number like 0.0004: a mean of thousandths would be 0."""
    book = Quantities(100)
    book.fold(entry(1, *["0.0004", "0.0006"] * 50), 1)
    assert book.mean(0, 1) == 0.0005


def test_ten_thousand_of_the_greatest_numbers_still_have_a_sum():
    book = Quantities(10**6)
    for minute in range(10):
        book.fold(entry(minute, *["1e15", "999999999999999.5"] * 600), 1)
    assert book.sum(-1, 10) == pytest.approx(6000 * (2e15 - 0.5), rel=1e-15)
    for minute in range(10):
        book.fold(entry(minute, *["1e15", "999999999999999.5"] * 600), -1)
    assert (book.count(-1, 10), book.sum(-1, 10), book.percentile(50, -1, 10)) == (0, 0, 0)


def test_a_poisoned_value_leaves_the_others_as_they_are():
    book = Quantities(100)
    book.fold(entry(1, "nan", "10", "inf", "-inf", "1e400", "true", "", "ten", "9" * 300), 1)
    assert (book.count(0, 1), book.mean(0, 1), book.percentile(100, 0, 1)) == (1, 10, 10)


@pytest.mark.parametrize("make", [Quantities, Different])
def test_what_is_out_of_every_window_is_forgotten_and_nothing_else(make):
    book = make(100)
    for minute in range(300):
        book.fold(entry(minute, "1"), 1)
    book.forget(299)
    assert len(book) == 100
    assert book.count(199, 299) == (100 if make is Quantities else 1)


# different values


@LAW
@given(rooms, spans, st.data())
def test_different_values_are_those_of_a_plain_list_in_any_order_with_rooms_taken_out(entries, windows, data):
    gone = data.draw(st.lists(st.sampled_from(entries), unique_by=id)) if entries else []
    book = Different(10**6)
    for one in data.draw(st.permutations(entries)):
        book.fold(one, 1)
    for one in gone:
        book.fold(one, -1)
    left = entries.copy()
    for one in gone:
        left.remove(one)
    for after, upto in windows:
        assert book.count(after, upto) == len({t for one in left if after < one.ended <= upto for t in one.values})


def test_ten_thousand_hostile_texts_are_ten_thousand_values():
    hostile = [
        "",
        "\ud800",
        "\x00",
        "x" * 256,
        "<!channel>",
        "1",
        "1.0",
        "\u00e9",
        "e\u0301",
        *map(str, range(2, 9993)),
    ]
    book = Different(100)
    for start in range(0, len(hostile), 100):
        book.fold(entry(1, *hostile[start : start + 100]), 1)
    assert book.count(0, 1) == len(set(hostile)) == 10_000


# what a look costs


@pytest.mark.parametrize(("make", "look"), [
    (Quantities, lambda book, after, upto: book.percentile(95, after, upto)),
    (Different, lambda book, after, upto: book.count(after, upto)),
])  # fmt: skip
def test_a_minute_later_a_window_costs_what_that_minute_holds(make, look):
    """Thirty days of which each minute has five values: also while recovery is judged by half an hour of them."""
    book, month = make(10**6), 43_200
    for minute in range(month + 20):
        book.fold(entry(minute, *[str((minute * 5 + n) % 97) for n in range(5)]), 1)

    def tick(minute: int) -> None:
        look(book, minute - month, minute)
        look(book, minute - 30, minute)

    first = steps(lambda: tick(month))
    later = [steps(lambda minute=minute: tick(minute)) for minute in range(month + 1, month + 10)]
    assert first > month
    assert (
        max(later) < 1200
    )  # some lines for each of the 97 values, and for the minutes at the two edges of two windows


def test_seven_positions_cost_what_half_an_hour_holds():
    book = Different(10**6)
    for minute in range(500):
        book.fold(entry(minute, *map(str, range(20))), 1)

    def tick(minute: int) -> None:
        for offset in range(0, 31, 5):
            book.count(minute - offset - 30, minute - offset)

    tick(400)
    assert steps(lambda: tick(401)) < 20 * steps(lambda: Different(10).fold(entry(1, *map(str, range(20))), 1)) * 7


# values seen


def names(book: Sightings, now: int, min_rooms: int = 1) -> list[tuple[int, str, int]]:
    return list(book.appeared(now, min_rooms))


def slow_new(entries: list[Entry], now: int, min_rooms: int, keep: int, young: int) -> list[tuple[int, str, int]]:
    """Value by value over all rooms, in the order of their hours."""
    found = []
    for value in sorted({value for one in entries for value in one.values}):
        hours = sorted(one.ended // HOUR for one in entries if value in one.values)
        lately = [hour for hour in hours if now - young < hour <= now]
        before = [hour for hour in hours if now - keep < hour <= now - young]
        if len(lately) >= min_rooms and not before:
            found.append((lately[min_rooms - 1], value, len(lately)))
    return found


@LAW
@given(
    st.lists(st.tuples(st.integers(0, 59), st.sets(st.sampled_from("abc"), max_size=2)), max_size=30),
    st.integers(1, 3),
    st.data(),
)
def test_a_value_is_new_if_a_plain_list_knows_it_from_lately_only(history, min_rooms, data):
    """Rooms come hour by hour, some of them very late; some are taken out again; some hours are forgotten."""
    book, keep, young, left = Sightings(12, 3), 12, 3, []
    for now in range(60):
        coming = [pair for place, pair in enumerate(history) if pair[0] + (place % 3 == 0) * 5 == now]
        for hour, values in coming:
            left.append(entry(hour * HOUR + now, *sorted(values)))
            book.fold(left[-1], 1)
        if left and data.draw(st.integers(0, 9)) == 0:
            book.fold(left.pop(data.draw(st.integers(0, len(left) - 1))), -1)
        assert names(book, now, min_rooms) == slow_new(left, now, min_rooms, keep, young)
        if now % 4 == 0:
            book.forget(now * HOUR)
            assert names(book, now, min_rooms) == slow_new(left, now, min_rooms, keep, young)


def test_a_value_that_comes_back_after_it_was_to_be_forgotten_is_new_again():
    book = Sightings(hours=48, young=24)
    book.fold(entry(0, "old"), 1)
    for hour in range(60):
        book.fold(entry(hour * HOUR, "usual"), 1)
        book.forget(hour * HOUR)
    book.fold(entry(60 * HOUR, "old"), 1)
    assert names(book, 60) == [(60, "old", 1)]


def test_a_room_counts_once_for_a_value_however_many_in_it_have_it():
    book = Sightings(48, 24)
    book.fold(entry(0, "new", "new", "new"), 1)
    assert names(book, 0, 1) == [(0, "new", 1)]
    assert names(book, 0, 2) == []


def test_more_values_than_can_be_remembered_are_left_out_and_those_known_go_on():
    book = Sightings(48, 24)
    for number in range(12_000):
        book.fold(entry(number // 500, f"value {number}"), 1)
    assert len(book) == 10_000
    book.fold(entry(30, "value 9999", "value 10001"), 1)
    assert [value for _, value, _ in names(book, 0, 2)] == ["value 9999"]


def test_a_value_whose_rooms_were_all_taken_out_was_never_seen():
    book = Sightings(48, 24)
    book.fold(entry(0, "new"), 1)
    assert names(book, 0)
    book.fold(entry(0, "new"), -1)
    assert (names(book, 0), len(book), book.first(0)) == ([], 0, None)


def test_the_first_hour_is_that_of_any_room_which_is_looked_back_to_whatever_was_in_it():
    book = Sightings(48, 24)
    for hour in (5, 20, 40):
        book.fold(entry(hour * HOUR), 1)
    assert [book.first(now) for now in (4, 5, 53, 54, 68, 69, 88, 89)] == [None, 5, 5, 20, 20, 40, 40, None]
    book.forget(70 * HOUR)
    assert book.first(70) == 40


# starts


@LAW
@given(st.lists(st.integers(0, 400), max_size=40), st.lists(st.integers(0, 500), max_size=8), st.data())
def test_the_mean_of_windows_is_that_of_a_plain_list_in_any_order_with_rooms_taken_out(given_starts, minutes, data):
    starts, left = Starts(150), given_starts.copy()
    for minute in data.draw(st.permutations(given_starts)):
        starts.fold(minute, 1)
    for minute in data.draw(st.lists(st.sampled_from(given_starts), max_size=3)) if given_starts else []:
        if minute in left:
            starts.fold(minute, -1)
            left.remove(minute)

    def mean(length: int, minute: int) -> float:
        ends = range(minute - 5, minute + 6)
        return sum(end - length < one <= end for end in ends for one in left) / len(ends)

    for minute in minutes:
        for length in (15, 60):
            assert starts.mean(length, minute, 5) == pytest.approx(mean(length, minute))
    latest = data.draw(st.integers(150, 500))
    starts.forget(latest)
    for minute in [minute for minute in minutes if minute > latest - 150 + 60 + 5]:
        assert starts.mean(60, minute, 5) == pytest.approx(mean(60, minute))


@pytest.mark.parametrize("book", [Quantities(100), Different(100), Sightings(48, 24)], ids=lambda b: type(b).__name__)
def test_a_book_goes_on_after_it_was_packed_and_unpacked(book):
    book.fold(entry(70, "5", "x"), 1)
    copy = pickle.loads(pickle.dumps(book))
    for one in (book, copy):
        one.fold(entry(71, "5"), 1)
        one.fold(entry(70, "5", "x"), -1)
    if isinstance(book, Sightings):
        assert names(copy, 1) == names(book, 1) == [(1, "5", 1)]
    else:
        assert copy.count(0, 100) == book.count(0, 100) == 1
