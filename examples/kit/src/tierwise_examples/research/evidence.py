"""What speaks for a step's answer, without another call: does what it names exist, and does it stand where it says?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tierwise import Task, Verdict
from tierwise.attempt import Outcome
from tierwise.verifiers import Verifier

from tierwise_examples.research import prompts
from tierwise_examples.research.claims import Claim
from tierwise_examples.research.passages import place
from tierwise_examples.research.shapes import Queries, Relevant
from tierwise_examples.research.words import content
from tierwise_examples.typed import typed

if TYPE_CHECKING:
    from tierwise_examples.research.inquiry import Inquiry

__all__ = ["Evidence"]

_PART = 2
"""So many words of a question are a part of it."""


class Evidence(Verifier):
    """The verifier of one inquiry's steps. It abstains on steps that it does not know.

    Args:
        inquiry: Knows what was found and given.
    """

    def __init__(self, inquiry: Inquiry) -> None:
        self._inquiry = inquiry

    def check(self, task: Task, outcome: Outcome) -> Verdict:
        """See `Verifier`."""
        lowest, *higher = self._inquiry.ladder.models
        tier = outcome.attempt.tier
        match task.job:
            case "rewrite":
                verdict = self._rewrite(outcome)
            case "filter":
                verdict = self._filter(outcome)
            case "answer":
                return self._answer(outcome, last=tier == self._inquiry.ladder.top)
            case _:
                return self.abstain("a step without evidence", quotes=False)
        if verdict.rejected and not (higher and tier == lowest):
            # These steps only help: the question's own words find much too, so they go up once at most.
            return self.abstain(verdict.evidence, quotes=False)
        return verdict

    def _rewrite(self, outcome: Outcome) -> Verdict:
        """A search has to do with the question, and to add a word that the documents have."""
        found = typed(Queries, outcome)
        if found is None:
            return self.abstain("no typed answer", quotes=False)
        asked = content(self._inquiry.question)
        own = [query for query in found.queries if query not in prompts.EXAMPLE.queries]
        useful = [words for words in map(content, own) if words & asked]
        if not useful:
            return self.reject("no search has to do with the question", quotes=False)
        if not (frozenset[str]().union(*useful) - asked) & self._inquiry.corpus.words:
            return self.reject("no search adds a word of the documents", quotes=False)
        return self.accept("the searches add words of the documents", quotes=False)

    def _filter(self, outcome: Outcome) -> Verdict:
        """Passages that were not shown cannot help."""
        found = typed(Relevant, outcome)
        if found is None:
            return self.abstain("no typed answer", quotes=False)
        shown = range(1, len(self._inquiry.shown) + 1)
        strange = [number for number in found.passages if number not in shown]
        if strange:
            return self.reject(f"{strange} were not shown", quotes=False)
        return self.accept(f"{len(found.passages)} of {len(shown)} passages", quotes=False)

    def _answer(self, outcome: Outcome, *, last: bool) -> Verdict:
        """Each sentence has to cite what was given, and its numbers and names have to stand there."""
        if not outcome.text.strip():
            return self.abstain("no text", quotes=False)
        claims = self._inquiry.claims(outcome.text, self._inquiry.given)
        wrong = next((claim for claim in claims if claim.standing == "unsupported"), None)
        if wrong is not None:
            return self.reject(f"sentence {wrong.number}: {wrong.reason}")
        if not claims:
            # That nothing was found is no evidence that there is nothing: a higher tier looks again.
            return self.abstain("says that the documents do not tell", quotes=False)
        doubt = self._doubt(claims)
        if doubt:
            # The highest tier has weighed what speaks against it; the report shows it to the reader.
            return self.abstain(doubt) if last else self.reject(doubt)
        return self.accept(f"{len(claims)} sentences stand on what they cite", quotes=False)

    def _doubt(self, claims: Sequence[Claim]) -> str:
        """What of the documents speaks against an answer whose sentences all stand; empty if nothing does."""
        for claim in claims:
            if claim.against is not None:
                return f"sentence {claim.number}: {claim.against} has other figures"
        missed = self._missed(claims)
        return f"{missed} says more of what is asked, and is not cited" if missed else ""

    def _missed(self, claims: Sequence[Claim]) -> str:
        """A sentence of a document that is not cited, with words of the question that no cited document has.

        There is one where a question has two parts and the answer has one.
        """
        files = {line.file for claim in claims for line in claim.lines}
        given = [(p.file, sentence) for p in self._inquiry.given for sentence in p.sentences]
        known = content(" ".join(self._inquiry.corpus.documents[file] for file in files))
        lacking = content(self._inquiry.question) - known
        for file, sentence in given:
            if file not in files and len(content(sentence.text) & lacking) >= _PART:
                return place(file, sentence.first, sentence.last)
        return ""
