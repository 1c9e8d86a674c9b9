from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tierwise.errors import ConfigError
from tierwise_examples.billing import rows_of
from tierwise_examples.research import MOST_CALLS, Corpus, Inquiry, Queries, Relevant, Report, Supported
from tierwise_examples.research.prompts import EXAMPLE, OPENINGS
from tierwise_examples.scripted import scripted

QUESTION = "At what level does the gauge at Vessry Pier raise an alarm?"
RIGHT = "The gauge at Vessry Pier raises an alarm at 2.40 m [2]."
MADE_UP = "The gauge at Vessry Pier raises an alarm at 9.90 m [2]."
OPEN = "The gauge at Vessry Pier never raises an alarm at 2.40 m [2]."

Agent = Callable[[Inquiry], Report]
ANSWERS: Mapping[Any, Any] = {
    OPENINGS["rewrite"]: Queries(queries=["tide gauge alarm"]),
    OPENINGS["filter"]: Relevant(passages=[1]),
    OPENINGS["answer"]: RIGHT,
    OPENINGS["check"]: Supported(supported=True),
}


def ran(agent: Agent, corpus: Corpus, **answers: Any) -> tuple[Report, Inquiry]:
    """The agent's run on answers by stage (`answer`), or by stage and tier (`answer_large`)."""
    told: dict[Any, Any] = dict(ANSWERS)
    for key, answer in answers.items():
        job, _, tier = key.partition("_")
        told[(OPENINGS[job], tier) if tier else OPENINGS[job]] = answer
    with scripted(told) as models:
        inquiry = Inquiry(QUESTION, corpus, models.ladder)
        return agent(inquiry), inquiry


def called(inquiry: Inquiry) -> list[tuple[str | None, str]]:
    return [(row.job, row.tier) for row in rows_of(inquiry.router)]


def test_each_step_goes_to_its_tier_and_the_report_names_the_lines(agent: Agent, corpus: Corpus) -> None:
    report, inquiry = ran(agent, corpus)
    assert called(inquiry) == [("rewrite", "small"), ("filter", "small"), ("answer", "code")]
    assert report.answered
    assert str(report) == "The gauge at Vessry Pier raises an alarm at 2.40 m. [tides.md:3-4, tides.md:4]"
    assert report.places == ("tides.md:3-4", "tides.md:4")


@pytest.mark.parametrize(
    "useless",
    [
        EXAMPLE,
        Queries(queries=["cheap flights to Rome"]),
        Queries(queries=["gauge at Vessry Pier"]),
        Queries(queries=["gauge zxqw"]),
    ],
)
def test_searches_that_add_nothing_go_up_once(agent: Agent, corpus: Corpus, useless: Queries) -> None:
    report, inquiry = ran(agent, corpus, rewrite=useless)
    assert called(inquiry)[:3] == [("rewrite", "small"), ("rewrite", "code"), ("filter", "small")]
    assert report.answered


def test_a_choice_of_what_was_not_shown_goes_up_once(agent: Agent, corpus: Corpus) -> None:
    report, inquiry = ran(agent, corpus, filter=Relevant(passages=[9]))
    assert called(inquiry)[1:3] == [("filter", "small"), ("filter", "code")]
    assert report.answered


@pytest.mark.parametrize("wrong", [MADE_UP, "It is at 2.40 m [8].", "Lobsters like it.", "The documents do not tell."])
def test_an_answer_that_does_not_stand_goes_up(agent: Agent, corpus: Corpus, wrong: str) -> None:
    report, inquiry = ran(agent, corpus, answer_code=wrong)
    assert called(inquiry)[2:] == [("answer", "code"), ("answer", "large")]
    assert "2.40 m" in report.answer
    assert not report.dropped


def test_the_receipt_tells_why_it_went_up(agent: Agent, corpus: Corpus) -> None:
    with scripted({**ANSWERS, (OPENINGS["answer"], "code"): MADE_UP}) as models:
        inquiry = Inquiry(QUESTION, corpus, models.ladder)
        prompt = inquiry.answer_prompt(inquiry.search())
        rows = inquiry.router.run(prompt, **inquiry.task("answer")).attempts
    assert "9.90 stands in no cited line" in str(rows[0].evidence)


@pytest.mark.parametrize(
    ("question", "documents", "half"),
    [
        (
            "How long are raw readings kept?",
            {"a.md": "Raw readings are kept for 30 days.", "b.md": "From July raw readings are kept for 90 days."},
            "Raw readings are kept for 30 days.",
        ),
        (
            "Which firmware mends the clock, and since when does every logger run it?",
            {"a.md": "The firmware 4.2.1 mends the clock.", "b.md": "Since 2 November every logger runs it."},
            "The firmware 4.2.1 mends the clock.",
        ),
    ],
)
def test_what_another_document_speaks_against_or_adds_to_goes_up(
    agent: Agent, question: str, documents: dict[str, str], half: str
) -> None:
    told = {
        OPENINGS["rewrite"]: Queries(queries=["raw readings firmware kept days", "clock logger November days"]),
        OPENINGS["filter"]: Relevant(passages=[1, 2]),
        OPENINGS["answer"]: half,
    }
    with scripted(told) as models:
        inquiry = Inquiry(question, Corpus(documents), models.ladder)
        report = agent(inquiry)
    rows = [row for row in rows_of(inquiry.router) if row.job == "answer"]
    assert [(row.tier, row.verdict) for row in rows] == [("code", "reject"), ("large", "abstain")]
    assert report.answered


