"""One call from task to receipt."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing, closing
from copy import copy
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tierwise import drive
from tierwise.admission import OnStateLoss
from tierwise.answering import Answering, Setup, made_before
from tierwise.backends.registry import BackendLike, Backends
from tierwise.context import Decision
from tierwise.figures import check_figure
from tierwise.fleet.fleet import Fleet, Tier
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.pricing import Pricing
from tierwise.given import (
    given_fleet,
    given_ledger,
    given_limits,
    given_mode,
    given_policy,
    given_retry,
    given_state,
    given_strategy,
)
from tierwise.ledger.base import Ledger
from tierwise.ledger.receipt import Receipt
from tierwise.limits.base import Limit
from tierwise.messages import Prompt
from tierwise.observer import Observer, shielded
from tierwise.policies.base import PolicyLike
from tierwise.reply import AsyncReplyStream, Reply, ReplyStream
from tierwise.run import MOST_CALLS
from tierwise.state import State
from tierwise.strategies.base import Strategy
from tierwise.task import Task
from tierwise.verifiers.default import free_verifier

if TYPE_CHECKING:
    from pathlib import Path

    from tierwise.backends.base import Backend
    from tierwise.limits import Budget, BudgetScope, Retry, Spending

__all__ = ["Router"]

_DAY = 86_400.0
"""Seconds."""


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
        keep_replies: Seconds for which the reply to a task with an `idempotency_key` is kept in the state; a day, by
            default.
        telemetry: Who is told of every run and call: `Telemetry()` makes spans and metrics of OpenTelemetry of them.
            Nobody by default.

    Raises:
        UnknownNameError: The policy, the strategy or a limit names a tier or a model that the fleet does not have.
        ConfigError: Two limits have the same name, `max_calls` or `keep_replies` is not above zero, or what is given as
            the fleet, the strategy, a limit, `retry`, `ledger`, `state`, `on_state_loss` or `telemetry` is none.
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
        keep_replies: float = _DAY,
        telemetry: Observer | None = None,
    ) -> None:
        check_figure("max_calls", max_calls, whole=True)
        check_figure("keep_replies", keep_replies)
        self._fleet = given_fleet(fleet)
        called = Backends(backends)
        labelled = called.label(fleet)
        self._setup = Setup(
            fleet=labelled,
            policy=given_policy(policy, fleet),
            strategy=given_strategy(strategy, fleet),
            free=free_verifier(),
            backends=called,
            pricing=Pricing(labelled),
            limits=given_limits(limits, fleet),
            retry=given_retry(retry),
            max_calls=max_calls,
            ledger=given_ledger(ledger),
            state=given_state(state),
            on_state_loss=given_mode(on_state_loss),
            keep_replies=keep_replies,
            observer=shielded(telemetry),
        )

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
    def fleet(self) -> Fleet:
        """The models, with the backends' own trust labels and prices where the user gave none."""
        return self._setup.fleet

    @property
    def ledger(self) -> Ledger:
        """Where every call is kept, shared by all routers that `using` makes of this one."""
        return self._setup.ledger

    @property
    def state(self) -> State:
        """What is remembered between runs, shared by all routers that `using` makes of this one."""
        return self._setup.state

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
            other._setup = replace(other._setup, policy=given_policy(policy, self._fleet))
        if backend is not None:
            called = Backends({"*": backend})
            labelled = called.label(self._fleet)
            other._setup = replace(other._setup, fleet=labelled, backends=called, pricing=Pricing(labelled))
        return other

    def decide(self, task: Task | Prompt, **fields: Any) -> Decision:
        """Who would try first, and why. Asks no model: where one would have to be asked, the decision is `pending`.

        Raises:
            RoutingError: No model may or can take the task.
        """
        asked = Task.of(task, **fields)
        setup = self._setup
        context = setup.context(asked)
        return setup.settled(made_before(asked) or setup.policy.decide(asked, context), context)

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
            IdempotencyError: The run cannot be made under the task's `idempotency_key`; nothing was called.
        """
        answering = Answering(self._setup, Task.of(task, **fields))
        with answering, answering.once():
            if answering.given is None:
                answering.reply(drive.run(answering.flow(), answering.run))
        return answering.answer

    async def arun(self, task: Task | Prompt, **fields: Any) -> Reply:
        """The async twin of `run`."""
        answering = Answering(self._setup, Task.of(task, **fields))
        with answering:
            async with answering.aonce():
                if answering.given is None:
                    answering.reply(await drive.arun(answering.flow(), answering.run))
        return answering.answer

    def stream(self, task: Task | Prompt, **fields: Any) -> AbstractContextManager[ReplyStream]:
        """Answers a task in chunks. A rejected draft is never among them; leaving the context closes the call.

        Raises:
            StreamBrokenError: The stream died after something had been shown.
            TierwiseError: See `run`.
        """
        return closing(Answering(self._setup, Task.of(task, **fields)).stream())

    def astream(self, task: Task | Prompt, **fields: Any) -> AbstractAsyncContextManager[AsyncReplyStream]:
        """The async twin of `stream`."""
        return aclosing(Answering(self._setup, Task.of(task, **fields)).astream())

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
        from tierwise.limits.scope import BudgetScope, OwnBudget

        return BudgetScope(OwnBudget(usd=usd, **options), self.state)

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
        from tierwise.limits.scope import read

        return read(budget, budget.scope(time.time(), run=run, session=session, tag=tag), self.state)

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
        from tierwise.ledger.recall import recalled

        return self._setup.bill(recalled(self.ledger, run_ids, session))
