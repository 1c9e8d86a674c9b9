"""What becomes of one task: the decision, the run, and the reply with its receipt."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from tierwise import drive
from tierwise.admission import OnStateLoss
from tierwise.attempt import Chunk, Outcome
from tierwise.backends.base import replay
from tierwise.backends.registry import Backends
from tierwise.context import Context, Decision
from tierwise.effects import aperform, perform
from tierwise.errors import AllModelsFailedError, RejectedError, RunError, StateError
from tierwise.fleet.fleet import Fleet
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.pricing import Pricing
from tierwise.flow import Decided, Flow, note
from tierwise.ledger.base import Ledger
from tierwise.ledger.receipt import Receipt
from tierwise.ledger.rows import Row
from tierwise.limits import Limit
from tierwise.limits.enclosing import enclosing
from tierwise.observer import UNWATCHED, Ending, Observer
from tierwise.policies.base import Policy, sound
from tierwise.reply import AsyncReplyStream, Reply, ReplyStream, Status
from tierwise.run import Run
from tierwise.schema import parse_output
from tierwise.state import State
from tierwise.strategies.base import Strategy, with_verdict
from tierwise.strategies.downgrade import within_budget
from tierwise.task import Task
from tierwise.values import evolve
from tierwise.verifiers.base import Verifier

if TYPE_CHECKING:
    from tierwise.idempotency import Keyed
    from tierwise.limits import Retry

__all__ = ["Answering", "Setup", "made_before"]

_OPEN = Decision("", pending=True)
_LOWEST = Decision("", rule="default", reason="no rule applies: the lowest tier tries")
_ONCE = nullcontext(None)
_STATUS: Mapping[str, Status] = {"accept": "verified", "reject": "rejected", "abstain": "unverified"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setup:
    """What a router is made of, and all that its runs have in common."""

    fleet: Fleet
    """With the backends' own trust labels and prices where the user gave none."""
    policy: Policy
    strategy: Strategy
    free: Verifier
    """Says what can be said of an answer without a call."""
    backends: Backends
    pricing: Pricing
    limits: Sequence[Limit]
    retry: Retry | None
    max_calls: int
    ledger: Ledger
    state: State
    on_state_loss: OnStateLoss
    keep_replies: float
    observer: Observer

    def bill(self, rows: Iterable[Row]) -> Receipt:
        """The receipt over some calls."""
        return Receipt.of(rows, pricing=self.pricing, baseline=self.fleet.baseline)

    def context(self, task: Task) -> Context:
        """What is known of the task before anything is called.

        Raises:
            RoutingError: No model may or can take it.
        """
        return Context.of(self.fleet, task, self.state, self.pricing, self._resting)

    def _resting(self, model: ModelSpec) -> float | None:
        """Seconds for which a limit is known to refuse the model."""
        backend = self.backends.find(model.provider)
        rests = [None if backend is None else limit.rest(model, backend, self.state) for limit in self.limits]
        return max((seconds for seconds in rests if seconds is not None), default=None)

    def settled(self, decision: Decision | None, context: Context) -> Decision:
        """The decision as it holds: a tier that cannot take the task is replaced by the next one that can.

        Raises:
            UnknownNameError: It names a tier that the fleet does not have.
        """
        decision = sound(decision)
        if decision is None:
            return evolve(_LOWEST, tier=context.ladder[0].name, scores={})
        if decision.pending:
            return decision
        self.fleet.tier(decision.tier, where=f"policy {decision.rule}")
        if decision.then is not None:
            self.fleet.tier(decision.then, where=f"policy {decision.rule}")
        if context.available(decision.tier) is not None:
            return decision
        first = context.starting(decision).climb(gated=True)[0].name
        why = f"{decision.tier} -> {first}: bounds, trust or capabilities rule {decision.tier} out"
        return evolve(decision, tier=first, model=None, adjusted=(*decision.adjusted, why))


