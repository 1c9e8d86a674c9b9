"""Who should try first? A `Policy` decides before the call."""

from tierwise.policies.base import Always, FirstOf, FunctionPolicy, Policy, PolicyLike, as_policy
from tierwise.policies.default import default_policy
from tierwise.policies.jobs import JOBS, JobTable
from tierwise.policies.rule import Rule
from tierwise.policies.steps import AfterError, HighStakes

__all__ = [
    "JOBS",
    "AfterError",
    "Always",
    "FirstOf",
    "FunctionPolicy",
    "HighStakes",
    "JobTable",
    "Policy",
    "PolicyLike",
    "Rule",
    "as_policy",
    "default_policy",
]
