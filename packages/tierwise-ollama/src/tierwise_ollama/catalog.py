"""What the server has: read when it is needed, kept while it holds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from tierwise.backends.local import is_cloud, is_loopback
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import FREE

from tierwise_ollama.facts import ModelFacts, ServerFacts, full_name
from tierwise_ollama.http import Http
from tierwise_ollama.timeouts import Patience

__all__ = ["Catalog", "InstalledModel"]

_FRESH = 60.0
"""Seconds for which the list of models is believed. A model that was replaced meanwhile has another digest after it."""


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model that the server has."""

    spec: ModelSpec
    """As an entry for a fleet: capabilities, window, price and trust are filled in as far as they are known."""
    parameters: int | None = None
    """Number of weights."""
    parameter_size: str | None = None
    """The same as the server writes it, e.g. `4.0B`."""
    quantization: str | None = None
    size: int | None = None
    """Bytes on disk."""


@dataclass(frozen=True, slots=True)
class _Listing:
    server: ServerFacts
    models: dict[str, dict[str, Any]]
    read_at: float


class Catalog:
    """The facts of one server. Models are kept by digest, so that one that was replaced is read anew. Thread-safe.

    Args:
        http: The server.
        clock: Monotonic seconds.
    """

    def __init__(self, http: Http, clock: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._clock = clock
        self._lock = threading.Lock()
        self._listing: _Listing | None = None
        self._facts: dict[tuple[str, str], ModelFacts] = {}

    async def server(self, patience: Patience) -> ServerFacts:
        """What the server can do."""
        return (await self._list(patience)).server

    async def model(self, name: str, patience: Patience) -> ModelFacts:
        """What a model can do.

        Raises:
            ModelNotFoundError: The server does not have it.
        """
        listed = (await self._list(patience)).models.get(full_name(name))
        key = (name, str((listed or {}).get("digest")))
        with self._lock:
            facts = self._facts.get(key)
        if facts is None or listed is None:
            shown = await self._http.ask("/api/show", {"model": name}, patience, model=name)
            facts = ModelFacts.of(name, shown)
            with self._lock:
                self._facts[key] = facts
        return facts

    def known_remote(self, name: str) -> bool:
        """True if the server is known to pass the model on to Ollama's cloud. Asks nothing."""
        with self._lock:
            return any(facts.remote is not None for (known, _), facts in self._facts.items() if known == name)

    def forget(self) -> None:
        """Reads all anew the next time: a model was pulled, or was not there."""
        with self._lock:
            self._listing = None

    async def installed(self, patience: Patience) -> tuple[InstalledModel, ...]:
        """All models that the server has, in its order."""
        self.forget()
        listing = await self._list(patience)
        entries = listing.models.values()
        return tuple([self._installed(listing.server, e, await self.model(str(e["name"]), patience)) for e in entries])

    def _installed(self, server: ServerFacts, listed: dict[str, Any], facts: ModelFacts) -> InstalledModel:
        details: dict[str, Any] = listed.get("details") or {}
        local = is_loopback(self._http.url) and not is_cloud(facts.name) and facts.remote is None
        spec = ModelSpec(
            f"ollama:{facts.name}",
            window=facts.window,
            capabilities=facts.known_as(server),
            price=FREE if facts.remote is None and not is_cloud(facts.name) else None,
            trust="local" if local else None,
        )
        return InstalledModel(
            spec,
            parameters=facts.parameters,
            parameter_size=details.get("parameter_size") or None,
            quantization=details.get("quantization_level") or None,
            size=listed.get("size"),
        )

    async def _list(self, patience: Patience) -> _Listing:
        with self._lock:
            listing = self._listing
        if listing is not None and self._clock() - listing.read_at < _FRESH:
            return listing
        version = await self._http.ask("/api/version", None, patience)
        tags = await self._http.ask("/api/tags", None, patience)
        entries = cast("list[dict[str, Any]]", tags.get("models") or [])
        models = {full_name(str(entry.get("name"))): entry for entry in entries}
        listing = _Listing(ServerFacts(str(version.get("version", ""))), models, self._clock())
        with self._lock:
            self._listing = listing
        return listing
