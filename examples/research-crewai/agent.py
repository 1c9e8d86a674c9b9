"""A research agent: a flow that rewrites, searches, filters, answers, and checks each open claim.

    python agent.py "How often are the zinc anodes of a wave buoy replaced?"

What to change first: `--docs`, your own folder of documents; then the steps of `Research`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tierwise_examples.quiet_crewai as _  # before CrewAI, which reads its settings while it is imported
from crewai.flow.flow import Flow, listen, or_, router, start
from pydantic import BaseModel
from tierwise.errors import AllModelsFailedError, RejectedError
from tierwise_crewai import RoutedLLM
from tierwise_examples.research import Claim, Inquiry, Passage, Queries, Relevant, Report, Supported, main


class Notes(BaseModel):
    """What the steps hand on."""

    passages: list[Passage] = []
    claims: list[Claim] = []


class Research(Flow[Notes]):
    """The steps for one question."""

    inquiry: Any = None

    @start()
    def rewrite(self) -> Queries | None:
        return self.helped("rewrite", self.inquiry.rewrite_prompt(), Queries)

    @router(rewrite)
    def search(self, queries: Queries | None) -> str:
        self.state.passages = self.inquiry.search(queries or ())
        return "found" if self.state.passages else "nothing"

    @listen("found")
    def sift(self) -> None:
        found = self.state.passages
        relevant = self.helped("filter", self.inquiry.filter_prompt(found), Relevant)
        self.state.passages = self.inquiry.keep(found, relevant or ())

    @listen(sift)
    def write(self) -> None:
        text = self.asked("answer", self.inquiry.answer_prompt(self.state.passages))
        self.state.claims = self.inquiry.claims(text, self.state.passages)

    @listen(write)
    def check(self) -> Mapping[int, Supported]:
        doubtful = self.inquiry.to_check(self.state.claims)
        checks = {c.number: self.helped("check", self.inquiry.check_prompt(c), Supported) for c in doubtful}
        return {number: check for number, check in checks.items() if check is not None}

    @listen(or_(check, "nothing"))
    def report(self, checks: Any = None) -> Report:
        return self.inquiry.report(self.state.claims, checks)

    def asked(self, job: str, prompt: str, shape: type[BaseModel] | None = None) -> Any:
        """The answer to one call, which begins at the tier that the router's policy has for the job."""
        llm = RoutedLLM(self.inquiry.router, task=self.inquiry.task(job))
        return llm.call(prompt, response_model=shape)

    def helped(self, job: str, prompt: str, shape: type[BaseModel]) -> Any:
        """The same for a step that only helps: nothing, if no tier gave what was asked for."""
        try:
            return self.asked(job, prompt, shape)
        except (AllModelsFailedError, RejectedError):
            return None


def answer(inquiry: Inquiry) -> Report:
    """Works on one question, and gives what can be said with its lines."""
    return Research(inquiry=inquiry, suppress_flow_events=True).kickoff()


if __name__ == "__main__":
    main(answer)
