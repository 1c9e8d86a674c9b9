import pytest
from hours import Hours, describe, is_open, length, parse_hours, parse_time


def test_parse() -> None:
    assert parse_hours("18:30 - 23:00") == Hours(18 * 60 + 30, 23 * 60)


def test_no_time_of_day() -> None:
    with pytest.raises(ValueError, match="no time of day"):
        parse_time("24:10")


def test_open_during_the_day() -> None:
    cafe = parse_hours("09:00-17:00")
    assert is_open(cafe, parse_time("09:00"))
    assert not is_open(cafe, parse_time("17:00"))
    assert not is_open(cafe, parse_time("03:00"))


def test_open_past_midnight() -> None:
    bar = parse_hours("20:00-02:00")
    assert is_open(bar, parse_time("23:30"))
    assert is_open(bar, parse_time("01:30"))
    assert not is_open(bar, parse_time("02:00"))
    assert not is_open(bar, parse_time("12:00"))


def test_length_past_midnight() -> None:
    assert length(parse_hours("20:00-02:00")) == 360


def test_sign() -> None:
    assert describe(parse_hours("09:00-17:00"), parse_time("10:00")) == "open"
