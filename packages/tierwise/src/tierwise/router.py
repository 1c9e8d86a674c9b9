"""One call from task to receipt."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from copy import copy
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tierwise import drive
from tierwise.admission import OnStateLoss
from tierwise.backends.registry import BackendLike, Backends
from tierwise.context import Context, Decision, resolve
from tierwise.errors import AllModelsFailedError, ConfigError, RejectedError, RunError
from tierwise.fleet.fleet import Fleet, Tier
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.pricing import Pricing
from tierwise.flow import Chunk, Decided, Flow, Outcome, note
from tierwise.ledger.base import Ledger
from tierwise.ledger.memory import MemoryLedger
from tierwise.ledger.recall import recalled
from tierwise.ledger.receipt import Receipt
from tierwise.ledger.rows import Row
from tierwise.limits import Budget, BudgetScope, Limit, Retry, Spending
from tierwise.limits.base import named_apart
from tierwise.limits.rate import implied
from tierwise.limits.scope import OwnBudget, enclosing, read
from tierwise.observer import UNWATCHED, Ending, Observer, shielded
from tierwise.policies.base import Policy, PolicyLike, as_policy, sound
from tierwise.policies.default import default_policy
from tierwise.reply import AsyncReplyStream, Reply, ReplyStream, Status
from tierwise.run import MOST_CALLS, Run
from tierwise.schema import parse_output
from tierwise.state import MemoryState, State
from tierwise.strategies.base import Strategy, with_verdict
from tierwise.strategies.cascade import Cascade
from tierwise.strategies.downgrade import within_budget
from tierwise.task import Prompt, Task
from tierwise.values import evolve
from tierwise.verifiers.default import free_verifier

if TYPE_CHECKING:
    from tierwise.backends.base import Backend

__all__ = ["Router"]

_OPEN = Decision("", pending=True)
_STATUS: Mapping[str, Status] = {"accept": "verified", "reject": "rejected", "abstain": "unverified"}


class Router:
    """Sends each task to the smallest model that can do it, proves that it did, and shows the bill.

    Args:
        fleet: The models that may be used.
        policy: Who tries first; by default high stakes, errors, plans and agents that are stalled go up, then the
            task's job decides, then the lowest tier tries (`default_policy`).
        strategy: In what shape calls are made; by default a cascade that checks the answer's shape, and prose by a
            judge.
        backends: What calls each provider, by the prefix of its models (`*` for all others); by default the installed
            packages. A plain function will do.
        limits: What may refuse a call, e.g. `Budget(usd=5, per="day")`. Where a model of the fleet names its
            concurrency or its rates and there is no `RateLimit` among them, `RateLimit(local=None)` is.
        retry: Whether, and how often, a call is made again that failed for a passing reason; never, by default.
        max_calls: How many calls a run may make: drafts, judges, retries and refused ones included.
        ledger: Where every call is kept: a `Ledger`, or a path for one in SQLite. By default the rows of the latest
            1,000 runs are kept in memory.
        state: What is remembered between runs, limits included; in this process by default.
        on_state_loss: What becomes of a call whose limits cannot be asked, because the state is lost. `fail_closed`: it
            is refused. `fail_open`: it goes without them. Both are logged, and told on the reply.
        telemetry: Who is told of every run and call: `Telemetry()` makes spans and metrics of OpenTelemetry of them.
            Nobody by default.

    Raises:
        UnknownNameError: The policy or the strategy names a tier or a model that the fleet does not have.
        ConfigError: Two limits have the same name, `max_calls` is below one, or the telemetry is no observer.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        policy: PolicyLike | None = None,
        strategy: Strategy | None = None,
        backends: Mapping[str, BackendLike] | None = None,
        limits: Sequence[Limit] = (),
        retry: Retry | None = None,
        max_calls: int = MOST_CALLS,
        ledger: Ledger | str | Path | None = None,
        state: State | None = None,
        on_state_loss: OnStateLoss = "fail_closed",
        telemetry: Observer | None = None,
    ) -> None:
        self._strategy = strategy if strategy is not None else Cascade()
        if max_calls < 1:
            raise ConfigError(f"max_calls={max_calls!r} must be one or more", setting="max_calls", value=max_calls)
        self._limits = named_apart((*limits, *implied(fleet.models, limits)))
        self._retry = retry
        self._max_calls = max_calls
        self._ledger = _ledger(ledger)
        self._state: State = state if state is not None else MemoryState()
        self._on_state_loss: OnStateLoss = on_state_loss
        self._observer = shielded(telemetry)
        self._free = free_verifier()
        self._obey(as_policy(policy) if policy is not None else default_policy(), fleet)
        for ref in self._strategy.refs():
            resolve(fleet, ref, where="strategy")
        self._use(fleet, Backends(backends))

    def _obey(self, policy: Policy, fleet: Fleet) -> None:
        for ref in policy.refs():
            fleet.tier(ref, where="policy")
        for ref in policy.model_refs():
            resolve(fleet, ref, where="policy")
        self._policy = policy

    def _use(self, fleet: Fleet, backends: Backends) -> None:
        self._backends = backends
        self.fleet = backends.label(fleet)
        self._pricing = Pricing(self.fleet)
        self._unlabelled = fleet

    @classmethod
    def simple(
        cls,
        *,
        small: str | ModelSpec | Sequence[str | ModelSpec],
        large: str | ModelSpec | Sequence[str | ModelSpec],
        **options: Any,
    ) -> Router:
        """A router over two tiers, `small` and `large`: enough to start with.

        Args:
            small: The model, or models in order of preference, that try first.
            large: The model, or models in order of preference, that answer what the small ones cannot.
            **options: Further arguments of `Router`.
        """
        return cls(Fleet([Tier("small", small), Tier("large", large)]), **options)

    @classmethod
    def from_file(cls, path: str | Path = "tierwise.toml", **options: Any) -> Router:
        """A router as a `tierwise.toml` describes it.

        Args:
            path: The file.
            **options: Arguments of `Router` that replace the file's.

        Raises:
            ConfigError: The file has a wrong setting; the message names the line and the nearest key.
        """
        from tierwise.config import load

        return load(path).router(**options)

    @property
    def state(self) -> State:
        """What is remembered between runs, shared by all routers that `using` makes of this one."""
        return self._state

    def using(self, backend: Backend | None = None, *, policy: PolicyLike | None = None) -> Router:
        """The same router (fleet, strategy, limits, ledger, state), but for what is given.

        Args:
            backend: Calls every model.
            policy: Decides who tries first.

        Raises:
            UnknownNameError: The policy names a tier or a model that the fleet does not have.
        """
        other = copy(self)
        if policy is not None:
            other._obey(as_policy(policy), self.fleet)
        if backend is not None:
            other._use(self._unlabelled, Backends({"*": backend}))
        return other

    def decide(self, task: Task | Prompt, **fields: Any) -> Decision:
        """Who would try first, and why. Asks no model: where one would have to be asked, the decision is `pending`.

        Raises:
            RoutingError: No model may or can take the task.
        """
        asked = Task.of(task, **fields)
        context = Context.of(self.fleet, asked, self._state, self._pricing)
        return self._settled(_made_before(asked) or self._policy.decide(asked, context), context)

    def run(self, task: Task | Prompt, **fields: Any) -> Reply:
        """Answers a task.

        Args:
            task: A task, a text, or messages.
            **fields: Fields of the task.

        Raises:
            RoutingError: No model may or can take the task; nothing was called.
            MissingExtraError: A model of the ladder needs a package that is not installed; nothing was called.
            AllModelsFailedError: Every model failed.
            RejectedError: No answer fits the task's output schema, or the strategy rejected every answer it held.
            DeadlineError: The task's deadline passed.
            TooManyCallsError: The strategy asked for more calls than `max_calls`.
        """
        session = _Session(self, Task.of(task, **fields))
        with session.recorded():
            return session.reply(drive.run(session.flow(), session.run))

    async def arun(self, task: Task | Prompt, **fields: Any) -> Reply:
        """The async twin of `run`."""
        session = _Session(self, Task.of(task, **fields))
        with session.recorded():
            return session.reply(await drive.arun(session.flow(), session.run))

    @contextmanager
    def stream(self, task: Task | Prompt, **fields: Any) -> Generator[ReplyStream]:
        """Answers a task in chunks. A rejected draft is never among them; leaving the context closes the call.

        Raises:
            StreamBrokenError: The stream died after something had been shown.
            TierwiseError: See `run`.
        """
        session = _Session(self, Task.of(task, **fields))
        with closing(session.chunks()) as chunks:
            session.stream = ReplyStream(chunks, session.receipt)
            yield session.stream

    @asynccontextmanager
    async def astream(self, task: Task | Prompt, **fields: Any) -> AsyncGenerator[AsyncReplyStream]:
        """The async twin of `stream`."""
        session = _Session(self, Task.of(task, **fields))
        async with aclosing(session.achunks()) as chunks:
            session.stream = AsyncReplyStream(chunks, session.receipt)
            yield session.stream

    def budget(self, usd: Decimal | float | str | None = None, **options: Any) -> BudgetScope:
        """A budget for all runs that begin in a `with` block, on top of every other: `with router.budget(usd=0.20):`.

        Blocks nest: a call counts against each that encloses its run. Runs of other routers with the same state count
        too.

        Args:
            usd: The cap in USD.
            **options: Further arguments of `Budget`.

        Raises:
            ConfigError: See `Budget`.
        """
        return BudgetScope(OwnBudget(usd=usd, **options), self._state)

    def spending(
        self, budget: Budget, *, run: str = "", session: str | None = None, tag: str | None = None
    ) -> Spending:
        """What of a budget is spent, set aside and left. Asks the state.

        Args:
            budget: One of the router's limits.
            run: The run whose account is read, where each has one.
            session: The session whose account is read, where each has one.
            tag: The tag whose account is read, where each has one.
        """
        return read(budget, budget.scope(time.time(), run=run, session=session, tag=tag), self._state)

    def receipt(self, *run_ids: str, session: str | None = None) -> Receipt:
        """One receipt over several runs, e.g. all those that one run of an agent made.

        It is read from the ledger; what the ledger leaves out of a row (texts of errors, evidence that quotes) is
        missing here too.

        Args:
            *run_ids: The runs' ids: `Reply.run_id`, or `RunError.run_id` of a run that failed.
            session: Every run of this session, also those that failed.

        Raises:
            LedgerError: The ledger cannot be read, or it has no such run or session.
        """
        return self._bill(recalled(self._ledger, run_ids, session))

    def _bill(self, rows: Iterable[Row]) -> Receipt:
        return Receipt.of(rows, pricing=self._pricing, baseline=self.fleet.baseline)

    def _settled(self, decision: Decision | None, context: Context) -> Decision:
        decision = sound(decision)
        if decision is None:
            decision = Decision(context.ladder[0].name, rule="default", reason="no rule applies: the lowest tier tries")
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


