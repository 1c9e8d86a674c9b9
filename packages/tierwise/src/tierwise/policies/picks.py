"""Which model of the tier goes first? The cheapest, or the one that has been the fastest."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace

from tierwise.context import Context, Decision
from tierwise.errors import ConfigError
from tierwise.figures import check_figure
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import Usage
from tierwise.flow import Flow
from tierwise.policies.base import Always, Policy, PolicyLike, as_policy
from tierwise.task import Task

__all__ = ["Cheapest", "Fastest"]


class _Pick(Policy):
    """Picks the model that goes first in the tier that another policy chose: the one with the smallest figure.

    Models that are not well now (their circuit is open, or they fail too often) are passed over, unless all are.
    """

    _rule: str
    _unit: str

    def __init__(self, within: PolicyLike | str, max_error_rate: float) -> None:
        if not 0 <= max_error_rate <= 1:
            raise ConfigError(
                f"max_error_rate={max_error_rate!r} must be from 0 to 1", setting="max_error_rate", value=max_error_rate
            )
        self._within = Always(within) if isinstance(within, str) else as_policy(within)
        self._max_error_rate = max_error_rate

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
        models = tier.models if tier is not None else ()
        well = [m for m in models if self._is_well(m, context)] or models
        figures = {m.key: self._figure(m, task, context) for m in well}
        known = {key: figure for key, figure in figures.items() if figure is not None}
        if not known:
            return decision
        first = min(known, key=known.__getitem__)
        figure = f"{known[first]:.3g} {self._unit}"
        if len(well) < len(models):
            figure += f" ({', '.join(m.key for m in models if m not in well)} not well now)"
        return replace(
            decision,
            rule=f"{decision.rule}, {self._rule}",
            reason=f"{decision.reason}; {first} is the {self._rule} of {len(known)} known: {figure}",
            model=first,
            scores={**decision.scores, **known},
        )

    def _is_well(self, model: ModelSpec, context: Context) -> bool:
        return (context.state.error_rate(model.key) or 0.0) <= self._max_error_rate and not context.rests(model)


class Cheapest(_Pick):
    """Lets the cheapest model of a tier go first; the others stay behind it as fallbacks, in the tier's order.

    Compared is what this request would cost: its estimated input tokens, and an assumed number of output tokens. A
    model whose price is not known never goes before one whose price is; where none is known, the tier's order holds.

    Args:
        within: The policy that chooses the tier, or a tier's name. Where it abstains, so does this; where it picks a
            model itself, that stands.
        output_tokens: The output tokens to assume; the task's own bound holds where it is smaller.
        max_error_rate: A model that failed more often of late does not go first, nor does one whose circuit is open.

    Raises:
        ConfigError: `output_tokens` is below zero, or `max_error_rate` not from 0 to 1.
    """

    _rule = "cheapest"
    _unit = "USD"

    def __init__(self, within: PolicyLike | str, *, output_tokens: int = 500, max_error_rate: float = 0.5) -> None:
        super().__init__(within, max_error_rate)
        check_figure("output_tokens", output_tokens, zero=True, whole=True)
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
        max_error_rate: A model that failed more often of late does not go first, nor does one whose circuit is open.

    Raises:
        ConfigError: `max_error_rate` is not from 0 to 1.
    """

    _rule = "fastest"
    _unit = "s"

    def __init__(self, within: PolicyLike | str, *, max_error_rate: float = 0.5) -> None:
        super().__init__(within, max_error_rate)

    def _figure(self, model: ModelSpec, task: Task, context: Context) -> float | None:
        return context.state.latency(model.key)
