from dates import day_of_year, days_in_month, is_leap, nights


def test_common_years() -> None:
    assert not is_leap(2023)


def test_every_fourth_year() -> None:
    assert is_leap(2024)
    assert is_leap(2000)


def test_centuries() -> None:
    assert not is_leap(1900)


def test_february() -> None:
    assert [days_in_month(year, 2) for year in (2023, 2024)] == [28, 29]


def test_day_of_year() -> None:
    assert day_of_year(2023, 3, 1) == 60
    assert day_of_year(2024, 12, 31) == 366


def test_nights() -> None:
    assert nights((2, 27), (3, 2), 2024) == 4
