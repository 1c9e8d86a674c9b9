"""From what a graph or an agent gives back to its receipt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from langchain_core.messages import BaseMessage
from tierwise import Receipt, Router
from tierwise.errors import LedgerError, RunError

from tierwise_langgraph.state import KEY, Routing, runs_of

__all__ = ["receipt_of"]


def receipt_of(router: Router, result: Any) -> Receipt:
    """Everything that the routed calls behind a result cost, drafts and judges included.

    Args:
        router: The router that answered: its ledger has the rows. In memory that is the latest 1,000 runs; give the
            router a ledger to read the receipt of a state that was checkpointed by another process.
        result: A graph's or an agent's result or state, a `StateSnapshot`, one message or several, or a `RunError`.

    Raises:
        LedgerError: Nothing in the result is the answer of a routed model, or the ledger does not have its rows.
    """
    runs = dict.fromkeys(_runs(result))
    if not runs:
        raise LedgerError("nothing in this result is the answer of a routed model: there is nothing to bill")
    return router.receipt(*runs)


def _runs(result: Any) -> Iterator[str]:
    if isinstance(result, RunError):
        yield result.run_id
    elif isinstance(result, BaseMessage):
        yield from runs_of([result])
    elif hasattr(result, "values") and not callable(result.values):  # a StateSnapshot
        yield from _runs(result.values)
    elif isinstance(result, Mapping):
        state = cast("Mapping[str, Any]", result)
        routing: Routing = state.get(KEY) or {}
        yield from routing.get("runs", {})
        for value in state.values():
            if isinstance(value, list):
                yield from runs_of(cast("list[Any]", value))
    elif isinstance(result, Iterable):
        yield from runs_of(cast("Iterable[Any]", result))
