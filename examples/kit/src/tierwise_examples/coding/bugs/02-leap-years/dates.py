"""Days of the year for a booking calendar, without time zones."""

from __future__ import annotations

DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def is_leap(year: int) -> bool:
    """Whether a year has a 29th of February, by the Gregorian calendar."""
    return year % 4 == 0


def days_in_month(year: int, month: int) -> int:
    """How many days a month has; January is 1."""
    return DAYS[month - 1] + (month == 2 and is_leap(year))


def day_of_year(year: int, month: int, day: int) -> int:
    """The number of a day within its year; the first of January is 1."""
    return sum(days_in_month(year, m) for m in range(1, month)) + day


def nights(arrival: tuple[int, int], departure: tuple[int, int], year: int) -> int:
    """Nights between two days of a year, each given as month and day."""
    return day_of_year(year, *departure) - day_of_year(year, *arrival)
