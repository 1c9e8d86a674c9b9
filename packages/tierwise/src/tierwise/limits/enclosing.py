"""The budgets whose `with` block a run begins in."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tierwise.limits.budget import Budget
    from tierwise.limits.scope import BudgetScope
    from tierwise.state import State

__all__ = ["enclosing", "entered"]

entered: ContextVar[tuple[BudgetScope, ...]] = ContextVar("tierwise_budgets", default=())
"""The blocks that enclose the caller, outermost first."""


def enclosing(state: State) -> tuple[Budget, ...]:
    """The budgets of the `with` blocks that enclose the caller, outermost first, as far as this state keeps them."""
    scopes = entered.get()
    return tuple(dict.fromkeys(scope.limit for scope in scopes if scope.state is state)) if scopes else ()
