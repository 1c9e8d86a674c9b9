from titles import capitalize, initials, shorten, slug


def test_slug() -> None:
    assert slug("What's new in 3.14?") == "what-s-new-in-3-14"


def test_short_titles_stay_as_they_are() -> None:
    assert shorten("Harbour news", limit=20) == "Harbour news"


def test_long_titles_fit_the_limit() -> None:
    assert shorten("abcdefghijkl", limit=10) == "abcdefg..."


def test_small_words_stay_small() -> None:
    assert capitalize("THE WIND IN THE WILLOWS") == "The Wind in the Willows"


def test_initials() -> None:
    assert initials("ada  lovelace") == "AL"
