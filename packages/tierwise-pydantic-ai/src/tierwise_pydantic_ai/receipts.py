"""From what an agent gives back to its receipt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic_ai import AgentRunResult
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.result import StreamedRunResult
from tierwise import Receipt, Router
from tierwise.errors import LedgerError, RunError

__all__ = ["receipt_of"]


Billed = AgentRunResult[Any] | StreamedRunResult[Any, Any] | Iterable[ModelMessage] | RunError


def receipt_of(router: Router, result: Billed) -> Receipt:
    """Everything that the calls behind an agent's answer cost, drafts and judges included.

    Args:
        router: The router of the agent's `RoutedModel`.
        result: What `run`, `run_sync` or `run_stream` gave: the receipt is that of this run alone. Or messages, e.g. a
            whole history: that of all answers in it. Or the error of a run that failed: that of its last request.

    Raises:
        LedgerError: None of the answers is from a `RoutedModel`, or the router's ledger no longer has one of them.
    """
    if isinstance(result, RunError):
        return router.receipt(result.run_id)
    messages = result if isinstance(result, Iterable) else result.new_messages()
    runs = dict.fromkeys(run for message in messages if (run := _run_id(message)) is not None)
    if not runs:
        raise LedgerError("none of these messages is the answer of a RoutedModel: there is nothing to bill")
    return router.receipt(*runs)


def _run_id(message: ModelMessage) -> str | None:
    stamp: dict[str, str] = (message.metadata or {}).get("tierwise", {}) if isinstance(message, ModelResponse) else {}
    return stamp.get("run_id")
