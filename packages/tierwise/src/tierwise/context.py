"""What a decision can see: the fleet, filtered for the task, and what is remembered. `Decision` is what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from decimal import Decimal
from typing import NoReturn

from tierwise.attempt import Gate
from tierwise.errors import ConfigError, NoModelError, TrustError, UnknownNameError
from tierwise.fleet.fleet import Fleet, Tier
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import Price
from tierwise.fleet.pricing import Pricing
from tierwise.state import State
from tierwise.task import Task
from tierwise.values import evolve, quick

__all__ = ["Context", "Decision", "fitting", "misfit"]


@quick
@dataclass(frozen=True, slots=True)
class Decision:
    """Who should try first, which rule said so, and on what figures."""

    tier: str
    """The tier's name; empty while the decision is pending."""
    _: KW_ONLY
    rule: str = ""
    """The policy that decided."""
    reason: str = ""
    model: str | None = None
    """The model of the tier that goes first; the tier's own order if not given."""
    scores: Mapping[str, float] = field(default_factory=dict[str, float], hash=False)
    pending: bool = False
    """True if a model has to be asked before the tier is known: `run` asks it, `decide` does not."""
    cache_loss: Decimal | None = None
    """Estimated USD of prompt cache that is lost by leaving the session's tier."""
    adjusted: tuple[str, ...] = ()
    """What was changed after the rule had decided (bounds, trust, capabilities), and why."""
    gate: Gate | None = None
    """Reads what the tier writes, and may close its draft: the tier acts, and `then` answers. `Cascade` and `Single`
    ask it; other strategies leave the tier out and start at `then`."""
    then: str | None = None
    """The tier that goes on where the first one's answer is not taken; the next higher one if not given."""
    firm: bool = False
    """A rule about this very step, which the tier of a session does not overrule."""


def misfit(model: ModelSpec, task: Task) -> str | None:
    """Why the model cannot take the task; `None` if it can, or if what would tell is not known."""
    if not model.may_see(task.trust):
        return f"trust {model.trust or 'any'!r} is not {task.trust!r}"
    if model.capabilities is not None:
        if task.tools and "tools" not in model.capabilities:
            return "no tools"
        if task.has_images and "vision" not in model.capabilities:
            return "no vision"
    room = model.context
    if room is not None:
        length = task.estimated_tokens
        if length > room:
            return f"the request has about {length} tokens, the context {room}"
    return None


