"""Who should try first? A `Policy` decides before the call."""

from typing import TYPE_CHECKING

from tierwise.lazy import lazily
from tierwise.policies.base import Always, FirstOf, FunctionPolicy, Policy, PolicyLike, as_policy
from tierwise.policies.default import default_policy
from tierwise.policies.jobs import JOBS, JobTable
from tierwise.policies.rule import Rule
from tierwise.policies.session import SessionAffinity
from tierwise.policies.stalled import Stalled
from tierwise.policies.steps import ActStep, AfterError, HighStakes, PlanStep

if TYPE_CHECKING:
    from tierwise.policies.classifier import Classifier
    from tierwise.policies.complexity import Complexity
    from tierwise.policies.label_table import LabelTable
    from tierwise.policies.length import LongerThan
    from tierwise.policies.needs import Needs
    from tierwise.policies.outcomes import Cell
    from tierwise.policies.picks import Cheapest, Fastest
    from tierwise.policies.roles import JobHint, job_hint
else:
    __getattr__ = lazily(
        __name__,
        {
            "Classifier": "classifier",
            "Complexity": "complexity",
            "LabelTable": "label_table",
            "LongerThan": "length",
            "Needs": "needs",
            "Cell": "outcomes",
            "Cheapest": "picks",
            "Fastest": "picks",
            "JobHint": "roles",
            "job_hint": "roles",
        },
    )

__all__ = [
    "JOBS",
    "ActStep",
    "AfterError",
    "Always",
    "Cell",
    "Cheapest",
    "Classifier",
    "Complexity",
    "Fastest",
    "FirstOf",
    "FunctionPolicy",
    "HighStakes",
    "JobHint",
    "JobTable",
    "LabelTable",
    "LongerThan",
    "Needs",
    "PlanStep",
    "Policy",
    "PolicyLike",
    "Rule",
    "SessionAffinity",
    "Stalled",
    "as_policy",
    "default_policy",
    "job_hint",
]
