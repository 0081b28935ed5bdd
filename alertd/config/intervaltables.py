"""How time intervals are written: Alertmanager's fields, each range as text, with IANA names of zones."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema, model_validator

from alertd.config.forms import Name
from alertd.engine.intervals import DAY, Interval, Range, TimeInterval
from alertd.settings import Table

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_TIME = re.compile(r"(\d\d):([0-5]\d)")


def _minute(text: str) -> str:
    found = _TIME.fullmatch(text)
    if found is None or int(found[1]) * 60 + int(found[2]) > DAY:
        raise ValueError("write a time like 09:00, at most 24:00")
    return text


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _weekday(text: str) -> int:
    return WEEKDAYS.index(text)


def _month(text: str) -> int:
    return MONTHS.index(text) + 1 if text in MONTHS else _whole(text, 1, 12)


def _day(text: str) -> int:
    return _whole(text, -31, -1) if text.startswith("-") else _whole(text, 1, 31)


def _year(text: str) -> int:
    return _whole(text, 1970, 9999)


def _whole(text: str, least: int, most: int) -> int:
    number = int(text)
    if not least <= number <= most:
        raise ValueError
    return number


def _ranges(part: Callable[[str], int], example: str) -> PlainValidator:
    """Reads `first:last`, both inside, or one value for both."""

    def read(value: object) -> Range:
        ends = str(value).lower().split(":")
        try:
            first, last = part(ends[0].strip()), part(ends[-1].strip())
        except ValueError:
            first, last, ends = 0, 0, []
        if not isinstance(value, str) or len(ends) not in (1, 2):
            raise ValueError(f"write a range like {example}")
        if (first < 0 < last) or _forward(first) > _forward(last):
            raise ValueError(f"the range ends before it begins; write one like {example}")
        return first, last

    return PlainValidator(read)


def _forward(day: int) -> int:
    """A day of the longest month, counted from its beginning."""
    return day + 32 if day < 0 else day


def _is_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, LookupError, OSError):
        raise ValueError(f'there is no time zone "{name}"; write an IANA name like Europe/Berlin') from None
    return name


_TEXT = WithJsonSchema({"type": "string"})
ClockTime = Annotated[str, AfterValidator(_minute), WithJsonSchema({"type": "string", "pattern": r"^\d\d:[0-5]\d$"})]
WeekdayRange = Annotated[Range, _ranges(_weekday, '"monday:friday" or "sunday"'), _TEXT]
DayRange = Annotated[Range, _ranges(_day, '"1:7", "-1" (the last day) or "-3:-1"'), _TEXT]
MonthRange = Annotated[Range, _ranges(_month, '"january:march", "1:3" or "december"'), _TEXT]
YearRange = Annotated[Range, _ranges(_year, '"2026" or "2026:2028"'), _TEXT]
Zone = Annotated[str, AfterValidator(_is_zone)]


class TimesTable(Table):
    """A stretch of the day; one over midnight is two."""

    start_time: ClockTime = Field(description="When it begins: HH:MM.", examples=["22:00"])
    end_time: ClockTime = Field(description="When it is over: HH:MM, up to 24:00.", examples=["24:00"])

    @model_validator(mode="after")
    def _begins_first(self) -> TimesTable:
        if _minutes(self.start_time) >= _minutes(self.end_time):
            raise ValueError("ends before it begins; write a stretch over midnight as two: up to 24:00, and from 00:00")
        return self


class IntervalTable(Table):
    """Where all of these say yes; what is left out sets no bounds."""

    times: tuple[TimesTable, ...] = Field((), description="Stretches of the day.")
    weekdays: tuple[WeekdayRange, ...] = Field(
        (), description="Days of the week, such as monday:friday.", examples=[["monday:friday"]]
    )
    days_of_month: tuple[DayRange, ...] = Field(
        (), description="Days of the month; -1 is the last, -2 the one before.", examples=[["1:7", "-1"]]
    )
    months: tuple[MonthRange, ...] = Field((), description="Months, by name or number.", examples=[["december"]])
    years: tuple[YearRange, ...] = Field((), description="Years.", examples=[["2026:2028"]])
    location: Zone = Field("UTC", description="The time zone, by its IANA name.", examples=["Europe/Berlin"])

    def interval(self) -> Interval:
        """The same for the engine."""
        times = tuple((_minutes(one.start_time), _minutes(one.end_time)) for one in self.times)
        return Interval(
            times=times,
            weekdays=self.weekdays,
            days_of_month=self.days_of_month,
            months=self.months,
            years=self.years,
            location=self.location,
        )


class TimeIntervalTable(Table):
    """A name for times at which routes tell nothing, or only then."""

    name: Name = Field(description="Name by which routes call it.", examples=["nights"])
    time_intervals: tuple[IntervalTable, ...] = Field(min_length=1, description="It is then if it is in any of these.")

    def named(self) -> TimeInterval:
        """The same for the engine."""
        return TimeInterval(self.name, tuple(table.interval() for table in self.time_intervals))
