"""Was the answer good? A `Verifier` judges after the call."""

from typing import TYPE_CHECKING

from tierwise.lazy import lazily
from tierwise.verifiers.base import Expense, Verifier, VerifierLike, as_verifier
from tierwise.verifiers.default import default_verifier, free_verifier
from tierwise.verifiers.judge import Judge
from tierwise.verifiers.output import ValidOutput, ValidToolCalls
from tierwise.verifiers.plain import NotEmpty, NotRefusal

if TYPE_CHECKING:
    from tierwise.verifiers.agreement import Agreement, last_number
    from tierwise.verifiers.check import Check
    from tierwise.verifiers.logprob import Logprob
else:
    __getattr__ = lazily(
        __name__,
        {
            "Agreement": "agreement",
            "last_number": "agreement",
            "Check": "check",
            "Logprob": "logprob",
        },
    )

__all__ = [
    "Agreement",
    "Check",
    "Expense",
    "Judge",
    "Logprob",
    "NotEmpty",
    "NotRefusal",
    "ValidOutput",
    "ValidToolCalls",
    "Verifier",
    "VerifierLike",
    "as_verifier",
    "default_verifier",
    "free_verifier",
    "last_number",
]
