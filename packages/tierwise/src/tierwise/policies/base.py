"""Who should try first? A policy decides before the call, or abstains with `None`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from tierwise.context import Context, Decision
from tierwise.errors import ConfigError
from tierwise.flow import Flow
from tierwise.functions import needs_two, plain_function
from tierwise.task import Task

__all__ = ["Always", "FirstOf", "FunctionPolicy", "Policy", "PolicyLike", "as_policy", "sound"]


class Policy:
    """Decides a task's starting tier, or abstains.

    A policy that needs no model overrides `decide`. One that has to ask a model overrides `flow`, and its `decide`
    answers `Decision("", pending=True)` where it would ask.
    """

    def decide(self, task: Task, context: Context) -> Decision | None:
        """The decision without any call; `None` to abstain."""
        return None

    def flow(self, task: Task, context: Context) -> Flow[Decision | None]:
        """The decision, asking models where needed."""
        return self.decide(task, context)
        yield ()

    def refs(self) -> Iterable[str]:
        """The tiers that this policy's decisions may name; a router checks them at start-up."""
        return ()

    def model_refs(self) -> Iterable[str]:
        """The tiers or models that this policy asks, or picks by name; a router checks them at start-up."""
        return ()

    def __or__(self, other: PolicyLike) -> Policy:
        """The other is asked where this one abstains."""
        return FirstOf(self, other)

    def __ror__(self, other: PolicyLike) -> Policy:
        return FirstOf(other, self)


PolicyLike: TypeAlias = "Policy | Callable[..., Decision | str | None]"
"""A policy, or a function of the task (or of task and context) that gives a decision, a tier's name or `None`."""


def as_policy(value: PolicyLike) -> Policy:
    """Accepts a policy or a plain function.

    Raises:
        ConfigError: It is neither.
    """
    if isinstance(value, Policy):
        return value
    if isinstance(value, type):
        raise ConfigError(
            f"{value!r} is a class, and no policy yet: make one of it, {value.__name__}(...)",
            setting="policy",
            value=value,
        )
    if callable(value):
        return FunctionPolicy(value)
    raise ConfigError(f"{value!r} is no policy: give a Policy or a function", setting="policy", value=value)


def sound(decision: Decision | None) -> Decision | None:
    """The decision, unless it stands on a score that is no finite number: the policy counts as abstaining then.

    Such a score comes of a damaged artifact or a defect, which is logged as a warning.
    """
    if decision is None or all(map(math.isfinite, decision.scores.values())):
        return decision
    from logging import getLogger

    getLogger("tierwise.policies").warning(
        "the decision of %s for %s does not count: a score is no finite number: %r",
        decision.rule or "a policy",
        decision.tier,
        dict(decision.scores),
    )
    return None


class FunctionPolicy(Policy):
    """A plain function as a policy.

    Args:
        function: Takes the task, or task and context; gives a `Decision`, a tier's name, or `None` to abstain.
    """

    def __init__(self, function: Callable[..., Decision | str | None]) -> None:
        self._function = function
        self._name = plain_function("policy", function)
        self._takes_context = needs_two(function)

    def decide(self, task: Task, context: Context) -> Decision | None:
        """See `Policy`."""
        answer: Any = self._function(task, context) if self._takes_context else self._function(task)
        if isinstance(answer, str):
            return Decision(answer, rule=self._name, reason=f"{self._name} said so")
        if answer is None or isinstance(answer, Decision):
            return answer
        raise ConfigError(
            f"{self._name} must give a tier's name, a Decision or None, not {answer!r}", setting="policy", value=answer
        )


class FirstOf(Policy):
    """Asks one policy after the other; the first that does not abstain decides."""

    def __init__(self, *policies: PolicyLike) -> None:
        flat: list[Policy] = []
        for policy in map(as_policy, policies):
            flat.extend(policy.policies if isinstance(policy, FirstOf) else [policy])
        self.policies = tuple(flat)

    def decide(self, task: Task, context: Context) -> Decision | None:
        """See `Policy`."""
        for policy in self.policies:
            decision = sound(policy.decide(task, context))
            if decision is not None:
                return decision
        return None

    def flow(self, task: Task, context: Context) -> Flow[Decision | None]:
        """See `Policy`."""
        for policy in self.policies:
            decision = sound((yield from policy.flow(task, context)))
            if decision is not None:
                return decision
        return None

    def refs(self) -> Iterable[str]:
        """See `Policy`."""
        return [name for policy in self.policies for name in policy.refs()]

    def model_refs(self) -> Iterable[str]:
        """See `Policy`."""
        return [name for policy in self.policies for name in policy.model_refs()]


class Always(Policy):
    """Always this tier: the last member of a chain.

    Args:
        tier: A tier's name.
    """

    def __init__(self, tier: str) -> None:
        self._tier = tier

    def decide(self, task: Task, context: Context) -> Decision | None:
        """See `Policy`."""
        return Decision(self._tier, rule="always", reason=f"always {self._tier}")

    def refs(self) -> Iterable[str]:
        """See `Policy`."""
        return (self._tier,)
