from waiting import mean, median, report, share_within


def test_mean() -> None:
    assert mean([10, 20, 90]) == 40


def test_median_of_an_odd_number() -> None:
    assert median([90, 10, 20]) == 20


def test_median_of_an_even_number() -> None:
    assert median([40, 10, 30, 20]) == 25


def test_share() -> None:
    assert share_within([30, 60, 90, 120], 60) == 0.5


def test_report() -> None:
    assert report([20, 35, 100]) == "typical wait 35 s, 67% within a minute"