def test_a_made_up_figure_is_dropped_whoever_says_it(agent: Agent, corpus: Corpus) -> None:
    report, _ = ran(agent, corpus, answer=MADE_UP)
    assert not report.answered
    assert str(report).split("\n") == [
        "The documents do not tell.",
        "Dropped: The gauge at Vessry Pier raises an alarm at 9.90 m. (9.90 stands in no cited line)",
    ]


@pytest.mark.parametrize(("says", "answered"), [(True, True), (False, False)])
def test_what_words_leave_open_the_small_tier_checks(agent: Agent, corpus: Corpus, says: bool, answered: bool) -> None:
    report, inquiry = ran(agent, corpus, answer=OPEN, check=Supported(supported=says))
    assert called(inquiry)[-1] == ("check", "small")
    assert report.answered is answered
    assert ("Flagged: " in str(report) and "the check says no" in str(report)) is not answered


def test_what_is_not_checked_is_flagged(corpus: Corpus, inquiry: Inquiry) -> None:
    claims = inquiry.claims(OPEN, inquiry.search())
    assert "and it was not checked" in str(inquiry.report(claims))


def test_checks_are_left_out_where_no_calls_are_left(agent: Agent, corpus: Corpus) -> None:
    report, inquiry = ran(
        agent,
        corpus,
        rewrite=EXAMPLE,
        filter=Relevant(passages=[9]),
        answer_code=MADE_UP,
        answer_large=f"{OPEN} The gauge at Vessry Pier never raises an alarm at 60 m [1].",
    )
    assert inquiry.calls == len(called(inquiry)) == MOST_CALLS
    assert "check" not in [job for job, _ in called(inquiry)]
    assert "it was not checked" in str(report)


def test_at_most_two_claims_are_checked(agent: Agent, corpus: Corpus) -> None:
    _, inquiry = ran(agent, corpus, answer_code=" ".join([OPEN] * 5))
    assert [job for job, _ in called(inquiry)].count("check") == 2


def test_a_question_that_has_to_do_with_no_document_asks_for_no_answer(agent: Agent, corpus: Corpus) -> None:
    with scripted({**ANSWERS, OPENINGS["rewrite"]: Queries(queries=["opera"])}) as models:
        inquiry = Inquiry("Who sings Tosca?", corpus, models.ladder)
        report = agent(inquiry)
    assert str(report) == "The documents do not tell."
    assert {job for job, _ in called(inquiry)} == {"rewrite"}


def test_the_top_tier_alone_does_every_step(agent: Agent, corpus: Corpus) -> None:
    with scripted({**ANSWERS, OPENINGS["rewrite"]: EXAMPLE}) as models:
        inquiry = Inquiry(QUESTION, corpus, models.ladder.alone())
        report = agent(inquiry)
    assert report.answered
    assert called(inquiry) == [("rewrite", "large"), ("filter", "large"), ("answer", "large")]


def test_the_best_passage_stays_whatever_the_filter_says(inquiry: Inquiry) -> None:
    found = inquiry.search(["buoy panel"])
    assert len(found) == 3
    assert [p.id for p in inquiry.keep(found, Relevant(passages=[3, 99, -1]))] == [found[0].id, found[2].id]
    assert [p.id for p in inquiry.keep(found, [])] == [p.id for p in found[:2]]


def test_a_passage_is_pruned_to_what_has_to_do_with_the_question(inquiry: Inquiry) -> None:
    text = " ".join(f"Sentence {n} is of something else." for n in range(5)) + " The gauge raises an alarm at 2.40 m."
    asked = Inquiry(QUESTION, Corpus({"a.md": text}), inquiry.ladder)
    (kept,) = asked.keep(asked.search(), [1])
    assert len(kept.sentences) == 3
    assert kept.sentences[-1].text == "The gauge raises an alarm at 2.40 m."


@pytest.mark.parametrize("question", ["", " \n", "why " * 100])
def test_a_question_has_a_length(corpus: Corpus, inquiry: Inquiry, question: str) -> None:
    with pytest.raises(ConfigError, match="ask in 1 to 300"):
        Inquiry(question, corpus, inquiry.ladder)


def test_a_step_has_the_fields_of_its_task(inquiry: Inquiry) -> None:
    assert inquiry.task("answer") == {"job": "answer", "session": inquiry.session, "max_output_tokens": 120}
