"""What an exit code says of an error."""

from __future__ import annotations

from enum import IntEnum

from tierwise.errors import (
    AllModelsFailedError,
    BackendError,
    CallTimeoutError,
    ConfigError,
    LedgerError,
    LimitError,
    ModelNotFoundError,
    RoutingError,
    ServerBusyError,
    TierwiseError,
    UnavailableError,
)

__all__ = ["Exit", "UnreachableError", "exit_of"]

_UNREACHED = (UnavailableError, ModelNotFoundError, ServerBusyError, CallTimeoutError)


class Exit(IntEnum):
    """The exit codes: see `tierwise.cli`."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    LEDGER = 5
    DEFECT = 70
    INTERRUPTED = 130


class UnreachableError(TierwiseError):
    """Nothing that a command needs can be reached."""


def exit_of(error: BaseException) -> Exit:
    """The exit code of an error."""
    match error:
        case KeyboardInterrupt():
            return Exit.INTERRUPTED
        case AllModelsFailedError(outcomes=outcomes):
            return _of_outcomes([o.error for o in outcomes])
        case ConfigError() | OSError():  # of the system's errors, only those of a file that a user named come this far
            return Exit.USAGE
        case RoutingError() | LimitError():
            return Exit.REFUSED
        case UnreachableError():
            return Exit.UNREACHABLE
        case LedgerError():
            return Exit.LEDGER
        case BackendError():
            return Exit.UNREACHABLE if isinstance(error, _UNREACHED) else Exit.FAILED
        case TierwiseError():
            return Exit.FAILED
        case _:
            return Exit.DEFECT


def _of_outcomes(errors: list[BaseException | None]) -> Exit:
    """Every model was out of reach, or every one was refused by a limit, or the run failed."""
    if errors and all(isinstance(e, _UNREACHED) for e in errors):
        return Exit.UNREACHABLE
    if errors and all(isinstance(e, LimitError) for e in errors):
        return Exit.REFUSED
    return Exit.FAILED
