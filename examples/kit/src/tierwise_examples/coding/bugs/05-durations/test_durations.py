import pytest
from durations import longest, parse, show


def test_parse_one_unit() -> None:
    assert parse("90s") == 90


def test_parse_several_units() -> None:
    assert parse("1h 30m") == 5_400


def test_unknown_unit() -> None:
    with pytest.raises(ValueError, match="unknown unit 'y'"):
        parse("1y")


def test_show_seconds() -> None:
    assert show(45) == "45s"


def test_show_the_two_largest_units() -> None:
    assert show(5_400) == "1h 30m"
    assert show(93_784) == "1d 2h"


def test_units_that_count_nothing_are_not_shown() -> None:
    assert show(3_600) == "1h"
    assert show(86_460) == "1d 1m"


def test_longest() -> None:
    assert longest(["90s", "2m", "1m 5s"]) == "2m"
