"""In what shape are calls made? A strategy is a flow of attempts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias, cast

from tierwise.attempt import Attempt, Gate, Outcome, Prefix, Purpose, Show
from tierwise.context import Context
from tierwise.errors import (
    AllModelsFailedError,
    BadResponseError,
    ConfigError,
    ContextOverflowError,
    LimitError,
    NoModelError,
    RoutingError,
)
from tierwise.fleet.fleet import Tier
from tierwise.fleet.model import ModelSpec
from tierwise.flow import Flow, Judged, Moved, call, gather, note, revised
from tierwise.task import Task
from tierwise.values import evolve
from tierwise.verdict import Verdict
from tierwise.verifiers.base import Verifier
from tierwise.verifiers.output import ValidOutput

__all__ = [
    "Failure",
    "Member",
    "Strategy",
    "answer_of",
    "answers",
    "as_members",
    "closed",
    "failed_all",
    "first_answer",
    "first_of",
    "judged",
    "member_refs",
    "moved",
    "shown",
    "tier_for",
    "tiers_from",
    "tried",
    "voices",
    "with_verdict",
]


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

Failure: TypeAlias = "AllModelsFailedError | RoutingError"
"""Why one voice of several gave no answer: its models failed, or none of them may or can take the task."""


def shown(task: Task) -> Show:
    """How the answer that nothing judges is called: shown live, unless its shape has to be checked first."""
    return Show.LIVE if task.output_schema is None else Show.HOLD


def closed(gate: Gate | None, outcome: Outcome) -> bool:
    """True if a gate closed the draft.

    On a draft that it left undecided, or that was held (inside of another strategy), it has the last word: its text has
    been searched for tool calls by now.
    """
    if gate is None or outcome.aborted or outcome.committed:
        return outcome.aborted
    task, logprobs = outcome.attempt.task, outcome.logprobs or ()
    return gate(Prefix(outcome.text, outcome.tool_calls, logprobs, done=True, task=task, final=True)) == "abort"


def first_answer(
    task: Task,
    tier: Tier,
    *,
    before: Sequence[Outcome] = (),
    reason: str = "",
    logprobs: bool = False,
    **fields: Any,
) -> Flow[Outcome]:
    """The first model of the tier that answers: the later models are fallbacks for the earlier.

    Once the request was too long for a model, those whose context is known to be no larger are passed over. So is a
    model that failed at this task before, wherever else it stands in the fleet.

    No call waits for its turn at one model while another of the tier has room. Where none has, it waits at the one
    whose turn comes first.

    Args:
        task: What is asked.
        tier: Whose models are asked, in order.
        before: What other tiers made of the same task.
        reason: Why the first of its models is called.
        logprobs: Ask for log probabilities, but not of a model that is known to give none.
        **fields: Further fields of the `Attempt`.

    Raises:
        AllModelsFailedError: None answered.
    """
    failed: list[Outcome] = []
    for model, patient in _in_turn(tier, failed):
        if _is_no_use(model, before) or (not patient and _is_no_use(model, failed)):
            continue
        if failed:
            reason = _fallback(failed[-1], patient)
            yield from note(moved(failed[-1], tier))
        wanted = logprobs and model.can("logprobs") is not False
        attempt = Attempt(task, model, tier.name, reason=reason, logprobs=wanted, patient=patient, **fields)
        outcome = yield from call(attempt)
        if outcome.ok and not (outcome.committed or outcome.text.strip() or outcome.tool_calls):
            empty = Verdict("reject", "the answer is empty", verifier="NotEmpty", conclusive=True, quotes=False)
            yield from note(Judged(outcome, empty))
            outcome = evolve(outcome, error=BadResponseError("the answer is empty"))
        if outcome.error is None:
            return outcome
        failed.append(outcome)
    raise AllModelsFailedError(failed)


def first_of(task: Task, tiers: Sequence[Tier], *, reason: str = "", **fields: Any) -> Flow[Outcome]:
    """The first tier that answers: the later tiers are fallbacks for the earlier.

    Args:
        task: What is asked.
        tiers: The tiers, in order.
        reason: Why the first of them is called.
        **fields: Further fields of the `Attempt`.

    Raises:
        AllModelsFailedError: None answered.
    """
    failed: list[Outcome] = []
    for tier in tiers:
        if failed:
            reason = f"fallback: {failed[-1].attempt.tier} failed"
            yield from note(moved(failed[-1], tier))
        try:
            return (yield from first_answer(task, tier, before=failed, reason=reason, **fields))
        except AllModelsFailedError as error:
            failed.extend(error.outcomes)
    raise AllModelsFailedError(failed)


def _in_turn(tier: Tier, failed: Sequence[Outcome]) -> Iterator[tuple[ModelSpec, bool]]:
    """The tier's models, and whether a call may wait for its turn there.

    Args:
        tier: Whose models are asked.
        failed: What came of those that were asked; it grows meanwhile.
    """
    if len(tier.models) == 1:
        yield tier.models[0], True
        return
    for model in tier.models:
        yield model, False
    for outcome in sorted(filter(_could_wait, failed), key=_wait):
        yield outcome.attempt.model, True
        if isinstance(failed[-1].error, LimitError):
            return  # it has waited as long as it may


def _could_wait(outcome: Outcome) -> bool:
    return isinstance(outcome.error, LimitError) and outcome.error.could_wait


def _wait(outcome: Outcome) -> float:
    return (outcome.error.retry_after or 0.0) if isinstance(outcome.error, LimitError) else 0.0


def _fallback(last: Outcome, patient: bool) -> str:
    if patient:
        return "waits: no model of the tier has room"
    return f"fallback: {last.attempt.model.key} {'was refused' if isinstance(last.error, LimitError) else 'failed'}"


def _is_no_use(model: ModelSpec, failed: Sequence[Outcome]) -> bool:
    """True if the model has failed already, or has no more room than one for which the request was too long."""
    if not failed:
        return False
    if any(o.error is not None and o.attempt.model.key == model.key for o in failed):
        return True
    room = model.context
    overflowed = (o.attempt.model.context for o in failed if isinstance(o.error, ContextOverflowError))
    return room is not None and any(tried is not None and tried >= room for tried in overflowed)


def moved(last: Outcome, tier: Tier) -> Moved:
    """What is noted of a flow that goes on at a tier: the call before failed, or its answer was weak."""
    return Moved("escalation" if last.error is None else "fallback", last.attempt.tier, tier.name)


def tier_for(ref: str, task: Task, context: Context) -> Tier:
    """The tier that answers under a name: the tier of that name, or one of that model alone.

    Raises:
        UnknownNameError: There is no such tier or model.
        RoutingError: No model of it may or can take the task, or it lies outside the task's bounds.
    """
    models = context.models(ref, task)
    name = ref if ref in context.fleet.names else context.tier_of(models[0])
    if name not in {t.name for t in (*context.reach, *context.specialists)}:
        raise NoModelError(f"{ref!r} lies outside of min_tier={task.min_tier!r} and max_tier={task.max_tier!r}")
    return Tier(name, models)


def tiers_from(ref: str, task: Task, context: Context) -> Sequence[Tier]:
    """The tier that answers under a name, then those above it as its fallbacks.

    Raises:
        RoutingError: See `tier_for`.
    """
    first = tier_for(ref, task, context)
    rank = context.fleet.rank(first.name)
    return [first, *(t for t in context.reach if context.fleet.rank(t.name) > rank)]


def answer_of(member: Member, task: Task, context: Context, *, purpose: Purpose, **fields: Any) -> Flow[Outcome]:
    """The answer of one voice of several; what a strategy calls an answer is here for `purpose`.

    Args:
        member: Who is asked.
        task: What is asked.
        context: What the member can see.
        purpose: What its answer is for.
        **fields: Further fields of the `Attempt`, where the member is a tier or a model.

    Raises:
        AllModelsFailedError: It did not answer.
        RoutingError: None of its models may or can take the task.
    """
    if isinstance(member, str):
        return (yield from first_answer(task, tier_for(member, task, context), purpose=purpose, **fields))

    def serving(attempt: Attempt) -> Attempt:
        return evolve(attempt, purpose=purpose) if attempt.purpose in ("answer", "synthesis") else attempt

    return (yield from revised(member.flow(task, context), serving))


def tried(flow: Flow[Outcome]) -> Flow[Outcome | Failure]:
    """The flow's answer, or why there is none: one voice that fails does not end the others."""
    try:
        return (yield from flow)
    except (AllModelsFailedError, RoutingError) as error:
        return error


