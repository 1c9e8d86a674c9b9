from reviews import average, bar, histogram, valid


def test_stars_are_one_to_five() -> None:
    assert [valid(stars) for stars in (0, 1, 5, 6)] == [False, True, True, False]


def test_average_has_one_digit() -> None:
    assert average([5, 4, 4]) == 4.3


def test_average_of_a_new_article() -> None:
    assert average([]) == 0.0


def test_bar() -> None:
    assert bar(3.2) == "***--"


def test_histogram_names_every_number_of_stars() -> None:
    assert histogram([5, 5, 3]) == {5: 2, 4: 0, 3: 1, 2: 0, 1: 0}
