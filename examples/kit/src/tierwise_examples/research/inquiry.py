"""One question: what is asked at each step, and what is made of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from tierwise import Router
from tierwise.errors import ConfigError

from tierwise_examples.billing import rows_of
from tierwise_examples.ladders import Ladder
from tierwise_examples.research import policy, prompts
from tierwise_examples.research.claims import Claim, Reader
from tierwise_examples.research.corpus import Corpus
from tierwise_examples.research.evidence import Evidence
from tierwise_examples.research.passages import Passage
from tierwise_examples.research.pruning import pruned
from tierwise_examples.research.reports import Report
from tierwise_examples.research.shapes import Queries, Relevant, Supported

__all__ = ["Inquiry"]

_SHOWN = 5
"""How many passages are looked at: what a prompt of about 500 tokens holds."""
_MOST_CHECKS = 2
_LONGEST = 300
"""Characters of a question."""


class Inquiry:
    """One question to a corpus. It remembers what it showed and gave, so each question has its own.

    Args:
        question: What is asked.
        corpus: Where the answer may stand.
        ladder: The models.

    Raises:
        ConfigError: The question is empty, or longer than 300 characters.

    Attributes:
        router: Sends each step to its tier; the ledger knows every call.
        session: The session of every call.
        shown: The passages of the latest `filter_prompt`, in the order of their numbers.
        given: The passages of the latest `answer_prompt`, in the order of their numbers.
    """

    def __init__(self, question: str, corpus: Corpus, ladder: Ladder) -> None:
        if not 0 < len(question.strip()) <= _LONGEST:
            raise ConfigError(
                f"question={question[:50]!r} has {len(question)} characters: ask in 1 to {_LONGEST}",
                setting="question",
                value=question,
            )
        self.question = question.strip()
        self.corpus = corpus
        self.ladder = ladder
        self.session = uuid4().hex
        self.shown: tuple[Passage, ...] = ()
        self.given: tuple[Passage, ...] = ()
        self.router: Router = policy.routed(ladder, Evidence(self))
        self._reader = Reader(self.question, corpus.names)

    def task(self, job: str) -> dict[str, Any]:
        """The fields of a step's task, for an adapter's `task=`: job, session, longest answer.

        Args:
            job: `rewrite`, `filter`, `answer` or `check`.
        """
        return policy.fields(job, self.session)

    def rewrite_prompt(self) -> str:
        """Asks the small tier for `Queries`: what else to search for."""
        return prompts.rewrite(self.question)

    def search(self, queries: Queries | Sequence[str] = ()) -> list[Passage]:
        """The passages that have most to do with the question and the queries, the best first; none if none has.

        Args:
            queries: What to search for beside the question's own words.
        """
        more = queries.queries if isinstance(queries, Queries) else queries
        # A small model's searches may be far off: the question weighs as much as all of them, and its best stays first.
        best = self.corpus.search([self.question], 1)
        found = self.corpus.search([*more, *[self.question] * max(1, len(more))], _SHOWN)
        return [*best, *(passage for passage in found if passage not in best)][:_SHOWN]

    def filter_prompt(self, passages: Sequence[Passage]) -> str:
        """Asks the small tier for `Relevant`: the numbers, from 1 on, of the passages that help."""
        self.shown = tuple(passages)
        return prompts.filtering(self.question, [pruned(p, self.question, 1) for p in passages])

    def keep(self, passages: Sequence[Passage], relevant: Relevant | Sequence[int]) -> list[Passage]:
        """The passages that help, the best first, and of each the sentences that matter.

        The best of the search stays, whatever the small tier says of it: it is the likeliest to hold the answer.

        Args:
            passages: What the numbers count.
            relevant: The numbers, from 1 on.
        """
        numbers = relevant.passages if isinstance(relevant, Relevant) else relevant
        chosen = {1, *(numbers or (2,))}
        return [pruned(p, self.question, 3) for n, p in enumerate(passages, start=1) if n in chosen]

    def answer_prompt(self, passages: Sequence[Passage]) -> str:
        """Asks a higher tier for a sentence, or several, each of which cites a sentence of the passages."""
        self.given = tuple(passages)
        return prompts.answer(self.question, passages)

    def claims(self, text: str, passages: Sequence[Passage]) -> list[Claim]:
        """The sentences of an answer, each with what it cites and what its words alone say of it.

        Args:
            text: The answer.
            passages: What was given, in the order of their numbers.
        """
        return self._reader.claims(text, passages)

    def to_check(self, claims: Sequence[Claim]) -> list[Claim]:
        """The claims that the words alone leave open, as far as there are calls left to check them; two at most."""
        left = max(0, min(_MOST_CHECKS, policy.MOST_CALLS - self.calls))
        return [claim for claim in claims if claim.standing == "open"][:left]

    def check_prompt(self, claim: Claim) -> str:
        """Asks the small tier whether the cited lines say what the claim says: `Supported`."""
        return prompts.check(claim)

    def report(self, claims: Sequence[Claim], checks: Mapping[int, Supported] | None = None) -> Report:
        """What stands. Claims that nothing supports are dropped; what is open is flagged, unless a check says yes.

        Args:
            claims: The sentences of the answer.
            checks: By a claim's number.
        """
        return Report.of(self.question, claims, checks or {})

    @property
    def calls(self) -> int:
        """How many calls the inquiry has made."""
        return len(rows_of(self.router))
