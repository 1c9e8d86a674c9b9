import pytest
from tierwise_examples.research import Claim, Corpus, Inquiry
from tierwise_examples.research.claims import Standing, is_not_told

# What is given, by the numbers of its sentences: 1 and 2 are of the gauge, 3 and 4 of its care, 5 and 6 of the buoy.


def read(inquiry: Inquiry, text: str) -> list[Claim]:
    tides, care, buoys = (inquiry.corpus.search([query])[0] for query in ("alarm", "floats", "panel"))
    return inquiry.claims(text, [tides, care, buoys])


def only(inquiry: Inquiry, text: str) -> Claim:
    (claim,) = read(inquiry, text)
    return claim


@pytest.mark.parametrize(
    "text",
    [
        "The gauge at Vessry Pier raises an alarm at 2.40 m [2].",
        "The gauge at Vessry Pier raises an alarm at 2.40 m. [2]",
        "The gauge at Vessry Pier raises an alarm at 2.40 m. (2)",
        "The gauge at Vessry Pier raises an alarm at 2.40 m (2).",
        "[2] The gauge at Vessry Pier raises an alarm at 2.40 m.",
        "[2]. The gauge at Vessry Pier raises an alarm at 2.40 m.",
        "[1] Tide gauges: The gauge at Vessry Pier raises an alarm at 2.40 m.",
        "[2] The gauge at Vessry Pier raises\x1b an alarm at 2.40 m.",
        "The gauge at Vessry Pier raises an alarm at 2.40 m.",
    ],
)
def test_a_claim_is_its_text_and_the_lines_it_stands_on(inquiry: Inquiry, text: str) -> None:
    claim = only(inquiry, text)
    assert claim.text == "The gauge at Vessry Pier raises an alarm at 2.40 m."
    assert claim.standing == "supported"
    assert [str(lines) for lines in claim.lines] == ["tides.md:3-4", "tides.md:4"]


def test_each_sentence_has_its_own_citations(inquiry: Inquiry) -> None:
    one, two = read(inquiry, "The alarm is at 2.40 m [2]. Floats lie in store 3, and WB-7 has a panel [4, 5].")
    assert [lines.file for lines in one.lines] == ["tides.md"]
    assert {lines.file for lines in two.lines} == {"tides.md", "buoys.md"}
    assert (one.number, two.number) == (1, 2)


def test_an_opening_citation_holds_for_its_line(inquiry: Inquiry) -> None:
    claims = read(inquiry, "[5] The buoy has a panel of 12 W. Idris Fenn built the buoy.\nLobsters like buoys.")
    assert [(claim.standing, [p.file for p in claim.passages]) for claim in claims] == [
        ("supported", ["buoys.md"]),
        ("supported", ["buoys.md"]),
        ("unsupported", []),
    ]


@pytest.mark.parametrize(
    ("text", "standing", "reason"),
    [
        ("It raises an alarm at 3.40 m.", "unsupported", "cites nothing"),
        ("It raises an alarm at 2.40 m [7].", "unsupported", "cites [7], which was not given"),
        ("It raises an alarm at 3.50 m [1].", "unsupported", "3.50 stands in no cited line"),
        ("It raises an alarm at 2.40 m [5].", "unsupported", "2.40 stands in no cited line"),
        ("It was built by Maren Tolle [5].", "unsupported", "maren, tolle stands in no cited line"),
        ("Lobsters prefer warm and quiet places [1].", "unsupported", "0% of its words stand in the cited lines"),
        ("It never raises an alarm at 2.40 m [1].", "open", "one of claim and lines denies something"),
        ("Crews clean gauges in winter [3].", "open", "50% of its words stand in the cited lines"),
        ("The gauge at Vessry Pier raises an alarm at 2.40 m [1].", "supported", ""),
        ("The panel of the buoy WB-07 has 12 W [5].", "supported", ""),
    ],
)
def test_words_tell_what_stands_open_and_does_not(inquiry: Inquiry, text: str, standing: Standing, reason: str) -> None:
    claim = only(inquiry, text)
    assert (claim.standing, claim.reason) == (standing, reason)


def test_a_figure_of_the_question_alone_proves_nothing(corpus: Corpus, inquiry: Inquiry) -> None:
    asked = Inquiry("Does the gauge raise an alarm at 9 m?", corpus, inquiry.ladder)
    claim = only(asked, "The gauge raises an alarm at 9 m [1].")
    assert (claim.standing, claim.reason) == ("open", "9 stands in the question only")


def test_another_line_with_other_figures_speaks_against_a_claim(inquiry: Inquiry) -> None:
    corpus = Corpus(
        {"old.md": "Raw readings are kept for 30 days.", "new.md": "Now raw readings are kept for 90 days."}
    )
    asked = Inquiry("How long are raw readings kept?", corpus, inquiry.ladder)
    (claim,) = asked.claims("Raw readings are kept for 30 days [2].", corpus.passages)
    assert claim.standing == "supported"
    assert str(claim.against) == "new.md:1"
    assert "(but see new.md:1: Now raw readings are kept for 90 days.)" in str(asked.report([claim]))


@pytest.mark.parametrize(
    "text", ["", "\n", "[1]", "(Tide gauges)", "The documents do not tell.", "[1]. The documents don't say that."]
)
def test_what_says_nothing_claims_nothing(inquiry: Inquiry, text: str) -> None:
    assert read(inquiry, text) == []


def test_a_number_of_any_length_is_read(inquiry: Inquiry) -> None:
    claim = only(inquiry, f"The gauge raises an alarm at 2.40 m [{'9' * 5000}].")
    assert claim.standing == "unsupported"


def test_other_negations_are_claims() -> None:
    assert is_not_told("The documents do not tell.")
    assert not is_not_told("Nobody may open a cabinet alone.")
