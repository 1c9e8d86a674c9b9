"""A rate limit: so many calls at once, so many calls and tokens a minute; who has to wait, waits in a fair line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tierwise.attempt import Outcome
from tierwise.errors import ConfigError, RateLimitedError
from tierwise.figures import check_figure
from tierwise.fleet.model import ModelSpec
from tierwise.limits.base import MOST_OUTPUT, Call, Limit
from tierwise.limits.implied import SETTINGS
from tierwise.limits.tokens import used
from tierwise.state import Claim, Denied, Rate, Slot, Taken, Turn

__all__ = ["ModelLimits", "RateLimit"]

_MINUTE = 60.0

_MOST_KNOWN = 1_000
"""The most models whose limits are remembered."""


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """What a model is limited to; `None` where it is not.

    Raises:
        ConfigError: A figure is no whole number above zero.
    """

    concurrency: int | None = None
    """Calls at once."""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Input and output together."""

    def __post_init__(self) -> None:
        for name in SETTINGS:
            check_figure(name, getattr(self, name), whole=True, none=True)


@dataclass(frozen=True, slots=True)
class _Own:
    """What holds for one model, and the claims that are the same for each of its calls."""

    model: ModelSpec
    limits: ModelLimits
    line: str
    """The key of its line; empty if nothing is limited."""
    fixed: tuple[Claim, ...]
    tokens: str
    """The key of its tokens."""


