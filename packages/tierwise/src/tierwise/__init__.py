"""Send each step of an AI agent to the smallest model that can do it, prove that it did, and show the bill."""

from typing import TYPE_CHECKING

from tierwise.attempt import Attempt, Outcome
from tierwise.context import Context, Decision
from tierwise.errors import TierwiseError
from tierwise.fleet import FREE, Fleet, ModelSpec, Price, Tier, Usage
from tierwise.lazy import lazily
from tierwise.ledger import Receipt
from tierwise.messages import Message, Tool, ToolCall
from tierwise.policies import (
    ActStep,
    AfterError,
    Always,
    HighStakes,
    JobTable,
    PlanStep,
    Rule,
    SessionAffinity,
    Stalled,
)
from tierwise.reply import Reply
from tierwise.router import Router
from tierwise.strategies import Cascade, Single
from tierwise.task import Task
from tierwise.verdict import Verdict
from tierwise.verifiers import Judge, NotEmpty, NotRefusal, ValidOutput, ValidToolCalls

if TYPE_CHECKING:
    from tierwise.ledger import SQLiteLedger
    from tierwise.limits import Budget, CircuitBreaker, ModelLimits, RateLimit, Retry
    from tierwise.policies import (
        Cheapest,
        Classifier,
        Complexity,
        Fastest,
        LabelTable,
        LongerThan,
        Needs,
    )
    from tierwise.state import RedisState, SQLiteState
    from tierwise.strategies import BestOf, Observe, Perspectives, Sandwich, Specialists, Vote
    from tierwise.telemetry import Telemetry
    from tierwise.verifiers import Agreement, Check, Logprob
else:
    __getattr__ = lazily(
        __name__,
        {
            "SQLiteLedger": "ledger",
            "Budget": "limits",
            "CircuitBreaker": "limits",
            "ModelLimits": "limits",
            "RateLimit": "limits",
            "Retry": "limits",
            "Cheapest": "policies",
            "Classifier": "policies",
            "Complexity": "policies",
            "Fastest": "policies",
            "LabelTable": "policies",
            "LongerThan": "policies",
            "Needs": "policies",
            "RedisState": "state",
            "SQLiteState": "state",
            "BestOf": "strategies",
            "Observe": "strategies",
            "Perspectives": "strategies",
            "Sandwich": "strategies",
            "Specialists": "strategies",
            "Vote": "strategies",
            "Telemetry": "telemetry",
            "Agreement": "verifiers",
            "Check": "verifiers",
            "Logprob": "verifiers",
        },
    )

__all__ = [
    # What is asked?
    "Message",
    "Task",
    "Tool",
    "ToolCall",
    # What can answer, at what price?
    "FREE",
    "Fleet",
    "ModelSpec",
    "Price",
    "Tier",
    "Usage",
    # Who should try first?
    "ActStep",
    "AfterError",
    "Always",
    "Cheapest",
    "Classifier",
    "Complexity",
    "Context",
    "Decision",
    "Fastest",
    "HighStakes",
    "JobTable",
    "LabelTable",
    "LongerThan",
    "Needs",
    "PlanStep",
    "Rule",
    "SessionAffinity",
    "Stalled",
    # In what shape are calls made?
    "Attempt",
    "BestOf",
    "Cascade",
    "Observe",
    "Outcome",
    "Perspectives",
    "Sandwich",
    "Single",
    "Specialists",
    "Vote",
    # May this call go now?
    "Budget",
    "CircuitBreaker",
    "ModelLimits",
    "RateLimit",
    "RedisState",
    "Retry",
    "SQLiteState",
    # Was the answer good?
    "Agreement",
    "Check",
    "Judge",
    "Logprob",
    "NotEmpty",
    "NotRefusal",
    "ValidOutput",
    "ValidToolCalls",
    "Verdict",
    # What happened, what did it cost?
    "Receipt",
    "Reply",
    "SQLiteLedger",
    "Telemetry",
    # One call from task to receipt
    "Router",
    "TierwiseError",
]
