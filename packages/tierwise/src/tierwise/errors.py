"""Every error that Tierwise raises on purpose.

```
TierwiseError
 +-- ConfigError              a setting is wrong: its name, its value and the mend
 |    +-- UnknownNameError    a name that does not exist, with the nearest that does
 |    +-- ConfigFileError     a file has a wrong setting: names the line too
 |    +-- MissingExtraError   a package is not installed, with the command for it
 +-- RoutingError             no model may or can take the task; nothing was called
 |    +-- TrustError          every model that is left would break the task's trust
 |    +-- NoModelError        no model has the capability or the window
 +-- BackendError             one call failed; a flow falls back on it
 |    +-- AuthenticationError, RateLimitError, ServerBusyError, UnavailableError,
 |    |   ModelNotFoundError, BadResponseError, CallTimeoutError
 |    +-- InvalidRequestError
 |         +-- ContextOverflowError
 +-- LimitError               a limit refused the call; nothing was sent or spent
 |    +-- RateLimitedError    too many calls or tokens at once, or in a minute
 |    +-- CircuitOpenError    the model, or its credential, failed and is left alone for now
 |    +-- BudgetExceededError (a RunError too)
 |    +-- UnpricedError       what the call would cost is not known, and a budget counts it
 |    +-- LimitStateError     the state that the limits stand on is lost
 +-- IdempotencyError         the run is not made under its key; nothing was sent or spent
 |    +-- KeyReusedError      the key is another request's
 |    +-- InProgressError     another caller makes the run, and takes longer than this one can wait
 |    +-- UnknownOutcomeError the run began before, and it is not known what came of it
 +-- StateError               the state cannot be reached or read
 +-- RunError                 the run as a whole failed; carries every attempt
 |    +-- AllModelsFailedError
 |    +-- TooManyCallsError   its strategy asks for more calls than a run may make
 |    +-- RejectedError       no model gave an answer of the required shape
 |    +-- DeadlineError
 |    +-- StreamBrokenError   died after something was shown; carries that text
 +-- LedgerError              the ledger cannot be written or read
 +-- FlowError                a strategy broke a rule of flows: a defect in it
```
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import Path

    from tierwise.attempt import Outcome
    from tierwise.ledger.rows import Row

__all__ = [
    "AllModelsFailedError",
    "AuthenticationError",
    "BackendError",
    "BadResponseError",
    "BudgetExceededError",
    "CallTimeoutError",
    "CircuitOpenError",
    "ConfigError",
    "ConfigFileError",
    "ContextOverflowError",
    "DeadlineError",
    "FlowError",
    "IdempotencyError",
    "InProgressError",
    "InvalidRequestError",
    "KeyReusedError",
    "LedgerError",
    "LimitError",
    "LimitStateError",
    "MissingExtraError",
    "ModelNotFoundError",
    "NoModelError",
    "RateLimitError",
    "RateLimitedError",
    "RejectedError",
    "RoutingError",
    "RunError",
    "ServerBusyError",
    "StateError",
    "StreamBrokenError",
    "TierwiseError",
    "TooManyCallsError",
    "TrustError",
    "UnavailableError",
    "UnknownNameError",
    "UnknownOutcomeError",
    "UnpricedError",
]


class TierwiseError(Exception):
    """The root of the tree: `except TierwiseError` catches whatever Tierwise raises on purpose."""


class ConfigError(TierwiseError):
    """A setting is wrong.

    Attributes:
        setting: The name of the setting.
        value: What it was set to.
    """

    def __init__(self, message: str, *, setting: str = "", value: Any = None) -> None:
        super().__init__(message)
        self.setting = setting
        self.value = value


class UnknownNameError(ConfigError):
    """A name that does not exist, with the nearest that does.

    Args:
        kind: What it would be the name of.
        name: The name.
        known: The names that exist.
        where: The setting that named it.

    Attributes:
        known: The names that exist.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, where: str = "") -> None:
        self.known = tuple(known)
        import difflib

        near = difflib.get_close_matches(name, self.known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(map(repr, self.known)) or 'none'}"
        super().__init__(f"{where + ': ' if where else ''}unknown {kind} {name!r}{hint}", setting=kind, value=name)


class ConfigFileError(ConfigError):
    """A file has a wrong setting.

    Attributes:
        path: The file.
        line: The line on which the setting stands, from 1; `None` where the file cannot be read at all.
    """

    def __init__(
        self, message: str, *, path: Path, line: int | None = None, setting: str = "", value: Any = None
    ) -> None:
        super().__init__(message, setting=setting, value=value)
        self.path = path
        self.line = line