class RateLimit(Limit):
    """Bounds how many calls a model gets at once, and how many calls and tokens a minute.

    A call that finds no room waits for its turn, as long as `wait` and the task's deadline allow, and is refused after
    that; the flow falls back then. Where a tier has several models, a call goes to one that has room before it waits
    for any. Sessions take turns, each with its calls in order; a task without a session is one by itself.

    Rates are buckets that refill evenly (GCRA) and hold what a minute allows: as much may go at once. Of tokens, the
    estimated prompt and the longest answer are taken before the call, and what it took replaces that after it.

    The limits are the model's own (`ModelSpec.concurrency`, `requests_per_minute`, `tokens_per_minute`). Of several
    figures for one setting the most specific holds: `models` by alias, `models` by id, the `ModelSpec`, `models` by
    provider, and for local models `local`. Entries of a fleet with the same id share what is limited; a local model is
    limited on each machine by itself, also where machines share a state.

    Args:
        models: Limits by a model's alias, its id, or its provider (for each model of it).
        wait: Seconds that a call may wait for its turn.
        local: Calls at once of each model that runs on this machine (`trust="local"`), where nothing else is said; for
            no bound, `None`. One, because several only share what the machine can do.
        name: Tells it from others, in errors and in what the state keeps.

    Raises:
        ConfigError: `wait` is below zero or no finite number, `local` is no whole number above zero, or `models` holds
            something else than `ModelLimits`.
    """

    def __init__(
        self,
        models: Mapping[str, ModelLimits] | None = None,
        *,
        wait: float = 30.0,
        local: int | None = 1,
        name: str = "rate limit",
    ) -> None:
        check_figure("wait", wait, zero=True)
        check_figure("local", local, whole=True, none=True)
        self.name = name
        self.wait = wait
        self._models = _by_name(models or {})
        self._local = ModelLimits(concurrency=local)
        self._known: dict[int, _Own] = {}
        """By the model's `id`, which is its own while they keep it."""

    def claims(self, call: Call) -> Sequence[Claim]:
        """See `Limit`."""
        model, task = call.attempt.model, call.attempt.task
        own = self._known.get(id(model)) or self._own(model)
        if not own.line:
            return ()
        party = f"session {task.session}" if task.session is not None else f"run {call.run_id}"
        claims = [*own.fixed, Turn(own.line, party)]
        most = own.limits.tokens_per_minute
        if most is not None:
            claims.append(Rate(own.tokens, most, _MINUTE, _expected(call, most)))
        return claims

    def taken(self, claim: Claim, outcome: Outcome, call: Call) -> Taken:
        """See `Limit`."""
        if not isinstance(claim, Rate):
            return None
        if outcome.latency is None and outcome.cost == 0:
            return 0  # it was never sent
        if not claim.key.endswith(":tokens"):
            return None
        if outcome.usage is None and outcome.cost == 0:
            return 0  # it was refused unbilled
        usage = used(outcome)
        return (usage.input_tokens or 0) + (usage.output_tokens or 0)

    def refusal(self, claim: Claim, denied: Denied, call: Call) -> RateLimitedError:
        """See `Limit`."""
        setting, key = _setting(claim), call.attempt.model.key
        wanted = claim.amount if isinstance(claim, Rate) else 1
        if isinstance(claim, Slot):
            why = f"has {denied.reserved} of {denied.cap} calls under way"
        elif denied.retry_after is None:
            why = f"is sent no call of about {wanted} tokens"
        else:
            why = f"has no room for {denied.retry_after:.1f} s more"
        before = f", and {denied.ahead} wait before this one" if denied.ahead else ""
        return RateLimitedError(
            f"{self.name}: {key} {why}{before} ({setting}={denied.cap}); calls wait {self.wait:g} s at most (wait)",
            limit=self.name,
            setting=setting,
            value=denied.reserved + wanted,
            allowed=denied.cap,
            retry_after=denied.retry_after,
        )

    def refs(self) -> Iterable[str]:
        """See `Limit`."""
        return self._models

    def of(self, model: ModelSpec) -> ModelLimits:
        """The limits that hold for a model."""
        named = [self._models.get(model.key), self._models.get(model.id)]
        given = [*named, model, self._models.get(model.provider), self._local if model.trust == "local" else None]
        figures: dict[str, Any] = {}
        for setting in SETTINGS:
            known = (getattr(source, setting) for source in given if source is not None)
            figures[setting] = next((figure for figure in known if figure is not None), None)
        return ModelLimits(**figures)

    def _own(self, model: ModelSpec) -> _Own:
        limits, prefix = self.of(model), f"rate:{self.name}:{model.id}{_machine(model)}"
        fixed: list[Claim] = []
        if limits.concurrency is not None:
            fixed.append(Slot(f"{prefix}:concurrency", size=limits.concurrency))
        if limits.requests_per_minute is not None:
            fixed.append(Rate(f"{prefix}:requests", limit=limits.requests_per_minute, period=_MINUTE))
        limited = fixed or limits.tokens_per_minute is not None
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        own = _Own(model, limits, f"{prefix}:line" if limited else "", tuple(fixed), f"{prefix}:tokens")
        self._known[id(model)] = own
        return own


def _machine(model: ModelSpec) -> str:
    """What tells a model that runs on this machine from the same one on another, where machines share a state."""
    if model.trust != "local":
        return ""
    import platform
    from hashlib import blake2b

    return f"@{blake2b(platform.node().encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"


def _by_name(models: Any) -> dict[str, ModelLimits]:
    given: dict[str, Any] | None = dict(cast("Mapping[str, Any]", models)) if isinstance(models, Mapping) else None
    if given is None or not all(isinstance(limits, ModelLimits) for limits in given.values()):
        raise ConfigError(
            f"models={models!r} must be limits by name, e.g. {{'ollama': ModelLimits(concurrency=2)}}",
            setting="models",
            value=models,
        )
    return given


def _expected(call: Call, most: int) -> int:
    """The tokens of a call: its prompt and the longest answer, which may use what a minute allows and no more."""
    prompt = call.prompt_tokens
    return max(prompt, min(prompt + (MOST_OUTPUT if call.bound is None else call.bound), most))


def _setting(claim: Claim) -> str:
    if isinstance(claim, Slot):
        return "concurrency"
    return "tokens_per_minute" if claim.key.endswith(":tokens") else "requests_per_minute"
