import pytest
from tierwise_examples.research.words import content, figures, names


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the anodes were replaced", "replacing an anode"),
        ("1,200 crowns", "1200 crowns"),
        ("buoy WB-07", "Buoy WB-7"),
        ("four gauges", "4 gauges"),
        ("the company's boat", "the company\N{RIGHT SINGLE QUOTATION MARK}s boats"),
    ],
)
def test_texts_that_say_the_same_have_the_same_words(one: str, other: str) -> None:
    assert content(one) == content(other)


def test_words_of_every_question_count_for_nothing() -> None:
    assert content("How often does it get what the other can do?") == frozenset()


def test_figures_are_what_a_text_counts() -> None:
    assert figures("On 9 May at 03:10, WB-07 lost 1,200 crowns, 2.40 m and three links") == {
        "9",
        "03:10",
        "7",
        "1200",
        "2.40",
        "3",
    }
    assert figures("one can see one boat") == frozenset()


def test_names_are_capitalised_and_the_first_word_is_one_only_if_it_is_known() -> None:
    assert names("Boats wait for Idris Fenn at the Upper Lock") == {"idris", "fenn", "upper", "lock"}
    assert names("Idris waits", known={"idris"}) == {"idris"}
    assert names("") == frozenset()
