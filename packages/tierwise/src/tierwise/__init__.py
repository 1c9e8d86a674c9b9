"""Send each step of an AI agent to the smallest model that can do it, prove that it did, and show the bill."""

from tierwise.context import Context, Decision
from tierwise.errors import TierwiseError
from tierwise.fleet import FREE, Fleet, ModelSpec, Price, Tier, Usage
from tierwise.flow import Attempt, Outcome, Verdict
from tierwise.ledger import Receipt
from tierwise.policies import AfterError, Always, HighStakes, JobTable, Rule
from tierwise.reply import Reply
from tierwise.router import Router
from tierwise.strategies import Cascade, Single
from tierwise.task import Message, Task, Tool, ToolCall
from tierwise.verifiers import Judge, NotEmpty, NotRefusal, ValidOutput, ValidToolCalls

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
    "AfterError",
    "Always",
    "Context",
    "Decision",
    "HighStakes",
    "JobTable",
    "Rule",
    # In what shape are calls made?
    "Attempt",
    "Cascade",
    "Outcome",
    "Single",
    # Was the answer good?
    "Judge",
    "NotEmpty",
    "NotRefusal",
    "ValidOutput",
    "ValidToolCalls",
    "Verdict",
    # What happened, what did it cost?
    "Receipt",
    "Reply",
    "Router",
    "TierwiseError",
]