class Answering:
    """One run of one task: from the decision to the reply.

    Args:
        setup: What the router is made of.
        task: What is asked.
    """

    def __init__(self, setup: Setup, task: Task) -> None:
        self._setup = setup
        self._task = task
        self._decision = _OPEN
        self.given: Reply | None = None
        """The reply, once there is one; at the beginning already where it was kept under the task's key."""
        self._ended = False
        self.run = Run(
            task,
            backends=setup.backends,
            pricing=setup.pricing,
            ledger=setup.ledger,
            state=setup.state,
            limits=(*setup.limits, *enclosing(setup.state)),
            retry=setup.retry,
            max_calls=setup.max_calls,
            on_state_loss=setup.on_state_loss,
            observer=setup.observer,
        )
        self._keyed = self._with_key(task.idempotency_key)

    @property
    def answer(self) -> Reply:
        """The reply, when the run is over."""
        assert self.given is not None  # noqa: S101 - a run that has none has raised
        return self.given

    def _with_key(self, key: str | None) -> Keyed | None:
        if key is None:
            return None
        from tierwise.idempotency import Keyed

        setup, run = self._setup, self.run
        return Keyed(
            key, self._task, run.run_id, setup.keep_replies, setup.on_state_loss, run.remaining, run.record.take
        )

    def flow(self) -> Flow[Outcome]:
        """Decides, asks in the strategy's shape, and checks what came."""
        setup, task = self._setup, self._task
        context = setup.context(task)
        for tier in context.ladder:
            for model in tier.models:
                setup.backends.get(model)  # what is not installed is told before anything is called, and paid
        decided = made_before(task) or (yield from setup.policy.flow(task, context))
        decision = setup.settled(decided, context)
        self._decision = decision
        yield from note(Decided(decision, context))
        outcome = yield from within_budget(setup.strategy.flow(task, context.starting(decision)), task, context)
        if not outcome.ok:
            raise AllModelsFailedError([outcome])
        judged = outcome.verdict
        if judged is None or (task.output_schema is not None and not judged.rejected):
            outcome = yield from self._checked(outcome, context)
        verdict = outcome.verdict
        # What the strategy itself rejected before anyone saw it stays unseen; a live answer is out, and is marked.
        unseen = judged is not None and not outcome.committed
        if verdict is not None and verdict.rejected and (unseen or task.output_schema is not None):
            raise RejectedError(outcome, verdict.summary)
        return outcome

    def _checked(self, outcome: Outcome, context: Context) -> Flow[Outcome]:
        """The outcome with what can be said of it for free; a typed output that does not fit is always rejected."""
        verdict = yield from self._setup.free.flow(self._task, outcome, context)
        if outcome.verdict is not None and not verdict.rejected:
            return outcome
        own = self._setup.strategy.verifier
        if verdict.result == "abstain" and own is not None:
            said = own.check(self._task, outcome)
            verdict = verdict if said.result == "abstain" else said
        return (yield from with_verdict(outcome, verdict))

    def __enter__(self) -> None:
        """Tells who watches of the run's beginning."""
        self.run.watch.began()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Tells who watches of the run's end, and an error of what was called before it."""
        run = self.run
        try:
            if isinstance(error, RunError):
                run.record.deliver(None)
                error.attempts = run.record.rows
                error.run_id = run.run_id
        finally:
            if run.watch is not UNWATCHED:
                # What a replayed reply cost was told when it was given first.
                run.watch.ended(Ending(self._billed(), self.given, error))

    def once(self) -> AbstractContextManager[None]:
        """Makes the run once under the task's key: what is kept under it is `given` at once, else kept at the end."""
        return _ONCE if self._keyed is None else self._once(self._keyed)

    def aonce(self) -> AbstractAsyncContextManager[None]:
        """The async twin of `once`."""
        return _ONCE if self._keyed is None else self._aonce(self._keyed)

    @contextmanager
    def _once(self, keyed: Keyed) -> Generator[None]:
        state = self._setup.state
        self._give_again(perform(keyed.begin(), state))
        try:
            yield
        except BaseException as error:
            if self.given is None:
                perform(keyed.failed(error, self.run.record.rows), state)
            raise
        if not self.answer.replayed:
            perform(keyed.kept(self._packed()), state)
            self._told_since()

    @asynccontextmanager
    async def _aonce(self, keyed: Keyed) -> AsyncGenerator[None]:
        state = self._setup.state
        self._give_again(await aperform(keyed.begin(), state))
        try:
            yield
        except BaseException as error:
            if self.given is None:
                await aperform(keyed.failed(error, self.run.record.rows), state)
            raise
        if not self.answer.replayed:
            await aperform(keyed.kept(self._packed()), state)
            self._told_since()

    def _packed(self) -> str:
        from tierwise.idempotency import packed

        return packed(self.answer)

    def _give_again(self, body: str | None) -> None:
        if body is None:
            return
        from tierwise.idempotency import Again

        try:
            self.given = Again(self._task, self._setup.fleet, self._setup.bill).reply(body)
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(
                f"the reply kept under idempotency_key={self._task.idempotency_key!r} cannot be read: {error}"
            ) from error

    def _told_since(self) -> None:
        """Puts into the reply what was said of the run when its reply was there already."""
        self.given = evolve(self.answer, statements=tuple(self.run.record.statements))

    # A stream refers to its run, and no run to its stream: so both are gone when it is done, and leave the garbage
    # collector no work.

    def stream(self) -> ReplyStream:
        """The run as a stream."""
        return ReplyStream(self._chunks(), self._at_the_end, self.receipt)

    def astream(self) -> AsyncReplyStream:
        """The async twin of `stream`."""
        return AsyncReplyStream(self._achunks(), self._at_the_end, self.receipt)

    def _at_the_end(self) -> Reply | None:
        return self.given if self._ended else None

    def _chunks(self) -> Generator[Chunk]:
        """Makes the run, and gives what may be shown of it as it comes."""
        with self:
            with self.once():
                if self.given is not None:
                    yield replay(self.given.outcome)
                else:
                    with drive.opened(self.flow(), self.run) as opened:
                        yield from opened
                        self.reply(opened.outcome)
            self._ended = True

    async def _achunks(self) -> AsyncGenerator[Chunk]:
        with self:
            async with self.aonce():
                if self.given is not None:
                    yield replay(self.given.outcome)
                else:
                    async with drive.aopened(self.flow(), self.run) as opened:
                        async for chunk in opened:
                            yield chunk
                        self.reply(opened.outcome)
            self._ended = True

    def receipt(self) -> Receipt:
        """Every call so far."""
        return self.given.receipt if self.given is not None and self.given.replayed else self._billed()

    def _billed(self) -> Receipt:
        return self._setup.bill(self.run.record.rows)

    def reply(self, outcome: Outcome) -> None:
        """Makes the reply of what the flow returned."""
        task, run = self._task, self.run
        run.record.deliver(outcome)
        if task.session is not None:
            prompt_tokens = (outcome.usage.input_tokens if outcome.usage else None) or task.estimated_tokens
            self._setup.state.keep_session(task.session, outcome.attempt.tier, prompt_tokens)
        typed = task.output_schema is not None and not outcome.tool_calls
        self.given = Reply(
            outcome.text,
            output=parse_output(task.output_schema, outcome.text) if typed else None,
            tool_calls=outcome.tool_calls,
            status=_STATUS[outcome.verdict.result if outcome.verdict else "abstain"],
            decision=self._decision,
            receipt=self.receipt(),
            statements=tuple(run.record.statements),
            run_id=run.run_id,
            outcome=outcome,
        )


def made_before(task: Task) -> Decision | None:
    """The decision that the task brings with it, unless it is still open."""
    return None if task.decision is None or task.decision.pending else task.decision
