"""LiteLLM itself: imported when the first call is made, quiet, and held to the rules of a backend."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from functools import cache
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

from tierwise.errors import ConfigError

__all__ = ["aload", "load"]

_FORBIDDEN_GLOBALS = ("num_retries", "model_fallbacks")

_keepers: WeakKeyDictionary[Any, AsyncGenerator[None]] = WeakKeyDictionary()


def load() -> Any:
    """The `litellm` module.

    Raises:
        ConfigError: It is set to retry or to fall back by itself, for the whole process.
    """
    library = _imported()
    for name in _FORBIDDEN_GLOBALS:
        value = getattr(library, name, None)
        if value:
            raise ConfigError(
                f"litellm.{name}={value!r} would make calls that no receipt shows: unset it; "
                "Tierwise retries and falls back itself",
                setting=f"litellm.{name}",
                value=value,
            )
    return library


async def aload() -> Any:
    """The `litellm` module, imported away from the event loop; its clients are closed with the loop."""
    if "litellm" not in sys.modules:
        import asyncio

        await asyncio.to_thread(_imported)
    library = load()
    await _close_with_loop(library)
    return library


@cache
def _imported() -> Any:
    # Without this the import itself fetches a price map from the network, with retries.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    library: Any = import_module("litellm")
    # LiteLLM prints a request for feedback to standard output at each error.
    library.suppress_debug_info = True
    return library


async def _close_with_loop(library: Any) -> None:
    """Arranges for the clients that LiteLLM keeps for the running loop to be closed when the loop ends.

    LiteLLM keeps async clients for each event loop and never closes them, so each `asyncio.run` would leave open
    connections behind. A loop closes the async generators that were started in it, and so this one.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    if loop not in _keepers:
        _keepers[loop] = keeper = _closing_clients(library, loop)
        await anext(keeper)


async def _closing_clients(library: Any, loop: Any) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await _finish_logging(loop)
        clients = library.in_memory_llm_clients_cache
        for key in [k for k in clients.cache_dict if k.endswith(f"-{id(loop)}")]:
            client = clients.cache_dict[key]
            if hasattr(client, "close"):
                await client.close()
            clients.delete_cache(key)
        # Not asked for by attribute: that would make it.
        await _close_session(library.__dict__.get("module_level_aclient"), loop)


async def _finish_logging(loop: Any) -> None:
    """Runs the callbacks that wait in LiteLLM's queue; left there, they are carried to the next loop with a warning."""
    module = sys.modules.get("litellm.litellm_core_utils.logging_worker")
    worker: Any = getattr(module, "GLOBAL_LOGGING_WORKER", None)
    if worker is not None and worker._bound_loop is loop:
        await worker.clear_queue()


async def _close_session(shared: Any, loop: Any) -> None:
    """Closes the session of the one client that LiteLLM shares among loops, if the loop is the one that it was made in.

    Streams of Anthropic, Gemini and Bedrock use that client; it makes itself a new session in the next loop.
    """
    transport: Any = getattr(getattr(shared, "client", None), "_transport", None)
    if getattr(getattr(transport, "client", None), "_loop", None) is loop:
        await transport.aclose()
