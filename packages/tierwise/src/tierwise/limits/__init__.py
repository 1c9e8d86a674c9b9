"""May this call go now? A `Limit` says what a call would take; the router's `State` sets it aside, or refuses."""

from tierwise.limits.base import Call, Limit
from tierwise.limits.budget import Budget
from tierwise.limits.circuit import CircuitBreaker
from tierwise.limits.rate import ModelLimits, RateLimit
from tierwise.limits.retry import Retry
from tierwise.limits.scope import Amount, BudgetScope, Spending

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
