"""The table of routes: which method of which path is answered by what."""

from collections.abc import Callable, Mapping

from tierwise_embedded.compat import OpenAIRoutes, openai_error
from tierwise_embedded.embeddings import EmbeddingRoutes
from tierwise_embedded.errors import ApiError, EngineError, WeightsError
from tierwise_embedded.library import Library
from tierwise_embedded.management import Fetcher, ManagementRoutes
from tierwise_embedded.native import NativeRoutes
from tierwise_embedded.responses import Reply, Request, Response, json_reply, text_reply
from tierwise_embedded.scheduler import Scheduler

__all__ = ["Router"]

Route = Callable[[Request], Response]


class Router:
    """Answers requests."""

    def __init__(self, library: Library, scheduler: Scheduler, fetcher: Fetcher) -> None:
        self.scheduler = scheduler
        native = NativeRoutes(library, scheduler)
        embedding = EmbeddingRoutes(library, scheduler)
        management = ManagementRoutes(library, scheduler, fetcher)
        openai = OpenAIRoutes(library, scheduler)
        self._model = openai.model
        self._routes: Mapping[str, Mapping[str, Route]] = {
            "/": _read(lambda request: Reply(200, b"Ollama is running", "text/plain; charset=utf-8")),
            "/api/version": _read(management.version),
            "/api/tags": _read(management.tags),
            "/api/ps": {"GET": management.ps},
            "/api/show": {"POST": management.show},
            "/api/pull": {"POST": management.pull},
            "/api/copy": {"POST": management.copy},
            "/api/delete": {"DELETE": management.delete},
            "/api/chat": {"POST": native.chat},
            "/api/generate": {"POST": native.generate},
            "/api/embed": {"POST": embedding.embed},
            "/api/embeddings": {"POST": embedding.embeddings},
            "/v1/models": {"GET": openai.models},
            "/v1/chat/completions": {"POST": openai.chat},
            "/v1/embeddings": {"POST": embedding.openai},
        }

    def answer(self, request: Request) -> Response:
        """Answer a request; what goes wrong is an answer too."""
        methods = self._methods(request.path)
        if methods is None:
            return text_reply("404 page not found", 404)
        route = methods.get(request.method)
        if route is None:
            return text_reply("405 method not allowed", 405, headers={"Allow": ", ".join(methods)})
        try:
            return route(request)
        except ApiError as error:
            return self.error(request, error)
        except (EngineError, WeightsError) as error:
            return self.error(request, ApiError.of(error))

    def error(self, request: Request, error: ApiError) -> Reply:
        """Put an error into the shape of a path's family of routes."""
        if request.path.startswith("/v1/"):
            return openai_error(error)
        return json_reply({"error": error.message}, error.status)

    def _methods(self, path: str) -> Mapping[str, Route] | None:
        if path.startswith("/v1/models/"):
            return {"GET": self._model}
        return self._routes.get(path)


def _read(route: Route) -> Mapping[str, Route]:
    return {"GET": route, "HEAD": route}
