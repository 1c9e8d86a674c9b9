"""An agent without any framework: the stages one after the other."""

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from pydantic import BaseModel
from tierwise_examples.ladders import Ladder
from tierwise_examples.research import Corpus, Inquiry, Queries, Relevant, Report, Supported

Shape = TypeVar("Shape", bound=BaseModel)

LADDER = Ladder({"small": "ollama:a", "code": "ollama:b", "large": "ollama:c"})
DOCUMENTS = {
    "tides.md": "# Tide gauges\n\nThe gauge at Vessry Pier\nreads every 60 seconds. It raises an alarm at 2.40 m.\n"
    "\n## Care\n\n- Gauges are cleaned each May.\n- Spare floats lie in store 3.\n",
    "buoys.md": "# Buoys\n\nThe buoy WB-07 has a panel of 12 W. Idris Fenn built it.\n",
}


def work(inquiry: Inquiry) -> Report:
    def typed(shape: type[Shape], job: str, prompt: str) -> Shape:
        fields: dict[str, Any] = inquiry.task(job)
        return inquiry.router.run(prompt, output_schema=shape, **fields).output

    queries = typed(Queries, "rewrite", inquiry.rewrite_prompt())
    found = inquiry.search(queries)
    if not found:
        return inquiry.report([])
    kept = inquiry.keep(found, typed(Relevant, "filter", inquiry.filter_prompt(found)))
    text = inquiry.router.run(inquiry.answer_prompt(kept), **inquiry.task("answer")).text
    claims = inquiry.claims(text, kept)
    checks = {c.number: typed(Supported, "check", inquiry.check_prompt(c)) for c in inquiry.to_check(claims)}
    return inquiry.report(claims, checks)


@pytest.fixture(scope="session")
def shipped() -> Corpus:
    return Corpus.shipped()


@pytest.fixture
def corpus() -> Corpus:
    return Corpus(DOCUMENTS)


@pytest.fixture
def inquiry(corpus: Corpus) -> Inquiry:
    return Inquiry("At what level does the gauge at Vessry Pier raise an alarm?", corpus, LADDER)


@pytest.fixture
def agent() -> Callable[[Inquiry], Report]:
    return work
