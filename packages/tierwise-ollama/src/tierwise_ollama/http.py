"""Requests to the server, over the official client.

The client's typed `chat` is not used: its request model drops what it does not know, which is `truncate`, `shift`, the
ids of tool calls and most of a tool's JSON schema, and it reads an image given as a text from a file of that name.

Each request has a connection of its own, which costs a fraction of a millisecond on one's own machine. So nothing is
left open between event loops, threads and forks, and nothing has to be closed.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from tierwise.backends.failures import retry_after
from tierwise.backends.local import is_loopback
from tierwise.errors import AuthenticationError, BackendError, BadResponseError, CallTimeoutError, UnavailableError

from tierwise_ollama import faults
from tierwise_ollama.timeouts import Patience, Phase

if TYPE_CHECKING:
    import httpx

__all__ = ["Http"]

Body = Mapping[str, Any]


class Http:
    """Talks to one server.

    Args:
        url: Its root.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    async def ask(self, path: str, body: Body | None, patience: Patience, *, model: str = "") -> dict[str, Any]:
        """One answer: GET without a body, POST with one.

        Raises:
            BackendError: The server is absent, refuses, or answers with no JSON object.
        """
        phase: Phase = "first_token" if path == "/api/embed" else "inquiry"
        async with patience.wait(phase), self._client(patience) as client:
            try:
                response = await client.request(
                    "GET" if body is None else "POST", path, content=None if body is None else _encode(body)
                )
            except Exception as error:
                raise self._unanswered(error, patience) from error
        if response.status_code != 200:
            raise self._refused(response, response.content, model)
        return self._object(response.content, model)

    async def lines(
        self, path: str, body: Body, patience: Patience, *, model: str, pace: Phase = "idle"
    ) -> AsyncGenerator[dict[str, Any]]:
        """The JSON objects of a streamed answer. Closing the generator closes the connection.

        Args:
            path: The route.
            body: The request.
            patience: What is left of the call's time.
            model: The model's name, for messages.
            pace: What limits the wait for each line after the first.

        Raises:
            BackendError: As in `ask`, and where the server reports an error inside the stream.
        """
        async with self._client(patience) as client:
            request = client.build_request("POST", path, content=_encode(body))
            async with patience.wait("first_token"):
                response = await self._send(client, request, patience)
            try:
                if response.status_code != 200:
                    async with patience.wait("inquiry"):
                        content = await response.aread()
                    raise self._refused(response, content, model)
                async with aclosing(self._read(response, model, patience, pace)) as lines:
                    async for line in lines:
                        yield line
            finally:
                await response.aclose()

    async def _send(self, client: httpx.AsyncClient, request: httpx.Request, patience: Patience) -> httpx.Response:
        try:
            return await client.send(request, stream=True)
        except Exception as error:
            raise self._unanswered(error, patience) from error

    async def _read(
        self, response: httpx.Response, model: str, patience: Patience, pace: Phase
    ) -> AsyncGenerator[dict[str, Any]]:
        import httpx

        phase: Phase = "first_token"
        texts = response.aiter_lines()
        while True:
            try:
                async with patience.wait(phase):
                    text = await anext(texts)
            except StopAsyncIteration:
                return
            except httpx.HTTPError as error:
                raise faults.broken_off(self.url, model, _cause(error)) from error
            if not text.strip():
                continue
            line = self._object(text, model)
            if "error" in line:
                raise faults.from_line(self.url, model, line["error"])
            phase = pace
            yield line

    def _client(self, patience: Patience) -> httpx.AsyncClient:
        import httpx
        import ollama

        client = ollama.AsyncClient(
            self.url,
            # A redirect, or a proxy of the environment, would take content off the machine that the user named.
            follow_redirects=False,
            trust_env=not is_loopback(self.url),
            timeout=httpx.Timeout(None, connect=patience.timeouts.connect),
            verify=_ssl_context(self.url.startswith("https:")),
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        return cast("httpx.AsyncClient", cast("Any", client)._client)

    def _unanswered(self, error: Exception, patience: Patience) -> Exception:
        import httpx

        if isinstance(error, httpx.ConnectTimeout):
            limit = patience.timeouts.connect
            return CallTimeoutError(
                f"Ollama at {self.url}: no connection within {limit:g} s (connect)", phase="connect"
            )
        if isinstance(error, httpx.ConnectError):
            return faults.absent(self.url, error)
        if isinstance(error, httpx.LocalProtocolError):
            # Its words, which are withheld here, repeat the header.
            raise AuthenticationError(
                f"Ollama at {self.url}: a header cannot be sent; is a line break in OLLAMA_API_KEY?"
            ) from None
        if isinstance(error, httpx.HTTPError):
            return UnavailableError(f"Ollama at {self.url} closed the connection without an answer: {_cause(error)}")
        return error

    def _refused(self, response: httpx.Response, content: bytes, model: str) -> BackendError:
        wait = retry_after(response.headers)
        return faults.from_status(self.url, model, response.status_code, content, retry_after=wait)

    def _object(self, text: str | bytes, model: str) -> dict[str, Any]:
        try:
            value: Any = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadResponseError(f"Ollama at {self.url} sent no JSON for {model!r}: {error}") from error
        if not isinstance(value, dict):
            raise BadResponseError(f"Ollama at {self.url} sent JSON that is no object for {model!r}")
        return cast("dict[str, Any]", value)


def _encode(body: Body) -> bytes:
    """ASCII: UTF-8 cannot express the lone surrogates that a text may hold, JSON's escapes can."""
    return json.dumps(body).encode("ascii")


def _cause(error: Exception) -> str:
    return str(error) or type(error).__name__


@lru_cache(maxsize=2)
def _ssl_context(encrypted: bool) -> ssl.SSLContext:
    """Made once: loading the certificates takes longer than a request. Without encryption there is none to check."""
    import httpx

    return httpx.create_ssl_context() if encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
