"""Budgets that hold within a `with` block, and what of a budget is spent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tierwise.ids import new_id
from tierwise.limits.budget import Budget, Unit
from tierwise.limits.enclosing import entered
from tierwise.limits.estimate import as_usd
from tierwise.state import Balance, State

__all__ = ["Amount", "BudgetScope", "OwnBudget", "Spending", "aread", "read"]

_KEPT = 86_400.0
"""Seconds after its last use for which the account of a block is kept: there may be a block for each request."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A sum in the units that a budget counts; `None` in those that it does not."""

    usd: Decimal | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Spending:
    """One account of a budget, read."""

    spent: Amount
    reserved: Amount
    """Set aside by calls that are under way."""
    cap: Amount

    @property
    def remaining(self) -> Amount:
        """What further calls may take; below zero if calls took more than was estimated."""
        cap, spent, reserved = self.cap, self.spent, self.reserved
        usd = None if cap.usd is None else cap.usd - (spent.usd or 0) - (reserved.usd or 0)
        tokens = None if cap.tokens is None else cap.tokens - (spent.tokens or 0) - (reserved.tokens or 0)
        return Amount(usd, tokens)


class OwnBudget(Budget):
    """A budget with an account that nothing else shares, whatever its name is.

    Args:
        **options: Arguments of `Budget`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._prefix = f"budget:{new_id()}:"
        self._keep = self._keep or _KEPT


class BudgetScope:
    """A budget for all runs that begin within its `with` block, on top of every other. See `Router.budget`.

    It may be entered again, in another thread or task too: what is spent in all of them is counted together. A thread
    does not inherit the block that it was started in, so a worker enters the budget itself.
    """

    def __init__(self, budget: Budget, state: State) -> None:
        self.limit = budget
        self.state = state

    def __enter__(self) -> BudgetScope:
        entered.set((*entered.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        # Not by a token: a generator, or an async one at its end, may leave in another context than it entered.
        left = list(entered.get())
        if self in left:
            left.remove(self)
        entered.set(tuple(left))

    @property
    def spending(self) -> Spending:
        """What is spent, set aside and left. Asks the state."""
        return read(self.limit, "", self.state)

    async def aspending(self) -> Spending:
        """The async twin of `spending`."""
        return await aread(self.limit, "", self.state)

    @property
    def spent(self) -> Amount:
        """What its runs have spent. Asks the state."""
        return self.spending.spent

    @property
    def reserved(self) -> Amount:
        """What its calls under way have set aside. Asks the state."""
        return self.spending.reserved

    @property
    def remaining(self) -> Amount:
        """What further calls may take. Asks the state."""
        return self.spending.remaining


def read(budget: Budget, scope: str, state: State) -> Spending:
    """One account of a budget."""
    return _spending(budget, {unit: state.balance(budget.key(scope, unit)) for unit in budget.caps})


async def aread(budget: Budget, scope: str, state: State) -> Spending:
    """The async twin of `read`."""
    return _spending(budget, {unit: await state.abalance(budget.key(scope, unit)) for unit in budget.caps})


def _spending(budget: Budget, read: Mapping[Unit, Balance]) -> Spending:
    caps: dict[Unit, int] = {unit: max(budget.caps[unit], balance.cap or 0) for unit, balance in read.items()}
    return Spending(
        _amount({unit: balance.spent for unit, balance in read.items()}),
        _amount({unit: balance.reserved for unit, balance in read.items()}),
        _amount(caps),
    )


def _amount(of: Mapping[Unit, int]) -> Amount:
    return Amount(as_usd(of["usd"]) if "usd" in of else None, of.get("tokens"))
