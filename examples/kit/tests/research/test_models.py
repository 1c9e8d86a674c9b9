"""On real small models: easy questions are answered from the lines that tell, in few calls and with short prompts."""

from collections.abc import Callable, Iterator

import pytest
from tierwise_examples.billing import rows_of
from tierwise_examples.ladders import Ladder, embedded
from tierwise_examples.research import MOST_CALLS, Corpus, Inquiry, Report
from tierwise_examples.research.embeddings import local_embeddings
from tierwise_examples.research.questions import shipped_questions

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def ladder() -> Iterator[Ladder]:
    with embedded(2) as models:
        yield models


@pytest.mark.parametrize("name", ["02-anodes", "04-bridge-height", "05-salary"])
def test_two_small_models_answer(
    name: str, ladder: Ladder, shipped: Corpus, agent: Callable[[Inquiry], Report]
) -> None:
    question = next(q for q in shipped_questions() if q.name == name)
    inquiry = Inquiry(question.question, shipped, ladder)
    report = agent(inquiry)
    rows = rows_of(inquiry.router)
    assert question.met_by(report), str(report)
    assert len(rows) <= MOST_CALLS
    prompts = [row.usage.input_tokens for row in rows if row.usage]
    assert len(prompts) == len(rows)
    assert all(tokens is not None and tokens < 500 for tokens in prompts)
    assert {row.tier for row in rows if row.job == "answer"} == {"code"}


def test_a_local_model_makes_the_vectors(ladder: Ladder) -> None:
    embed = local_embeddings(ladder.models["small"], url=ladder.url)
    corpus = Corpus({"a.md": "The boat is red.", "b.md": "Anodes are of zinc."}, embed=embed)
    assert {p.file for p in corpus.search(["boat"])} == {"a.md", "b.md"}