class _Session:
    """One run of one task."""

    stream: ReplyStream | AsyncReplyStream

    def __init__(self, router: Router, task: Task) -> None:
        self._router = router
        self._task = task
        self._decision = _OPEN
        self._reply: Reply | None = None
        self.run = Run(
            task,
            backends=router._backends,
            pricing=router._pricing,
            ledger=router._ledger,
            state=router._state,
            limits=(*router._limits, *enclosing(router._state)),
            retry=router._retry,
            max_calls=router._max_calls,
            on_state_loss=router._on_state_loss,
            observer=router._observer,
        )

    def flow(self) -> Flow[Outcome]:
        router, task = self._router, self._task
        context = Context.of(router.fleet, task, router._state, router._pricing)
        for model in (model for tier in context.ladder for model in tier.models):
            router._backends.get(model)  # what is not installed is told before anything is called, and paid
        decided = _made_before(task) or (yield from router._policy.flow(task, context))
        decision = router._settled(decided, context)
        self._decision = decision
        yield from note(Decided(decision, context))
        outcome = yield from within_budget(router._strategy.flow(task, context.starting(decision)), task, context)
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
        verdict = yield from self._router._free.flow(self._task, outcome, context)
        if outcome.verdict is not None and not verdict.rejected:
            return outcome
        own = self._router._strategy.verifier
        if verdict.result == "abstain" and own is not None:
            said = own.check(self._task, outcome)
            verdict = verdict if said.result == "abstain" else said
        return (yield from with_verdict(outcome, verdict))

    @contextmanager
    def recorded(self) -> Generator[None]:
        watch, raised = self.run.watch, None
        watch.began()
        try:
            yield
        except BaseException as error:
            raised = error
            if isinstance(error, RunError):
                self.run.record.deliver(None)
                error.attempts = self.run.record.rows
                error.run_id = self.run.run_id
            raise
        finally:
            if watch is not UNWATCHED:
                watch.ended(Ending(self.receipt(), self._reply, raised))

    def chunks(self) -> Generator[Chunk]:
        with self.recorded(), drive.opened(self.flow(), self.run) as opened:
            yield from opened
            self.stream._reply = self.reply(opened.outcome)

    async def achunks(self) -> AsyncGenerator[Chunk]:
        with self.recorded():
            async with drive.aopened(self.flow(), self.run) as opened:
                async for chunk in opened:
                    yield chunk
                self.stream._reply = self.reply(opened.outcome)

    def receipt(self) -> Receipt:
        return self._router._bill(self.run.record.rows)

    def reply(self, outcome: Outcome) -> Reply:
        task, run = self._task, self.run
        run.record.deliver(outcome)
        if task.session is not None:
            prompt_tokens = (outcome.usage.input_tokens if outcome.usage else None) or task.estimated_tokens
            self._router._state.keep_session(task.session, outcome.attempt.tier, prompt_tokens)
        typed = task.output_schema is not None and not outcome.tool_calls
        self._reply = Reply(
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
        return self._reply


def _made_before(task: Task) -> Decision | None:
    """The decision that the task brings with it, unless it is still open."""
    return None if task.decision is None or task.decision.pending else task.decision


def _ledger(value: Ledger | str | Path | None) -> Ledger:
    if value is None:
        return MemoryLedger()
    if isinstance(value, str | Path):
        from tierwise.ledger.sqlite import SQLiteLedger

        return SQLiteLedger(value)
    return value