class MissingExtraError(ConfigError, ImportError):
    """An optional package is not installed.

    Args:
        needed_for: What needs it.
        package: The package, with the extra where there is one.

    Attributes:
        command: The command that installs it.
    """

    def __init__(self, needed_for: str, package: str) -> None:
        self.command = f'pip install "{package}"'
        super().__init__(f"{needed_for} needs {package}: {self.command}", setting=needed_for, value=package)


class RoutingError(TierwiseError):
    """No model may or can take the task. Nothing was called."""


class TrustError(RoutingError):
    """Every model that is left would send the content where the task may not go."""


class NoModelError(RoutingError):
    """No model has the capability or the context window that the task needs."""


class BackendError(TierwiseError):
    """One call to a model failed. Flows answer it with a fallback.

    Attributes:
        status: The HTTP status, where there was one.
        retry_after: Seconds after which the provider asks to be tried again.
    """

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class AuthenticationError(BackendError):
    """The provider does not accept the credential (401, 403)."""


class InvalidRequestError(BackendError):
    """The provider says that the request itself is wrong (400, 422); a repeat would fail too."""


class ContextOverflowError(InvalidRequestError):
    """The prompt does not fit into the model's context window."""


class ModelNotFoundError(BackendError):
    """The server does not have the model (404)."""


class RateLimitError(BackendError):
    """The provider asks for fewer requests (429)."""


class ServerBusyError(BackendError):
    """The server's queue is full (503, 529)."""


class UnavailableError(BackendError):
    """The server cannot be reached or fails (connection refused, 5xx).

    Attributes:
        reached: False where no server was there to take the request.
    """

    def __init__(
        self, message: str, *, reached: bool = True, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, status=status, retry_after=retry_after)
        self.reached = reached


class BadResponseError(BackendError):
    """What came back is malformed, cut off or an error under HTTP 200."""


class CallTimeoutError(BackendError):
    """The call took longer than it may.

    Attributes:
        phase: What was waited for: `connect`, `first_token`, `idle` (the next token), `inquiry` (an answer that needs
            no model), or `total` (the end, within the deadline); empty if the client did not say.
    """

    def __init__(
        self, message: str, *, phase: str = "", status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, status=status, retry_after=retry_after)
        self.phase = phase


