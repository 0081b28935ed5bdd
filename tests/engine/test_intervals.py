"""When a time interval holds: ranges, zones, hours that daylight saving skips and repeats, short months, year ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.engine.intervals import DAY, Interval, TimeInterval, muted_by

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def at(text: str, zone: str = "UTC", fold: int = 0) -> int:
    """The instant at which clocks in a zone show this; with `fold` 1 for the second time in a night of autumn."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp())


def night(zone: str = "UTC") -> Interval:
    return Interval(times=((22 * 60, DAY), (0, 6 * 60)), location=zone)


@pytest.mark.parametrize(
    ("interval", "moment", "inside"),
    [
        (Interval(), "2026-03-02T12:00", True),  # nothing said, no bounds
        (night(), "2026-03-02T21:59:59", False),
        (night(), "2026-03-02T22:00", True),
        (night(), "2026-03-02T23:59:59", True),
        (night(), "2026-03-03T00:00", True),
        (night(), "2026-03-03T05:59:59", True),
        (night(), "2026-03-03T06:00", False),
        (Interval(weekdays=((1, 5),)), "2026-03-06T23:59", True),  # a Friday
        (Interval(weekdays=((1, 5),)), "2026-03-07T00:00", False),
        (Interval(weekdays=((0, 0), (6, 6))), "2026-03-08T12:00", True),
        (Interval(months=((12, 12),)), "2026-12-31T23:59:59", True),
        (Interval(months=((12, 12),)), "2027-01-01T00:00", False),
        (Interval(years=((2026, 2026),)), "2026-12-31T23:59:59", True),
        (Interval(years=((2026, 2026),)), "2027-01-01T00:00", False),
        (Interval(times=((540, 1050),), weekdays=((1, 5),)), "2026-03-02T09:00", True),
        (Interval(times=((540, 1050),), weekdays=((1, 5),)), "2026-03-01T09:00", False),  # all parts must hold
    ],
)
def test_ranges_bound_as_alertmanagers_do(interval, moment, inside):
    assert interval.contains(at(moment)) == inside


@pytest.mark.parametrize(
    ("days", "moment", "inside"),
    [
        (((-1, -1),), "2024-02-29", True),  # the leap day is the last
        (((-1, -1),), "2024-02-28", False),
        (((-1, -1),), "2026-02-28", True),
        (((29, 29),), "2028-02-29", True),
        (((29, 29),), "2026-02-28", False),  # a day that the month has not
        (((28, 31),), "2026-02-28", True),  # a range is cut off at its end
        (((31, 31),), "2026-04-30", False),
        (((-31, -31),), "2026-04-01", True),  # and at its beginning
        (((-3, -1),), "2026-04-28", True),
        (((-3, -1),), "2026-04-27", False),
        (((1, 7),), "2026-04-07T23:59", True),
        (((1, 7), (15, 15)), "2026-04-15", True),
        (((1, 7), (15, 15)), "2026-04-16", False),
    ],
)
def test_days_of_the_month_count_from_both_ends(days, moment, inside):
    assert Interval(days_of_month=days).contains(at(moment)) == inside


def test_it_is_the_clocks_of_the_zone_that_count():
    assert night(NEW_YORK).contains(at("2026-03-03T04:00"))  # 23:00 there, the day before
    assert not night(NEW_YORK).contains(at("2026-03-03T12:00"))
    assert Interval(weekdays=((1, 1),), location=NEW_YORK).contains(at("2026-03-03T04:00"))
    assert Interval(years=((2026, 2026),), location=NEW_YORK).contains(at("2027-01-01T04:59"))


def test_office_hours_follow_daylight_saving():
    office = Interval(times=((9 * 60, 17 * 60),), location=BERLIN)
    assert [office.contains(at(text)) for text in ("2026-03-27T08:00", "2026-03-27T07:59")] == [True, False]
    assert [office.contains(at(text)) for text in ("2026-03-30T07:00", "2026-03-30T06:59")] == [True, False]


def test_an_hour_that_is_skipped_never_comes():
    """In Berlin clocks go from 02:00 to 03:00 on 29 March 2026."""
    skipped = Interval(times=((120, 180),), location=BERLIN)
    start = at("2026-03-29T00:00")
    assert not any(skipped.contains(start + 60 * minute) for minute in range(180))


def test_an_hour_that_is_repeated_is_inside_twice():
    """In Berlin clocks go from 03:00 back to 02:00 on 25 October 2026."""
    repeated = Interval(times=((120, 180),), location=BERLIN)
    start = at("2026-10-25T00:00")
    assert sum(repeated.contains(start + 60 * minute) for minute in range(240)) == 120
    assert repeated.contains(at("2026-10-25T02:30", BERLIN, fold=1))


def test_zones_that_shift_by_half_an_hour_are_no_exception():
    """On Lord Howe Island clocks go back by thirty minutes, from 02:00 to 01:30, on 5 April 2026."""
    half = Interval(times=((90, 120),), location=LORD_HOWE)
    start = at("2026-04-05T00:00", LORD_HOWE)
    assert sum(half.contains(start + 60 * minute) for minute in range(240)) == 60


@given(
    st.integers(1_577_836_800, 1_956_528_000),  # from 2020 on, for twelve years
    st.sampled_from(["UTC", BERLIN, NEW_YORK, LORD_HOWE, "Asia/Kathmandu"]),
    st.integers(0, DAY - 1),
    st.integers(1, DAY),
    st.integers(0, 6),
)
def test_the_parts_say_what_the_clock_there_says(moment, zone, first, last, weekday):
    there = datetime.fromtimestamp(moment, UTC).astimezone(ZoneInfo(zone))
    interval = Interval(times=((first, last),), weekdays=((weekday, weekday),), location=zone)
    midnight = there.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    minutes = (there.replace(tzinfo=None) - midnight) // timedelta(minutes=1)
    expected = first <= minutes < last and there.strftime("%w") == str(weekday)
    assert interval.contains(moment) == expected


NIGHTS = {
    "nights": TimeInterval("nights", (night(),)),
    "sundays": TimeInterval("sundays", (Interval(weekdays=((0, 0),)),)),
}


@pytest.mark.parametrize(
    ("mute", "active", "moment", "why"),
    [
        ((), (), "2026-03-01T23:00", ""),
        (("nights",), (), "2026-03-02T23:00", "muted by the time interval nights"),
        (("nights",), (), "2026-03-02T12:00", ""),
        (("nights", "sundays"), (), "2026-03-01T12:00", "muted by the time interval sundays"),
        ((), ("sundays",), "2026-03-01T12:00", ""),
        ((), ("sundays",), "2026-03-02T12:00", "outside of the time interval sundays"),
        ((), ("sundays", "nights"), "2026-03-02T23:00", ""),
        ((), ("sundays", "nights"), "2026-03-02T12:00", "outside of the time intervals sundays, nights"),
        (("nights",), ("nights",), "2026-03-02T23:00", "muted by the time interval nights"),
    ],
)
def test_a_route_is_muted_for_a_reason_or_not_at_all(mute, active, moment, why):
    assert muted_by(mute, active, NIGHTS, at(moment)) == why
