"""The package's exceptions.

- `EmbeddedError`
    - `WeightsError`: a model file is not to be had
        - `HashMismatchError`: bytes that are not the model's
        - `SourceUnavailableError`: one source cannot give the file; the next is tried
    - `EngineError`: the engine refused a request or failed
    - `ServerStartError`: a spawned server ended before it was ready
    - `CancelledError`: the client went away
    - `ApiError`: an answer in Ollama's words, with its HTTP status
"""

__all__ = [
    "EmbeddedError",
    "WeightsError",
    "HashMismatchError",
    "SourceUnavailableError",
    "EngineError",
    "ServerStartError",
    "ApiError",
    "CancelledError",
]


class EmbeddedError(Exception):
    """Base of everything this package raises on purpose."""


class WeightsError(EmbeddedError):
    """A model file is not to be had."""


class HashMismatchError(WeightsError):
    """Bytes were read whose sha256 is not the model's."""

    def __init__(self, where: str, expected: str, actual: str) -> None:
        super().__init__(f"{where!r} has sha256 {actual}, not {expected}")
        self.where = where
        self.expected = expected
        self.actual = actual


class SourceUnavailableError(WeightsError):
    """One source cannot give the file."""


class EngineError(EmbeddedError):
    """The engine refused a request or failed."""

    def __init__(self, message: str, *, status: int = 500, body: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class ServerStartError(EmbeddedError):
    """A spawned server ended before it was ready."""


class ApiError(EmbeddedError):
    """An error answer: its text is what the client reads."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @classmethod
    def of(cls, error: EmbeddedError) -> "ApiError":
        """Return the answer that tells of another error: the engine's own, when it has one."""
        if isinstance(error, EngineError) and error.status < 500:
            return cls(error.status, error.body)
        return cls(500, str(error))


class CancelledError(EmbeddedError):
    """The client went away while its request was queued or generating."""
