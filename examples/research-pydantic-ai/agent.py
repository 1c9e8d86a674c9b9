"""A research agent: small agents rewrite, filter, answer, and check the open claims side by side.

    python agent.py "How often are the zinc anodes of a wave buoy replaced?"

What to change first: `--docs`, your own folder of documents; then the steps of `answer`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.exceptions import UnexpectedModelBehavior
from tierwise.errors import RejectedError
from tierwise_examples.research import Claim, Inquiry, Queries, Relevant, Report, Supported, main
from tierwise_pydantic_ai import RoutedModel

FAILURES = (UnexpectedModelBehavior,)
"""That Pydantic AI gives up is a result too."""

Shape = TypeVar("Shape", bound=BaseModel)


def model(inquiry: Inquiry, job: str) -> RoutedModel:
    """The model of a step; the router's policy picks its tier by the job."""
    return RoutedModel(inquiry.router, task=inquiry.task(job))


async def helped(inquiry: Inquiry, job: str, prompt: str, shape: type[Shape]) -> Shape | None:
    """A typed answer; `None` where no tier gives one that holds, as the answer can be found without it."""
    try:
        return (await Agent(model(inquiry, job), output_type=NativeOutput(shape), retries=0).run(prompt)).output
    except (RejectedError, UnexpectedModelBehavior):
        return None


async def checked(inquiry: Inquiry, claims: Sequence[Claim]) -> dict[int, Supported]:
    """What the small tier says of the claims that their words leave open, by their numbers."""
    asked = (helped(inquiry, "check", inquiry.check_prompt(claim), Supported) for claim in claims)
    said = zip(claims, await asyncio.gather(*asked), strict=True)
    return {claim.number: supported for claim, supported in said if supported}


async def research(inquiry: Inquiry) -> Report:
    """One question, from its rewriting to the report."""
    queries = await helped(inquiry, "rewrite", inquiry.rewrite_prompt(), Queries)
    passages = inquiry.search(queries or ())
    if not passages:
        return inquiry.report([])
    relevant = await helped(inquiry, "filter", inquiry.filter_prompt(passages), Relevant)
    passages = inquiry.keep(passages, relevant or ())
    writer = Agent(model(inquiry, "answer"))
    claims = inquiry.claims((await writer.run(inquiry.answer_prompt(passages))).output, passages)
    return inquiry.report(claims, await checked(inquiry, inquiry.to_check(claims)))


def answer(inquiry: Inquiry) -> Report:
    """Works on one question, and gives what can be said with its lines."""
    return asyncio.run(research(inquiry))


if __name__ == "__main__":
    main(answer, FAILURES)
