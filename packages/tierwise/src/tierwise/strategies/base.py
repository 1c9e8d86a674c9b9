"""In what shape are calls made? A strategy is a flow of attempts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeAlias

from tierwise.context import Context
from tierwise.errors import AllModelsFailedError, BadResponseError
from tierwise.fleet.fleet import Tier
from tierwise.flow import Attempt, Flow, Judged, Outcome, Verdict, call, note
from tierwise.task import Task
from tierwise.verifiers.base import Verifier

__all__ = ["Member", "Strategy", "answer_of", "first_answer"]


class Strategy(ABC):
    """A calling pattern. `flow` asks for calls and returns the outcome that the user gets."""

    verifier: Verifier | None = None
    """What judges the answer, where something does; the free part of it is also asked of an answer shown live."""

    @abstractmethod
    def flow(self, task: Task, context: Context) -> Flow[Outcome]:
        """The answer.

        Raises:
            AllModelsFailedError: No model answered.
        """

    def refs(self) -> Iterable[str]:
        """The tiers and models that this strategy names; a router checks them at start-up."""
        return () if self.verifier is None else self.verifier.refs()


Member: TypeAlias = "Strategy | str"
"""One voice of several: a strategy, or the name of a tier, or of a model."""


def first_answer(task: Task, tier: Tier, **fields: Any) -> Flow[Outcome]:
    """The first model of the tier that answers: the later models are fallbacks for the earlier.

    Args:
        task: What is asked.
        tier: Whose models are asked, in order.
        **fields: Fields of the `Attempt`. Log probabilities are not asked of a model that is known to give none.

    Raises:
        AllModelsFailedError: None answered.
    """
    failed: list[Outcome] = []
    for model in tier.models:
        reason = f"fallback: {failed[-1].attempt.model.key} failed" if failed else fields.get("reason", "")
        logprobs = fields.get("logprobs", False) and model.can("logprobs") is not False
        own = {"reason": reason, "logprobs": logprobs}
        outcome = yield from call(Attempt(task, model, tier.name, **(fields | own)))
        if outcome.ok and not (outcome.committed or outcome.text.strip() or outcome.tool_calls):
            empty = Verdict("reject", "the answer is empty", verifier="NotEmpty", conclusive=True, quotes=False)
            yield from note(Judged(outcome, empty))
            outcome = replace(outcome, error=BadResponseError("the answer is empty"))
        if outcome.error is None:
            return outcome
        failed.append(outcome)
    raise AllModelsFailedError(failed)


def answer_of(member: Member, task: Task, context: Context, **fields: Any) -> Flow[Outcome]:
    """The answer of one voice of several.

    Raises:
        AllModelsFailedError: It did not answer.
    """
    if isinstance(member, Strategy):
        return (yield from member.flow(task, context))
    models = context.models(member, task)
    tier = Tier(context.tier_of(models[0]), models)
    return (yield from first_answer(task, tier, **fields))


def member_refs(members: Iterable[Member]) -> Iterable[str]:
    """The tiers and models that members name."""
    return [name for m in members for name in ((m,) if isinstance(m, str) else m.refs())]
