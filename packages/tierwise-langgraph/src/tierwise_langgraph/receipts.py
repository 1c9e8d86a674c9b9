"""From what a graph or an agent gives back to its receipt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from langchain_core.messages import BaseMessage
from tierwise import Receipt, Router
from tierwise.errors import RunError

from tierwise_langgraph.state import KEY, Routing, runs_of

__all__ = ["receipt_of"]


def receipt_of(router: Router, result: Any) -> Receipt:
    """The receipt of every routed call that a result came from.

    Args:
        router: The router that answered: its ledger has the rows. In memory that is the latest 1,000 runs; give the
            router a ledger to read the receipt of a state that was checkpointed by another process.
        result: A graph's or an agent's result or state, a `StateSnapshot`, one message or several, or a `RunError`.

    Raises:
        ConfigError: The ledger does not have the rows.
    """
    return router.receipt(*dict.fromkeys(_runs(result)))


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
