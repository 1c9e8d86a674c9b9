"""Which models are loaded, who may use them, and until when.

A model serves one request at a time, in the order of arrival. At most `max_loaded` models are in memory: the least
recently used idle one makes room for another, and each is unloaded when its keep-alive ends.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tierwise_embedded.engine import Cancellation, Engine, EngineSettings, Loader
from tierwise_embedded.errors import ApiError, CancelledError
from tierwise_embedded.models import EmbeddedModel

__all__ = ["Scheduler", "Lease", "LoadedModel"]

_BUSY = "server busy, please try again.  maximum pending requests exceeded"
_CANCEL_POLL = 0.2


@dataclass(frozen=True, slots=True)
class Lease:
    """The use of a loaded model, alone, while the request that holds it runs."""

    engine: Engine
    settings: EngineSettings


@dataclass(slots=True)
class LoadedModel:
    """A model in memory."""

    model: EmbeddedModel
    engine: Engine
    settings: EngineSettings
    keep_alive: float
    """Seconds it stays once idle; infinite to stay until told."""
    busy: bool = True
    unwanted: bool = False
    """Whether it was asked to be unloaded while it was busy."""
    used: float = field(default_factory=time.monotonic)

    @property
    def idle(self) -> float:
        """Seconds since it was last used."""
        return time.monotonic() - self.used

    @property
    def expires(self) -> float:
        """The `time.monotonic()` at which it is unloaded, when it stays idle."""
        return self.used + self.keep_alive


class Scheduler:
    """Lends loaded models to requests."""

    def __init__(self, loader: Loader, *, max_loaded: int = 2, max_queue: int = 512, keep_alive: float = 300.0) -> None:
        self._loader = loader
        self._max_loaded = max_loaded
        self._max_queue = max_queue
        self._keep_alive = keep_alive
        self._changed = threading.Condition()
        self._loaded: dict[str, LoadedModel] = {}
        self._loading: set[str] = set()
        self._queues: dict[str, deque[object]] = {}
        self._pending_loads = 0
        self._closed = False
        self._reaper = threading.Thread(target=self._reap, name="embedded-reaper", daemon=True)
        self._reaper.start()

    def loaded(self) -> list[LoadedModel]:
        """Return the models in memory, the most recently used first."""
        with self._changed:
            return sorted(self._loaded.values(), key=lambda entry: entry.used, reverse=True)

    @contextmanager
    def lease(
        self, model: EmbeddedModel, settings: EngineSettings, keep_alive: float | None, cancellation: Cancellation
    ) -> Generator[Lease]:
        """Wait for a model's turn, load or reload it when needed, and hold it.

        Args:
            model: The model to use.
            settings: What it must be loaded with.
            keep_alive: Seconds to keep it loaded afterwards; `None` for the scheduler's own.
            cancellation: Ends the wait when the client goes.

        Raises:
            ApiError: 503, at once, when a load is needed and the load queue is full.
            CancelledError: When the client went while it waited.
        """
        entry = self._take(model, settings, cancellation)
        try:
            yield Lease(entry.engine, entry.settings)
        finally:
            self._give_back(entry, self._keep_alive if keep_alive is None else keep_alive)

    def unload(self, model: EmbeddedModel) -> None:
        """Unload a model, when its running request has ended; nothing happens when it is not loaded."""
        with self._changed:
            entry = self._loaded.get(model.name)
            if entry is None:
                return
            entry.unwanted = True
            if not entry.busy:
                self._drop(entry)

    def close(self) -> None:
        """Unload everything that is idle and refuse whatever comes or waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._loading and not any(e.busy for e in self._loaded.values()), 10)
            for entry in list(self._loaded.values()):
                self._drop(entry)
        self._reaper.join()

    def _take(self, model: EmbeddedModel, settings: EngineSettings, cancellation: Cancellation) -> LoadedModel:
        ticket = object()
        with self._changed:
            entry = self._loaded.get(model.name)
            needs_load = entry is None or entry.settings != settings
            if needs_load and self._pending_loads >= self._max_queue:
                raise ApiError(503, _BUSY)
            self._pending_loads += needs_load
            queue = self._queues.setdefault(model.name, deque())
            queue.append(ticket)
            try:
                self._wait(lambda: queue[0] is ticket and self._ready(model, settings), cancellation)
                if (entry := self._usable(model, settings)) is not None:
                    entry.busy = True
                    return entry
                self._make_room(model)
                self._loading.add(model.name)
            finally:
                self._pending_loads -= needs_load
                queue.remove(ticket)
                self._changed.notify_all()
        return self._load(model, settings)

    def _load(self, model: EmbeddedModel, settings: EngineSettings) -> LoadedModel:
        entry: LoadedModel | None = None
        try:
            entry = LoadedModel(model, self._loader(model, settings), settings, self._keep_alive)
            return entry
        finally:
            with self._changed:
                self._loading.discard(model.name)
                if entry is not None:
                    self._loaded[model.name] = entry
                self._changed.notify_all()

    def _wait(self, ready: Callable[[], bool], cancellation: Cancellation) -> None:
        while not ready():
            if self._closed or cancellation.cancelled:
                raise CancelledError("the request was cancelled while it waited")
            self._changed.wait(_CANCEL_POLL)
        if self._closed:
            raise CancelledError("the server is closing")

    def _usable(self, model: EmbeddedModel, settings: EngineSettings) -> LoadedModel | None:
        entry = self._loaded.get(model.name)
        return entry if entry is not None and not entry.busy and entry.settings == settings else None

    def _ready(self, model: EmbeddedModel, settings: EngineSettings) -> bool:
        if model.name in self._loading:
            return False
        entry = self._loaded.get(model.name)
        if entry is not None:
            return not entry.busy
        free = self._max_loaded - len(self._loaded) - len(self._loading)
        return free > 0 or any(not other.busy for other in self._loaded.values())

    def _make_room(self, model: EmbeddedModel) -> None:
        if (old := self._loaded.get(model.name)) is not None:
            self._drop(old)
        while len(self._loaded) + len(self._loading) >= self._max_loaded:
            idle = [entry for entry in self._loaded.values() if not entry.busy]
            self._drop(min(idle, key=lambda entry: entry.used))

    def _give_back(self, entry: LoadedModel, keep_alive: float) -> None:
        with self._changed:
            entry.keep_alive = keep_alive
            entry.used = time.monotonic()
            entry.busy = False
            if keep_alive <= 0 or entry.unwanted:
                self._drop(entry)
            self._changed.notify_all()

    def _drop(self, entry: LoadedModel) -> None:
        del self._loaded[entry.model.name]
        entry.engine.close()
        self._changed.notify_all()

    def _reap(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                idle = [entry for entry in self._loaded.values() if not entry.busy]
                for entry in idle:
                    if entry.expires <= now:
                        self._drop(entry)
                waits = [entry.expires - now for entry in idle if entry.expires > now]
                self._changed.wait(min([*waits, threading.TIMEOUT_MAX]))
