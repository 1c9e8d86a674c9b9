"""What a router is given, checked before it is used: a slip is told when the router is made, and not after a call."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast, get_args

from tierwise.admission import OnStateLoss
from tierwise.context import resolve
from tierwise.errors import ConfigError, UnknownNameError
from tierwise.fleet.fleet import Fleet
from tierwise.ledger.base import Ledger
from tierwise.ledger.memory import MemoryLedger
from tierwise.limits.base import Limit, named_apart
from tierwise.limits.implied import implied
from tierwise.policies.base import Policy, PolicyLike, as_policy
from tierwise.policies.default import default_policy
from tierwise.state import State
from tierwise.strategies.base import Strategy
from tierwise.strategies.cascade import Cascade

if TYPE_CHECKING:
    from pathlib import Path

    from tierwise.limits.retry import Retry

__all__ = [
    "given_fleet",
    "given_ledger",
    "given_limits",
    "given_mode",
    "given_policy",
    "given_retry",
    "given_state",
    "given_strategy",
]


def given_fleet(value: Fleet) -> Fleet:
    """The fleet.

    Raises:
        ConfigError: It is none.
    """
    if not isinstance(cast("object", value), Fleet):
        raise ConfigError(
            f"fleet={value!r} must be a Fleet: Fleet([Tier('small', 'ollama:qwen3:4b'), ...])",
            setting="fleet",
            value=value,
        )
    return value


def given_policy(value: PolicyLike | None, fleet: Fleet) -> Policy:
    """The policy, by default `default_policy`.

    Raises:
        UnknownNameError: It names a tier or a model that the fleet does not have.
    """
    policy = as_policy(value) if value is not None else default_policy()
    for ref in policy.refs():
        fleet.tier(ref, where="policy")
    for ref in policy.model_refs():
        resolve(fleet, ref, where="policy")
    return policy


def given_strategy(value: Strategy | None, fleet: Fleet) -> Strategy:
    """The strategy, by default a `Cascade`.

    Raises:
        ConfigError: It is none.
        UnknownNameError: It names a tier or a model that the fleet does not have.
    """
    strategy = value if value is not None else Cascade()
    if not isinstance(cast("object", strategy), Strategy):
        raise ConfigError(
            f"strategy={strategy!r} must be a Strategy: strategy=Cascade(), or Single() for no escalation",
            setting="strategy",
            value=strategy,
        )
    for ref in strategy.refs():
        resolve(fleet, ref, where="strategy")
    return strategy


def given_limits(value: Sequence[Limit], fleet: Fleet) -> tuple[Limit, ...]:
    """The limits, and the one that the fleet's own figures imply.

    Raises:
        ConfigError: One is no limit, or two have the same name.
        UnknownNameError: One names a model that the fleet does not have, so that it would limit nothing.
    """
    if not isinstance(cast("object", value), Iterable):
        raise ConfigError(f"limits={value!r} must be several: limits=[Budget(usd=5)]", setting="limits", value=value)
    limits = tuple(value)
    names = sorted({name for model in fleet.models for name in (model.key, model.id, model.provider)})
    for limit in limits:
        if not isinstance(cast("object", limit), Limit):
            raise ConfigError(
                f"limits: {limit!r} is no limit: give a Budget(...), a CircuitBreaker(...) or a RateLimit(...)",
                setting="limits",
                value=limit,
            )
        for name in limit.refs():
            if name not in names:
                raise UnknownNameError("model", name, names, where=limit.name)
    return named_apart((*limits, *implied(fleet.models, limits)))


def given_retry(value: Retry | None) -> Retry | None:
    """The bound on retries.

    Raises:
        ConfigError: It is none.
    """
    if value is not None and not callable(getattr(value, "of_run", None)):
        raise ConfigError(f"retry={value!r} must be a Retry: retry=Retry(total=3)", setting="retry", value=value)
    return value


def given_state(value: State | None) -> State:
    """The state, by default one in memory.

    Raises:
        ConfigError: It is none.
    """
    if value is None:
        from tierwise.state import MemoryState

        return MemoryState()
    if not isinstance(cast("object", value), State):
        # Not shown: it may be a server's URL, in which there may be a password.
        raise ConfigError(
            f"state must be MemoryState(), SQLiteState('state.db'), RedisState(url) or the like, not of {type(value)}",
            setting="state",
        )
    return value


def given_mode(value: OnStateLoss) -> OnStateLoss:
    """What becomes of a call whose limits cannot be asked.

    Raises:
        ConfigError: It is neither of the two words. To take another one for either would be a guess.
    """
    if value not in get_args(OnStateLoss):
        raise ConfigError(
            f"on_state_loss={value!r} must be 'fail_closed' or 'fail_open'", setting="on_state_loss", value=value
        )
    return value


def given_ledger(value: Ledger | str | Path | None) -> Ledger:
    """The ledger, by default one in memory; a path is one in SQLite.

    Raises:
        ConfigError: It is neither a ledger nor a path.
    """
    if value is None:
        return MemoryLedger()
    if isinstance(value, str | os.PathLike):
        from tierwise.ledger.sqlite import SQLiteLedger

        return SQLiteLedger(value)
    if not callable(getattr(value, "settle", None)):
        raise ConfigError(
            f"ledger={value!r} must be a path, 'ledger.db', or a ledger: SQLiteLedger('ledger.db', content=True)",
            setting="ledger",
            value=value,
        )
    return value
