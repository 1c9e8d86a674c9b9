"""A circuit breaker: leave alone what fails, and then try it by one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, get_args

from tierwise.attempt import INTERRUPTED, Outcome
from tierwise.errors import (
    AuthenticationError,
    BackendError,
    CallTimeoutError,
    CircuitOpenError,
    ConfigError,
    InvalidRequestError,
    ModelNotFoundError,
    RateLimitError,
    UnavailableError,
)
from tierwise.figures import check_figure
from tierwise.ids import fraction, new_id
from tierwise.limits.base import Call, Limit
from tierwise.state import Circuit, Claim, Denied, Health, Signal, Taken

if TYPE_CHECKING:
    from tierwise.backends.base import Backend
    from tierwise.fleet.model import ModelSpec
    from tierwise.state import State

__all__ = ["CircuitBreaker"]

_SPREAD = 0.1
"""By what share a cooldown is longer at most, so that processes with states of their own do not all return at once."""

_MOST_ASKED = 86_400.0
"""Seconds: what a provider asks for beyond that is a slip, and would never be looked at again."""

_MOST_KNOWN = 1_000
"""The most ways to a model whose circuits are remembered."""

_SIGNALS: Mapping[Health, Signal] = {health: Signal(health) for health in get_args(Health)}


class CircuitBreaker(Limit):
    """Leaves a model alone that fails, and then tries it by one call.

    Each model has a circuit, for each server and credential that it is called with. It opens when so many calls in a
    row have failed (5xx, timeouts, answers that are broken or empty), at once where no server is there, and for exactly
    as long as the provider asks (`Retry-After`). While it is open every call is refused at no cost, and the flow falls
    back. After the cooldown one call goes as a probe: its success closes the circuit, its failure opens it for twice as
    long. A request that was wrong in itself (400, 404) says nothing, nor does a call that was cancelled.

    A credential that is not accepted (401, 403) opens a circuit of its own: for all models that are called with it, and
    for no other credential.

    Processes that share a state share the circuits, and send one probe together.

    Args:
        failures: How many failures in a row open a circuit.
        cooldown: Seconds that it stays open at first; each opening that follows a failed probe doubles them. Up to a
            tenth is added at random.
        longest: The longest that it stays open, in seconds, unless the provider asks for more.
        probe: Seconds after which another call may try, though the probe has not ended.
        name: Tells it from others, in errors and in what the state keeps.

    Raises:
        ConfigError: A figure is not above zero, `failures` is no whole number, or `longest` is below `cooldown`.
    """

    def __init__(
        self,
        failures: int = 5,
        *,
        cooldown: float = 30.0,
        longest: float = 600.0,
        probe: float = 60.0,
        name: str = "circuit breaker",
    ) -> None:
        check_figure("failures", failures, whole=True)
        for setting, value in {"cooldown": cooldown, "longest": longest, "probe": probe}.items():
            check_figure(setting, value)
        if longest < cooldown:
            raise ConfigError(
                f"longest={longest!r} must not be below cooldown={cooldown!r}", setting="longest", value=longest
            )
        self.name = name
        self._failures = failures
        self._cooldown = cooldown
        self._longest = longest
        self._probe = probe
        self._model_prefix = f"circuit:{name}:model:"
        self._credential_prefix = f"circuit:{name}:credential:"
        self._known: dict[tuple[str, str | None, str | None], tuple[Circuit, ...]] = {}

    def claims(self, call: Call) -> Sequence[Claim]:
        """See `Limit`."""
        return self._circuits(call.attempt.model, call.backend)

    def taken(self, claim: Claim, outcome: Outcome, call: Call) -> Taken:
        """See `Limit`."""
        error = outcome.error
        if error is None and (outcome.text.strip() or outcome.tool_calls or outcome.aborted):
            return _SIGNALS["good"]
        if claim.key.startswith(self._credential_prefix):
            return _SIGNALS["down" if isinstance(error, AuthenticationError) else "unknown"]
        if error is None:
            return _SIGNALS["unknown" if outcome.finish_reason == INTERRUPTED else "bad"]
        if isinstance(error, AuthenticationError):
            # Without a fingerprint of the credential nobody can tell whose it is: the model alone is left alone.
            return _SIGNALS["down" if call.backend.credential(call.attempt.model) is None else "unknown"]
        asked = error.retry_after if isinstance(error, BackendError) else None
        health = _health_of_error(error, outcome, call.backend)
        return Signal(health, retry_after=None if asked is None else min(asked, _MOST_ASKED))

    def refusal(self, claim: Claim, denied: Denied, call: Call) -> CircuitOpenError:
        """See `Limit`."""
        seconds = denied.retry_after or 0.0
        why = (
            "its credential was not accepted"
            if claim.key.startswith(self._credential_prefix)
            else "it failed, or asked for a pause"
        )
        return CircuitOpenError(
            f"{self.name}: {call.attempt.model.key} is left alone for {seconds:.1f} s more: {why}",
            limit=self.name,
            retry_after=denied.retry_after,
        )

    def rest(self, model: ModelSpec, backend: Backend, state: State) -> float | None:
        """See `Limit`."""
        waits = [state.open_for(circuit.key) for circuit in self._circuits(model, backend)]
        return max((wait for wait in waits if wait is not None), default=None)

    def _circuits(self, model: ModelSpec, backend: Backend) -> tuple[Circuit, ...]:
        """The circuits on the way to a model: its own, and its credential's where that is known."""
        way = model.id, backend.place(model), backend.credential(model)
        known = self._known.get(way)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            spread = 1 + _SPREAD * fraction(new_id())
            cooldown, longest = self._cooldown * spread, self._longest * spread
            known = self._known[way] = tuple(
                Circuit(key, self._failures, cooldown, longest, self._probe)
                for key in self._keys_of(model.provider, *way)
            )
        return known

    def _keys_of(self, provider: str, model: str, place: str, credential: str | None) -> tuple[str, ...]:
        from hashlib import blake2b

        # Hashed: an address may hold a password.
        way = blake2b(f"{place}\0{credential}".encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        own = f"{self._model_prefix}{model}:{way}"
        return (own,) if credential is None else (own, f"{self._credential_prefix}{provider}:{credential}")


def _health_of_error(error: BaseException, outcome: Outcome, backend: Backend) -> Health:
    match error:
        case InvalidRequestError() | ModelNotFoundError():
            return "unknown"
        case RateLimitError() if error.retry_after:
            return "unknown"  # it is well, and said when to come back
        case UnavailableError() if not error.reached:
            return "down"
        case ConnectionRefusedError():
            return "down"
        case CallTimeoutError() | TimeoutError() if _out_of_time(outcome):
            return "unknown"  # the task's own deadline says nothing of the model
        case Exception() if backend.is_failure(error):
            return "bad"
        case _:
            return "unknown"


def _out_of_time(outcome: Outcome) -> bool:
    left = outcome.attempt.timeout
    return left is not None and (outcome.latency or 0.0) >= left