class LimitError(TierwiseError):
    """A limit refused the call before it was sent.

    Attributes:
        limit: The name of the limit.
        value: What the call would have brought the total to.
        allowed: The limit's own figure.
        retry_after: Seconds after which it may be tried again, where that is known.
        final: Whether the run ends with it. Otherwise a flow falls back on it, as on a call that failed.
        could_wait: Whether the call may go later: it did not wait for its turn, because its flow asks others first.
    """

    final = False
    could_wait = False

    def __init__(
        self, message: str, *, limit: str, value: Any = None, allowed: Any = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.limit = limit
        self.value = value
        self.allowed = allowed
        self.retry_after = retry_after


class RunError(TierwiseError):
    """A run failed as a whole.

    Attributes:
        attempts: One row for each call that was made or refused, in order.
        run_id: The id under which the ledger keeps them.
    """

    attempts: Sequence[Row] = ()
    run_id: str = ""


class BudgetExceededError(LimitError, RunError):
    """The next call may cost more than a budget has left.

    Args:
        message: What was spent, by whom, and what the call would take.
        limit: The budget's name.
        unit: What it counts: `usd` or `tokens`.
        allowed: The cap, in that unit.
        spent: What is spent, in that unit.
        reserved: What calls under way have set aside, in that unit.
        value: What the call would bring the total to.
        retry_after: Seconds until its window ends, where it has one.

    Attributes:
        final: True where the budget says that the run stops.
        outcome: The best answer so far that nothing rejected, if there is one: it is paid for.
    """

    outcome: Outcome | None = None

    def __init__(
        self,
        message: str,
        *,
        limit: str,
        unit: str,
        allowed: Decimal | int,
        spent: Decimal | int,
        reserved: Decimal | int,
        value: Decimal | int,
        retry_after: float | None = None,
        final: bool = False,
    ) -> None:
        super().__init__(message, limit=limit, value=value, allowed=allowed, retry_after=retry_after)
        self.unit = unit
        self.spent = spent
        self.reserved = reserved
        self.final = final


class RateLimitedError(LimitError):
    """The model has as many calls, or tokens, at once or in a minute as it may have, and waiting took too long.

    Our own limit refused it; `RateLimitError` is a provider's.

    Attributes:
        setting: The setting that holds: `concurrency`, `requests_per_minute` or `tokens_per_minute`.
    """

    def __init__(
        self,
        message: str,
        *,
        limit: str,
        setting: str,
        value: int,
        allowed: int,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, limit=limit, value=value, allowed=allowed, retry_after=retry_after)
        self.setting = setting


class CircuitOpenError(LimitError):
    """The model, or the credential that it is called with, failed before and is left alone for now."""


class UnpricedError(LimitError):
    """What the call would cost is not known, and a budget in USD counts it."""


class LimitStateError(LimitError):
    """The state that the limits stand on is lost, and they are to be closed then."""


class IdempotencyError(TierwiseError):
    """The run is not made under its key. Nothing was sent or spent.

    Attributes:
        key: The task's `idempotency_key`.
        run_id: The run that has the key.
    """

    def __init__(self, message: str, *, key: str, run_id: str) -> None:
        super().__init__(message)
        self.key = key
        self.run_id = run_id


class KeyReusedError(IdempotencyError):
    """The key was used for another request: other messages, tools or output schema."""


class InProgressError(IdempotencyError):
    """Another caller makes the run under this key, and it takes longer than this one can wait."""


class UnknownOutcomeError(IdempotencyError):
    """A run began under this key, and it is not known what came of it: a provider may have answered and billed."""


class StateError(TierwiseError):
    """The state cannot be reached or read."""


class AllModelsFailedError(RunError):
    """Every model that may take the task failed, or gave a draft that was rejected.

    Attributes:
        outcomes: The failed and the rejected outcomes, in order.
        retry_after: Seconds after which the first of them may be tried again, as providers and limits say; `None` if
            none does.
    """

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes = tuple(outcomes)
        waits = [o.error.retry_after for o in self.outcomes if isinstance(o.error, BackendError | LimitError)]
        self.retry_after = min((wait for wait in waits if wait is not None), default=None)
        lines = [f"  {o.attempt.tier}: {o.attempt.model.id}: {_fate(o)}" for o in self.outcomes]
        if self.retry_after is not None:
            lines.append(f"  it is worth trying again in {self.retry_after:.1f} s")
        super().__init__("all models failed:\n" + "\n".join(lines))


class TooManyCallsError(RunError):
    """The strategy asks for more calls than a run may make. It may be going in circles.

    Attributes:
        max_calls: How many a run may make.
    """

    def __init__(self, max_calls: int) -> None:
        self.max_calls = max_calls
        super().__init__(
            f"the strategy asked for more than {max_calls} calls: if it needs them, Router(max_calls=...) allows more"
        )


class RejectedError(RunError):
    """No model gave an answer that passed a required check.

    Attributes:
        outcome: The last answer, as it came.
        evidence: Why it was rejected.
    """

    def __init__(self, outcome: Outcome, evidence: str) -> None:
        self.outcome = outcome
        self.evidence = evidence
        super().__init__(f"no accepted answer; the last, from {outcome.attempt.model.id}, was rejected: {evidence}")


class DeadlineError(RunError):
    """The task's deadline passed.

    Attributes:
        deadline: The task's deadline in seconds.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        super().__init__(f"the task's deadline of {deadline:g} s passed")


class StreamBrokenError(RunError):
    """A stream died after something had been shown, so nothing else could be tried.

    Attributes:
        partial: The text that had been shown.
    """

    def __init__(self, model: str, partial: str, cause: BaseException) -> None:
        self.partial = partial
        super().__init__(f"the stream of {model} broke after {len(partial)} characters were shown: {_cause(cause)}")


class LedgerError(TierwiseError):
    """The ledger cannot be written or read."""


class FlowError(TierwiseError):
    """A strategy broke a rule of flows: a defect in the strategy, not in the task."""


def _fate(outcome: Outcome) -> str:
    if outcome.error is not None:
        tries = outcome.attempt.retries + 1
        return _cause(outcome.error) + (f" (try {tries})" if tries > 1 else "")
    if outcome.aborted:
        return "closed by its gate"
    return f"rejected: {outcome.verdict.plain}" if outcome.verdict is not None else "not accepted"


def _cause(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}" if error is not None else "no error recorded"
