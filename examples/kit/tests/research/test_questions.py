import pytest
from tierwise_examples.research import Corpus, Inquiry
from tierwise_examples.research.questions import Question, shipped_questions

QUESTIONS = shipped_questions()


def test_there_are_eight_and_one_has_no_answer() -> None:
    assert len(QUESTIONS) == 8
    assert [q.name for q in QUESTIONS if not q.expects] == ["05-salary"]


@pytest.mark.parametrize("question", [q for q in QUESTIONS if q.expects], ids=lambda q: q.name)
def test_what_is_expected_stands_in_what_is_cited(shipped: Corpus, question: Question) -> None:
    cited = " ".join(shipped.documents[file] for file in question.cites)
    assert all(any(word in cited for word in text.split("|")) for text in question.expects)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.name)
def test_the_words_of_a_question_find_what_it_stands_on(shipped: Corpus, inquiry: Inquiry, question: Question) -> None:
    found = Inquiry(question.question, shipped, inquiry.ladder).search()
    assert set(question.cites) <= {passage.file for passage in found}


def test_nothing_speaks_of_what_cannot_be_answered(shipped: Corpus) -> None:
    texts = " ".join(shipped.documents.values()).casefold()
    assert not any(word in texts for word in ("salary", "wage", "earns"))


@pytest.mark.parametrize("question", [q for q in QUESTIONS if q.expects], ids=lambda q: q.name)
def test_no_answer_meets_no_question_that_has_one(inquiry: Inquiry, question: Question) -> None:
    assert not question.met_by(inquiry.report([]))


def test_an_answer_is_right_if_it_holds_what_is_expected_and_cites_it(shipped: Corpus, inquiry: Inquiry) -> None:
    anodes = next(q for q in QUESTIONS if q.name == "02-anodes")
    asked = Inquiry(anodes.question, shipped, inquiry.ladder)
    kept = asked.keep(asked.search(), [1])
    right, wrong = ("Anodes of a wave buoy are replaced every eight months [1].", "Anodes are of zinc [1].")
    assert anodes.met_by(asked.report(asked.claims(right, kept)))
    assert not anodes.met_by(asked.report(asked.claims(wrong, kept)))
