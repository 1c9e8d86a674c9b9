"""What a call took, where its provider did not say, or not to the end."""

from __future__ import annotations

from tierwise.attempt import Outcome
from tierwise.errors import BackendError, LedgerError
from tierwise.fleet.price import Usage
from tierwise.task import CHARS_PER_TOKEN
from tierwise.values import evolve

__all__ = ["counted", "estimated", "never_billed"]


def counted(outcome: Outcome) -> Usage:
    """The provider's own counts, or an estimate where it gave none."""
    usage = outcome.usage
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return estimated(outcome)
    return usage


def estimated(outcome: Outcome) -> Usage:
    """An estimate of what the provider did not count, or had not yet counted to the end; flagged.

    It is a token for four characters, and of the prompt as much as a budget sets aside for it: images and tools too.
    """
    usage = outcome.usage or Usage()
    produced = len(outcome.text) + len(outcome.thinking) + sum(len(str(c.arguments)) for c in outcome.tool_calls)
    tokens_in = outcome.attempt.task.estimated_tokens if usage.input_tokens is None else usage.input_tokens
    tokens_out = max(usage.output_tokens or 0, -(-produced // CHARS_PER_TOKEN))
    return evolve(usage, input_tokens=tokens_in, output_tokens=tokens_out, estimated=True)


def never_billed(error: BaseException) -> bool:
    """True where the provider answered with an error status, or was never reached: nothing was produced."""
    if isinstance(error, ConnectionError | LedgerError):
        return True
    return isinstance(error, BackendError) and error.status is not None
