"""A session keeps its tier, so that its prompt cache survives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from tierwise.context import Context, Decision
from tierwise.errors import ConfigError
from tierwise.fleet.fleet import Fleet
from tierwise.flow import Flow
from tierwise.policies.base import Policy, PolicyLike, as_policy
from tierwise.task import Task

__all__ = ["SessionAffinity"]

_MILLION = Decimal(1_000_000)


class SessionAffinity(Policy):
    """Keeps a session on the tier that last answered it, unless another policy wants to go up, or is firm.

    A prompt cache belongs to one model: a session that goes down a tier pays the full input price for its whole history
    once more. The decision shows what that is estimated to cost (`cache_loss`): the cached prompt tokens, times the
    session's model's input price less its price for cached input; unknown where the price is. To or from a specialist,
    which is chosen for what it can do, the other policy is followed. A firm decision is one about this very
    step (`PlanStep`, `ActStep`, `Stalled`). Abstains where the task has no session, or the
    session was never answered, and the other policy abstains.

    Args:
        within: The policy that would decide without the session; without one, a session just stays.
        release_after: Seconds without an answer after which nothing holds the session any more: how long the provider
            keeps a prompt cache. By default it is never let go.

    Raises:
        ConfigError: `release_after` is below zero.
    """

    def __init__(self, within: PolicyLike | None = None, *, release_after: float | None = None) -> None:
        if release_after is not None and not release_after >= 0:
            raise ConfigError(
                f"release_after={release_after!r} must be seconds, zero or more",
                setting="release_after",
                value=release_after,
            )
        self._within = Policy() if within is None else as_policy(within)
        self._release_after = release_after

    def decide(self, task: Task, context: Context) -> Decision | None:
        """See `Policy`."""
        return self._kept(self._within.decide(task, context), task, context)

    def flow(self, task: Task, context: Context) -> Flow[Decision | None]:
        """See `Policy`."""
        return self._kept((yield from self._within.flow(task, context)), task, context)

    def refs(self) -> Iterable[str]:
        """See `Policy`."""
        return self._within.refs()

    def model_refs(self) -> Iterable[str]:
        """See `Policy`."""
        return self._within.model_refs()

    def _kept(self, wanted: Decision | None, task: Task, context: Context) -> Decision | None:
        kept = context.state.session_tier(task.session) if task.session else None
        if kept is None or kept[0] not in context.fleet.names or (wanted is not None and wanted.pending):
            return wanted
        tier, cached = kept
        if self._expired(task, context):
            return wanted
        loss = _cache_loss(tier, cached, context)
        if wanted is None:
            return Decision(tier, rule="session", reason=f"the session is on {tier}", cache_loss=loss)
        if wanted.tier == tier:
            return wanted
        if wanted.firm or _goes_up(tier, wanted.tier, context.fleet):
            return replace(wanted, cache_loss=loss)
        return replace(
            wanted,
            tier=tier,
            model=None,
            rule=f"session, over {wanted.rule}",
            reason=f"the session stays on {tier}, where about {cached} prompt tokens are cached; {wanted.tier} was "
            f"wanted: {wanted.reason}",
            cache_loss=loss,
        )

    def _expired(self, task: Task, context: Context) -> bool:
        if self._release_after is None or task.session is None:
            return False
        idle = context.state.session_idle(task.session)
        return idle is not None and idle >= self._release_after


def _goes_up(tier: str, wanted: str, fleet: Fleet) -> bool:
    ladder = [t.name for t in fleet.ladder]
    return tier not in ladder or wanted not in ladder or fleet.rank(wanted) > fleet.rank(tier)


def _cache_loss(tier: str, cached_tokens: int, context: Context) -> Decimal | None:
    price = context.price(context.fleet.tier(tier).models[0])
    return None if price is None else cached_tokens * max(price.input - price.cached_input, Decimal(0)) / _MILLION
