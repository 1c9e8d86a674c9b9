"""What speaks for a step's answer, without another call: does what it names exist, and does it stand where it says?"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel
from tierwise import Task, Verdict
from tierwise.flow import Outcome
from tierwise.schema import parse_output

from tierwise_examples.research.shapes import Queries, Relevant
from tierwise_examples.research.words import content

if TYPE_CHECKING:
    from tierwise_examples.research.inquiry import Inquiry

__all__ = ["Evidence"]

Shape = TypeVar("Shape", bound=BaseModel)


class Evidence:
    """The verifier of one inquiry's steps. It abstains on steps that it does not know.

    Args:
        inquiry: Knows what was found and given.
    """

    def __init__(self, inquiry: Inquiry) -> None:
        self._inquiry = inquiry

    def __call__(self, task: Task, outcome: Outcome) -> Verdict | None:
        """See `tierwise.verifiers.Verifier`."""
        match task.job:
            case "rewrite":
                return self._rewrite(outcome)
            case "filter":
                return self._filter(outcome)
            case "answer":
                return self._answer(outcome)
            case _:
                return None

    def _rewrite(self, outcome: Outcome) -> Verdict | None:
        """Searches that share no word with any document find nothing."""
        found = typed(Queries, outcome)
        if found is None:
            return None
        if any(content(query) & self._inquiry.corpus.words for query in found.queries):
            return Verdict("accept", "the searches use words of the documents", quotes=False)
        return Verdict("reject", "no search shares a word with the documents", quotes=False)

    def _filter(self, outcome: Outcome) -> Verdict | None:
        """Passages that were not shown cannot help."""
        found = typed(Relevant, outcome)
        if found is None:
            return None
        shown = range(1, len(self._inquiry.shown) + 1)
        strange = [number for number in found.passages if number not in shown]
        if strange:
            return Verdict("reject", f"{strange} were not shown", quotes=False)
        return Verdict("accept", f"{len(found.passages)} of {len(shown)} passages", quotes=False)

    def _answer(self, outcome: Outcome) -> Verdict | None:
        """Each sentence has to cite what was given, and its numbers and names have to stand there."""
        if not outcome.text.strip():
            return None
        claims = self._inquiry.claims(outcome.text, self._inquiry.given)
        wrong = next((claim for claim in claims if claim.standing == "unsupported"), None)
        if wrong is not None:
            return Verdict("reject", f"sentence {wrong.number}: {wrong.reason}")
        if not claims:
            # That nothing was found is no evidence that there is nothing: a higher tier looks again.
            return Verdict("abstain", "says that the documents do not tell", quotes=False)
        return Verdict("accept", f"{len(claims)} sentences stand on what they cite", quotes=False)


def typed(shape: type[Shape], outcome: Outcome) -> Shape | None:
    """The typed answer, from the text or from the one tool call that carries it; `None` if there is none."""
    try:
        if outcome.tool_calls:
            return shape.model_validate(dict(outcome.tool_calls[0].arguments))
        return parse_output(shape, outcome.text)
    except ValueError:
        return None
