"""Was the answer good? A `Verifier` judges after the call."""

from tierwise.verifiers.agreement import Agreement, last_number
from tierwise.verifiers.base import Expense, Verifier, VerifierLike, as_verifier
from tierwise.verifiers.check import Check
from tierwise.verifiers.default import default_verifier, free_verifier
from tierwise.verifiers.judge import Judge
from tierwise.verifiers.logprob import Logprob
from tierwise.verifiers.output import ValidOutput, ValidToolCalls
from tierwise.verifiers.plain import NotEmpty, NotRefusal

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
