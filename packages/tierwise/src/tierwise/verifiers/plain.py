"""Checks of the answer's plain text: is there any, and is it a refusal?"""

from __future__ import annotations

import re

from tierwise.attempt import Outcome
from tierwise.task import Task
from tierwise.verdict import Verdict
from tierwise.verifiers.base import Verifier

__all__ = ["NotEmpty", "NotRefusal"]


class NotEmpty(Verifier):
    """Rejects an answer that holds neither text nor a tool call. That there is one is no evidence: it abstains then."""

    quotes = False

    def check(self, task: Task, outcome: Outcome) -> Verdict:
        """See `Verifier`."""
        if outcome.text.strip() or outcome.tool_calls:
            return self.abstain("not empty")
        return self.reject("the answer is empty", conclusive=True)


_CANNOT = r"(?:can(?:no|')t|can not|unable|not able|won't)"
_I = r"\b(?:i|we)(?:'m|'re| am| are)?"
_REFUSAL = (
    r"(?i)\W*(?:"
    rf"(?:i'?m|i am) (?:so |very |really )?(?:sorry|afraid)\b.{{0,60}}?{_I} {_CANNOT}\b"
    rf"|sorry,? (?:but )?i (?:am )?{_CANNOT}\b"
    rf"|i (?:am )?{_CANNOT} (?:to )?(?:help|assist|answer|provide|comply|do that|fulfil)"
    r"|i must (?:decline|refuse)\b"
    rf"|as an? (?:ai|artificial intelligence|large language|language)\b.{{0,60}}?\b(?:{_CANNOT}|don't have)\b"
    r")"
)
"""Compiled, and kept, by `re` at its first use."""
_OPENING = 200
_APOSTROPHE = "\N{RIGHT SINGLE QUOTATION MARK}"


class NotRefusal(Verifier):
    """Rejects an answer that a provider marked as refused, or that opens with the words of a refusal.

    Reads the first 200 characters. English only; in other languages it abstains, as it does on any answer that is no
    refusal.
    """

    quotes = False

    def check(self, task: Task, outcome: Outcome) -> Verdict:
        """See `Verifier`."""
        if outcome.finish_reason in ("content_filter", "refusal"):
            return self.reject(f"the provider ended it with {outcome.finish_reason!r}", conclusive=True)
        if not outcome.tool_calls and re.match(_REFUSAL, outcome.text[:_OPENING].replace(_APOSTROPHE, "'")):
            return self.reject("the answer opens with a refusal", conclusive=True)
        return self.abstain("no refusal")
