"""Make the call: `Backend` turns an `Attempt` into an `Outcome`."""

from typing import TYPE_CHECKING

from tierwise.backends.base import Backend, replay
from tierwise.backends.function import FunctionBackend
from tierwise.backends.local import is_cloud, is_loopback, runs_here
from tierwise.backends.registry import BackendLike, Backends
from tierwise.lazy import lazily

if TYPE_CHECKING:
    from tierwise.backends.failures import failure_of, provider_failures
    from tierwise.backends.history import portable
    from tierwise.backends.native import NativeBackend, native_models, ported
    from tierwise.backends.secrets import fingerprint
else:
    __getattr__ = lazily(
        __name__,
        {
            "NativeBackend": "native",
            "failure_of": "failures",
            "fingerprint": "secrets",
            "native_models": "native",
            "portable": "history",
            "ported": "native",
            "provider_failures": "failures",
        },
    )

__all__ = [
    "Backend",
    "BackendLike",
    "Backends",
    "FunctionBackend",
    "NativeBackend",
    "failure_of",
    "fingerprint",
    "is_cloud",
    "is_loopback",
    "native_models",
    "portable",
    "ported",
    "provider_failures",
    "replay",
    "runs_here",
]
