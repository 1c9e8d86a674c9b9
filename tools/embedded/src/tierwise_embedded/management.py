"""Ollama's routes about models: list, show, pull, delete and copy."""

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from tierwise_embedded.engine import Cancellation
from tierwise_embedded.errors import ApiError, CancelledError, WeightsError
from tierwise_embedded.gojson import decode
from tierwise_embedded.library import Library, describe, details, modified_at
from tierwise_embedded.models import MODELS, EmbeddedModel, resolve_name
from tierwise_embedded.progress import Progress
from tierwise_embedded.responses import JSON, Request, Response, json_reply, ndjson, timestamp
from tierwise_embedded.scheduler import LoadedModel, Scheduler

__all__ = ["ManagementRoutes", "Fetcher", "OLLAMA_VERSION"]

OLLAMA_VERSION = "0.33.0"
"""The version of Ollama whose behaviour is spoken."""

Fetcher = Callable[[EmbeddedModel, Progress], object]
"""Puts a model's weights on this machine."""

_CANCEL_POLL = 0.2
# A model that stays for ever is told to expire in a century.
_FOREVER = timedelta(days=36500)


class ManagementRoutes:
    """The routes about models."""

    def __init__(self, library: Library, scheduler: Scheduler, fetcher: Fetcher) -> None:
        self._library = library
        self._scheduler = scheduler
        self._fetcher = fetcher

    def version(self, request: Request) -> Response:
        """Answer `GET /api/version`."""
        return json_reply({"version": OLLAMA_VERSION})

    def tags(self, request: Request) -> Response:
        """Answer `GET /api/tags`."""
        return json_reply({"models": [describe(model) for model in self._library.models()]})

    def ps(self, request: Request) -> Response:
        """Answer `GET /api/ps`."""
        return json_reply({"models": [_running(entry) for entry in self._scheduler.loaded()]})

    def show(self, request: Request) -> Response:
        """Answer `POST /api/show`."""
        model = self._library.require(_name(decode(request.body)))
        return json_reply(
            {
                "license": model.notice,
                "modelfile": f"FROM {model.name}\n",
                "template": model.chat_template or "",
                "details": details(model),
                "model_info": {
                    "general.architecture": model.family,
                    "general.basename": model.title,
                    "general.parameter_count": model.parameters,
                    f"{model.family}.context_length": model.context_length,
                    f"{model.family}.embedding_length": model.embedding_length,
                },
                "capabilities": model.capabilities,
                "modified_at": modified_at(model),
            }
        )

    def delete(self, request: Request) -> Response:
        """Answer `DELETE /api/delete`: an embedded model's file is shared, and stays."""
        model = self._library.require(_name(decode(request.body)))
        raise ApiError(400, f"embedded model '{model.name}' cannot be deleted")

    def copy(self, request: Request) -> Response:
        """Answer `POST /api/copy`."""
        model = self._library.require(decode(request.body).get("source"), 'model "{}" not found')
        raise ApiError(400, f"embedded model '{model.name}' cannot be copied")

    def pull(self, request: Request) -> Response:
        """Answer `POST /api/pull`: only the catalogue's models can be pulled."""
        body = decode(request.body)
        name = _name(body)
        if not isinstance(name, str) or not name:
            raise ApiError(400, "model is required")
        statuses = self._pull(MODELS.get(resolve_name(name)), request.cancellation)
        if body.get("stream") is not False:
            return ndjson(statuses)
        last = list(statuses)[-1]
        return json_reply(last, 500 if "error" in last else 200, content_type=JSON)

    def _pull(self, model: EmbeddedModel | None, cancellation: Cancellation) -> Generator[dict[str, Any]]:
        yield {"status": "pulling manifest"}
        if model is None:
            yield {"error": "pull model manifest: file does not exist"}
            return
        failure: WeightsError | None = None
        for item in _fetching(self._fetcher, model, cancellation):
            if isinstance(item, WeightsError):
                failure = item
                break
            completed, total = item
            digest = f"sha256:{model.sha256}"
            layer = {"digest": digest, "total": total, "completed": completed}
            yield {"status": f"pulling {model.sha256[:12]}", **layer}
        if failure is not None:
            yield {"error": str(failure)}
            return
        self._library.add(model)
        yield {"status": "verifying sha256 digest"}
        yield {"status": "writing manifest"}
        yield {"status": "success"}


def _fetching(
    fetcher: Fetcher, model: EmbeddedModel, cancellation: Cancellation
) -> Iterator[tuple[int, int] | WeightsError]:
    """Fetch in a thread, and yield how far it is: every hundredth, and the end."""
    told: queue.Queue[tuple[int, int] | WeightsError | None] = queue.Queue()
    percent = -1

    def progress(completed: int, total: int, /) -> None:
        nonlocal percent
        if 100 * completed // total != percent:
            percent = 100 * completed // total
            told.put((completed, total))

    def work() -> None:
        try:
            fetcher(model, progress)
            told.put((model.size, model.size))
        except WeightsError as error:
            told.put(error)
        finally:
            told.put(None)

    threading.Thread(target=work, name="embedded-pull", daemon=True).start()
    while not cancellation.cancelled:
        with contextlib.suppress(queue.Empty):
            if (item := told.get(timeout=_CANCEL_POLL)) is None:
                return
            yield item
    # The download goes on: the next pull finds it done.
    raise CancelledError("the client is gone")


def _name(body: dict[str, Any]) -> object:
    return body.get("model") or body.get("name")


def _running(entry: LoadedModel) -> dict[str, Any]:
    left = min(entry.keep_alive, _FOREVER.total_seconds())
    return {
        "name": entry.model.name,
        "model": entry.model.name,
        "size": entry.model.size,
        "digest": entry.model.sha256,
        "details": details(entry.model),
        "expires_at": timestamp(datetime.now(UTC) + timedelta(seconds=left - entry.idle)),
        "size_vram": 0,
        "context_length": entry.settings.num_ctx,
    }