@quick
@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What policies, strategies and verifiers can see. It does no I/O."""

    fleet: Fleet
    ladder: tuple[Tier, ...]
    """The tiers to climb, smallest first, with only the models that may and can take the task."""
    reach: tuple[Tier, ...]
    """All tiers of the ladder that may and can take the task: a judge may come from here when `ladder` is narrower."""
    specialists: tuple[Tier, ...]
    """The specialists that may and can take the task."""
    state: State
    pricing: Pricing | None = None
    """Where public prices are looked up; without it only the models' own are known."""
    start: Decision | None = None
    """Who tries first; set before a strategy runs."""
    resting: Callable[[ModelSpec], float | None] | None = None
    """Seconds for which the limits refuse every call to a model, as far as is known; see `rests`."""

    @classmethod
    def of(
        cls,
        fleet: Fleet,
        task: Task,
        state: State,
        pricing: Pricing | None = None,
        resting: Callable[[ModelSpec], float | None] | None = None,
    ) -> Context:
        """The context for a task.

        Args:
            fleet: All models.
            task: What bounds them: trust, tiers, capabilities, length.
            state: What is remembered.
            pricing: Where public prices are looked up.
            resting: Seconds for which limits refuse a model.

        Raises:
            TrustError: No model may see the task.
            NoModelError: No model can take it.
        """
        low = 0 if task.min_tier is None else _rung(fleet, task.min_tier, "min_tier")
        high = len(fleet.ladder) if task.max_tier is None else _rung(fleet, task.max_tier, "max_tier")
        if low > high:
            raise ConfigError(
                f"min_tier={task.min_tier!r} is above max_tier={task.max_tier!r}",
                setting="min_tier",
                value=task.min_tier,
            )
        ladder = _fitting(fleet.ladder[low : high + 1], task)
        if not ladder:
            _refuse(task, [m for t in fleet.ladder[low : high + 1] for m in t.models])
        specialists = _fitting(fleet.specialists, task) if task.max_tier is None else ()
        return cls(fleet, ladder, ladder, specialists, state, pricing, resting=resting)

    def for_task(self, task: Task) -> Context:
        """The context for a task that serves this one."""
        return Context.of(self.fleet, task, self.state, self.pricing, self.resting)

    def starting(self, decision: Decision) -> Context:
        """The same context with a decision."""
        return evolve(self, start=decision)

    def at(self, tier: Tier) -> Context:
        """The same context with this tier alone."""
        return evolve(self, ladder=(tier,), start=Decision(tier.name, rule="strategy"))

    @property
    def top(self) -> Tier:
        """The highest tier that may and can take the task."""
        return self.ladder[-1]

    def climb(self, *, gated: bool = False) -> tuple[Tier, ...]:
        """The tiers from the starting one up; a specialist is followed by the top tier.

        Args:
            gated: Whether the caller asks the decision's `gate`. For others, a tier that may only act is left out.
        """
        start = self.start
        if start is None:
            return self.ladder
        first, *rest = self._from(start.tier)
        rest = self._going_on(first, start.then) or rest
        if self.gate is not None and not gated:
            return tuple(rest)
        if start.model is None:
            return (first, *rest)
        models = sorted(first.models, key=lambda m: start.model not in (m.key, m.id))
        return (Tier(first.name, models), *rest)

    @property
    def gate(self) -> Gate | None:
        """What may close the first tier's draft; `None` where no other tier is left to answer in its place."""
        start = self.start
        if start is None or start.gate is None:
            return None
        first, *rest = self._from(start.tier)
        answers = start.then is not None and not self._going_on(first, start.then)
        return start.gate if rest and not answers else None

    def _going_on(self, first: Tier, then: str | None) -> list[Tier]:
        """The tiers from `then` on, as far as they are above the first."""
        if then is None:
            return []
        rank = self.fleet.rank(first.name)
        return [t for t in self._from(then) if self.fleet.rank(t.name) > rank]

    def _from(self, name: str) -> tuple[Tier, ...]:
        for i, tier in enumerate(self.ladder):
            if tier.name == name:
                return self.ladder[i:]
        for tier in self.specialists:
            if tier.name == name:
                return (tier, self.top)
        rank = self.fleet.rank(name)
        return tuple(t for t in self.ladder if self.fleet.rank(t.name) >= rank) or (self.top,)

    def above(self, name: str) -> Tier:
        """The next higher tier within reach; the highest there is, if none is higher."""
        rank = self.fleet.rank(name)
        return next((t for t in self.reach if self.fleet.rank(t.name) > rank), self.reach[-1])

    def models(self, ref: str, task: Task) -> tuple[ModelSpec, ...]:
        """The models that a tier's name, an alias or a model's id stands for, as far as they may and can take the task.

        Raises:
            UnknownNameError: There is no such tier or model.
            TrustError: None of them may see the task.
            NoModelError: None of them can take it.
        """
        return fitting(self.resolve(ref), task)

    def resolve(self, ref: str) -> Sequence[ModelSpec]:
        """The models that a tier's name, an alias or a model's id stands for."""
        return resolve(self.fleet, ref)

    def price(self, model: ModelSpec) -> Price | None:
        """The model's price; `None` if it is not known."""
        return model.price if self.pricing is None else self.pricing.price(model)

    def rests(self, model: ModelSpec) -> bool:
        """True if a limit is known to refuse every call to the model now, e.g. because its circuit is open."""
        return self.resting is not None and self.resting(model) is not None

    def available(self, name: str) -> Tier | None:
        """The tier of that name with the models that may and can take the task; `None` if none of them can."""
        for tier in (*self.ladder, *self.specialists):
            if tier.name == name:
                return tier
        return None

    def tier_of(self, model: ModelSpec) -> str:
        """The name of the lowest tier that holds the model; empty if none does."""
        return next((t.name for t in self.fleet.tiers if model in t.models), "")


def resolve(fleet: Fleet, ref: str, *, where: str = "") -> Sequence[ModelSpec]:
    """The models that a tier's name, an alias or a model's id stands for.

    Raises:
        UnknownNameError: There is no such tier or model; the message names the nearest.
    """
    for tier in fleet.tiers:
        if tier.name == ref:
            return tier.models
    for model in fleet.models:
        if ref in (model.key, model.id):
            return (model,)
    raise UnknownNameError("tier or model", ref, [*fleet.names, *(m.key for m in fleet.models)], where=where)


def fitting(models: Sequence[ModelSpec], task: Task) -> tuple[ModelSpec, ...]:
    """Those of the models that may and can take the task.

    Raises:
        TrustError: None of them may see the task.
        NoModelError: None of them can take it.
    """
    kept = tuple(m for m in models if misfit(m, task) is None)
    if not kept:
        _refuse(task, models)
    return kept


def _rung(fleet: Fleet, name: str, setting: str) -> int:
    names = [t.name for t in fleet.ladder]
    if name not in names:
        raise UnknownNameError("tier", name, names, where=setting)
    return names.index(name)


def _fitting(tiers: Sequence[Tier], task: Task) -> tuple[Tier, ...]:
    kept: list[Tier] = []
    for tier in tiers:
        models = [m for m in tier.models if misfit(m, task) is None]
        if len(models) == len(tier.models):
            kept.append(tier)
        elif models:
            kept.append(Tier(tier.name, models))
    return tuple(kept)


def _refuse(task: Task, models: Sequence[ModelSpec]) -> NoReturn:
    why = "; ".join(f"{m.key}: {misfit(m, task)}" for m in models)
    if not any(m.may_see(task.trust) for m in models):
        raise TrustError(f"no model may see a task with trust={task.trust!r}: {why}")
    raise NoModelError(f"no model can take the task: {why}")
