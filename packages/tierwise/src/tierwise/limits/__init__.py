"""May this call go now? A `Limit` says what a call would take; the router's `State` sets it aside, or refuses."""

from typing import TYPE_CHECKING

from tierwise.lazy import lazily
from tierwise.limits.base import Call, Limit

if TYPE_CHECKING:
    from tierwise.limits.budget import Budget
    from tierwise.limits.circuit import CircuitBreaker
    from tierwise.limits.rate import ModelLimits, RateLimit
    from tierwise.limits.retry import Retry
    from tierwise.limits.scope import Amount, BudgetScope, Spending
else:
    __getattr__ = lazily(
        __name__,
        {
            "Amount": "scope",
            "Budget": "budget",
            "BudgetScope": "scope",
            "CircuitBreaker": "circuit",
            "ModelLimits": "rate",
            "RateLimit": "rate",
            "Retry": "retry",
            "Spending": "scope",
        },
    )

__all__ = [
    "Amount",
    "Budget",
    "BudgetScope",
    "Call",
    "CircuitBreaker",
    "Limit",
    "ModelLimits",
    "RateLimit",
    "Retry",
    "Spending",
]
