"""Which model of the tier goes first? The cheapest, or the one that has been the fastest."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace

from tierwise.context import Context, Decision
from tierwise.errors import ConfigError
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import Usage
from tierwise.flow import Flow
from tierwise.policies.base import Always, Policy, PolicyLike, as_policy
from tierwise.task import Task

__all__ = ["Cheapest", "Fastest"]


class _Pick(Policy):
    """Picks the model that goes first in the tier that another policy chose: the one with the smallest figure."""

    _rule: str
    _unit: str

    def __init__(self, within: PolicyLike | str) -> None:
        self._within = Always(within) if isinstance(within, str) else as_policy(within)

    def decide(self, task: Task, context: Context) -> Decision | None:
        """See `Policy`."""
        return self._picked(self._within.decide(task, context), task, context)

    def flow(self, task: Task, context: Context) -> Flow[Decision | None]:
        """See `Policy`."""
        return self._picked((yield from self._within.flow(task, context)), task, context)

    def refs(self) -> Iterable[str]:
        """See `Policy`."""
        return self._within.refs()

    def model_refs(self) -> Iterable[str]:
        """See `Policy`."""
        return self._within.model_refs()

    @abstractmethod
    def _figure(self, model: ModelSpec, task: Task, context: Context) -> float | None:
        """What is compared; `None` if it is not known."""

    def _picked(self, decision: Decision | None, task: Task, context: Context) -> Decision | None:
        if decision is None or decision.pending or decision.model is not None:
            return decision
        tier = context.available(decision.tier)
        figures = {m.key: self._figure(m, task, context) for m in tier.models} if tier else {}
        known = {key: figure for key, figure in figures.items() if figure is not None}
        if not known:
            return decision
        first = min(known, key=known.__getitem__)
        figure = f"{known[first]:.3g} {self._unit}"
        return replace(
            decision,
            rule=f"{decision.rule}, {self._rule}",
            reason=f"{decision.reason}; {first} is the {self._rule} of {len(known)} known: {figure}",
            model=first,
            scores={**decision.scores, **known},
        )


class Cheapest(_Pick):
    """Lets the cheapest model of a tier go first; the others stay behind it as fallbacks, in the tier's order.

    Compared is what this request would cost: its estimated input tokens, and an assumed number of output tokens. A
    model whose price is not known never goes before one whose price is; where none is known, the tier's order holds.

    Args:
        within: The policy that chooses the tier, or a tier's name. Where it abstains, so does this; where it picks a
            model itself, that stands.
        output_tokens: The output tokens to assume; the task's own bound holds where it is smaller.

    Raises:
        ConfigError: `output_tokens` is below zero.
    """

    _rule = "cheapest"
    _unit = "USD"

    def __init__(self, within: PolicyLike | str, *, output_tokens: int = 500) -> None:
        super().__init__(within)
        if output_tokens < 0:
            raise ConfigError(
                f"output_tokens={output_tokens!r} must be zero or more", setting="output_tokens", value=output_tokens
            )
        self._output_tokens = output_tokens

    def _figure(self, model: ModelSpec, task: Task, context: Context) -> float | None:
        price = context.price(model)
        if price is None:
            return None
        bound = task.max_output_tokens
        tokens_out = self._output_tokens if bound is None else min(bound, self._output_tokens)
        usd = price.cost(Usage(task.estimated_tokens, tokens_out)).usd
        return None if usd is None else float(usd)


class Fastest(_Pick):
    """Lets the model of a tier that has been the fastest go first; the others stay behind it, in the tier's order.

    Compared is the moving average of measured latencies that the router's `State` keeps. A model that was never called
    never goes before one that was, so the others are measured only when they are called: as fallbacks, in votes, or by
    a warm-up.

    Args:
        within: The policy that chooses the tier, or a tier's name. Where it abstains, so does this; where it picks a
            model itself, that stands.
    """

    _rule = "fastest"
    _unit = "s"

    def _figure(self, model: ModelSpec, task: Task, context: Context) -> float | None:
        return context.state.latency(model.key)
