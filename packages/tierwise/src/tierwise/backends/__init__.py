"""Make the call: `Backend` turns an `Attempt` into an `Outcome`."""

from tierwise.backends.base import Backend, replay
from tierwise.backends.function import FunctionBackend
from tierwise.backends.registry import BackendLike, Backends

__all__ = ["Backend", "BackendLike", "Backends", "FunctionBackend", "replay"]