def voices(
    members: Sequence[Member], task: Task, context: Context, *, purpose: Purpose, name: str
) -> Flow[tuple[Outcome | Failure, ...]]:
    """What each of several members says, side by side; one that fails does not end the others.

    Raises:
        AllModelsFailedError: None answered.
        RoutingError: None may or can answer.
    """
    asked = [
        tried(answer_of(m, task, context, purpose=purpose, reason=f"{name} {i} of {len(members)}"))
        for i, m in enumerate(members, 1)
    ]
    results = yield from gather(*asked)
    if not answers(results):
        raise failed_all(results)
    return results


def answers(results: Iterable[Outcome | Failure]) -> list[Outcome]:
    """Those of the results that are answers."""
    return [result for result in results if isinstance(result, Outcome)]


def failed_all(failures: Iterable[Outcome | Failure]) -> Failure:
    """The error to raise where every voice failed: if nothing could be called, the first reason why."""
    given = [failure for failure in failures if not isinstance(failure, Outcome)]
    called = [outcome for e in given if isinstance(e, AllModelsFailedError) for outcome in e.outcomes]
    return AllModelsFailedError(called) if called else given[0]


def judged(verifier: Verifier, task: Task, outcome: Outcome, context: Context) -> Flow[Outcome]:
    """The outcome with its verdict, for the record too.

    A typed output that does not fit its schema is rejected, whatever the verifier is. An earlier verdict (of a strategy
    inside a strategy) stands if it rejects or is conclusive, and where the verifier abstains.
    """
    verdict = outcome.verdict
    if task.output_schema is not None:
        shape = ValidOutput().check(task, outcome)
        verdict = shape if shape.rejected else verdict
    if verdict is None or not (verdict.rejected or verdict.conclusive):
        own = yield from verifier.flow(task, outcome, context)
        verdict = own if verdict is None or own.result != "abstain" else verdict
    return (yield from with_verdict(outcome, verdict))


def with_verdict(outcome: Outcome, verdict: Verdict) -> Flow[Outcome]:
    """The outcome with what was said of it, for the record too."""
    outcome = evolve(outcome, verdict=verdict)
    yield from note(Judged(outcome, verdict))
    return outcome


def as_members(members: Iterable[Member], *, least: int, setting: str = "members") -> tuple[Member, ...]:
    """Checks the voices of a strategy.

    Raises:
        ConfigError: There are fewer than `least`, or one is neither a strategy nor a name.
    """
    given = (members,) if isinstance(members, str) else tuple(members)
    for member in cast("tuple[object, ...]", given):
        if not isinstance(member, str | Strategy):
            raise ConfigError(
                f"{setting}: {member!r} is no member: give a strategy, or the name of a tier or model",
                setting=setting,
                value=member,
            )
    if len(given) < least:
        raise ConfigError(f"{setting}={given!r} must have {least} members or more", setting=setting, value=given)
    return given


def member_refs(members: Iterable[Member | None]) -> list[str]:
    """The tiers and models that members name."""
    return [name for m in members if m is not None for name in ((m,) if isinstance(m, str) else m.refs())]
