"""Replays exchanges that were recorded from a real Ollama."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from tierwise_embedded import EmbeddedServer
from tierwise_embedded.engine import EngineSettings
from tierwise_embedded.models import EmbeddedModel
from tierwise_embedded.progress import Progress

DIRECTORY = Path(__file__).parent

DEVIATIONS = {
    "15_missing_model_6": "Anthropic's route is not served: 404",
    "50_embed": "embeds, where the recorded server's engine had embeddings switched off",
    "51_embed_batch": "embeds, where the recorded server's engine had embeddings switched off",
    "53_embeddings_old": "embeds, where the recorded server's engine had embeddings switched off",
    "60_pull_stream": "the text tells that the model is not embedded; the recorded one told of a failed name look-up",
    "61_pull_nostream": "the text tells that the model is not embedded; the recorded one told of a failed name look-up",
    "86_v1_messages": "Anthropic's route is not served: 404",
    "87_v1_responses": "OpenAI's responses route is not served: 404",
}
"""Recorded exchanges that are answered otherwise, and why."""

GENERATING = ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/v1/chat/completions", "/v1/embeddings")
AFTER_LOAD = {
    "27_bad_format",
    "44_truncate_false",
    "45_shift_false",
    "46_trunc_shift_false",
    "47_trunc_shift_false_stream",
    "50_embed",
    "51_embed_batch",
    "52_embed_trunc_false",
    "53_embeddings_old",
}
"""Exchanges that are refused, but not before a model is loaded."""

BEFORE = {
    "03_ps_empty": None,
    "05_ps_loaded": "04_load_only",
    "41_ps_ctx256": "40_trunc_single_default",
    "49_ps_after": "48_ctx_over_train",
    "64_ps_unloaded": "63_unload",
}
"""Exchanges that tell of what is loaded, and the one that must come before on an otherwise empty server."""

SAME_VALUE = frozenset(
    {
        "error",
        "message",
        "status",
        "model",
        "done",
        "done_reason",
        "role",
        "object",
        "finish_reason",
        "owned_by",
        "context_length",
        "format",
        "type",
        "family",
        "prompt_eval_count",
        "prompt_tokens",
        "quantization_level",
        "parameter_size",
        "system_fingerprint",
        "rendered_template",
    }
)
SAME_WHEN_CUT = frozenset({"eval_count", "completion_tokens"})


def load(name: str) -> dict[str, Any]:
    return json.loads((DIRECTORY / "wire" / f"{name}.json").read_text())


def needs_models(name: str) -> bool:
    recording = load(name)
    answered = recording["status"] == 200 and recording["request"]["path"] in GENERATING
    return answered or name in AFTER_LOAD or BEFORE.get(name) is not None


NAMES = [path.stem for path in sorted((DIRECTORY / "wire").glob("*.json"))]
WITH_MODELS = [name for name in NAMES if needs_models(name)]
WITHOUT_MODELS = [name for name in NAMES if not needs_models(name)]


@pytest.fixture(scope="module")
def unloadable() -> Iterator[EmbeddedServer]:
    """A server on which nothing may be loaded."""

    def refuse(model: EmbeddedModel, settings: EngineSettings) -> Any:
        raise AssertionError("this exchange is answered without a model")

    def nothing(model: EmbeddedModel, progress: Progress) -> None:
        return None

    names = ["smollm2:135m", "qwen2.5-coder:0.5b", "qwen2.5-coder:1.5b"]
    with EmbeddedServer(names, loader=refuse, fetcher=nothing) as server:
        yield server


def send(url: str, request: dict[str, Any], *, host: str | None = None) -> tuple[int, dict[str, str], str]:
    target = urlsplit(url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port)
    body: object = request["body"]
    data = None if body is None else body if isinstance(body, str) else json.dumps(body)
    headers = {"Content-Type": "application/json", **({"Host": host} if host else {})}
    try:
        connection.request(request["method"], request["path"], data, headers)
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read().decode()
    finally:
        connection.close()


def documents(content_type: str, body: str) -> list[Any]:
    """The JSON documents of a body; plain text is a document of its own."""
    if content_type.startswith("text/event-stream"):
        lines = [line.removeprefix("data: ") for line in body.split("\n\n") if line]
        assert lines.pop() == "[DONE]"
        return [json.loads(line) for line in lines]
    if content_type.startswith("application/x-ndjson"):
        return [json.loads(line) for line in body.splitlines()]
    return [json.loads(body)] if content_type.startswith("application/json") else [body]


def shape(value: Any, *, cut: bool, key: str = "") -> Any:
    """What must be equal: keys, types, errors, and values that a model has no say in."""
    if isinstance(value, dict):
        mapping = cast("dict[str, Any]", value)
        cut = cut or was_cut(mapping)
        return {name: shape(item, cut=cut, key=name) for name, item in mapping.items()}
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return sorted({json.dumps(shape(item, cut=cut), sort_keys=True) for item in items})
    if key in SAME_VALUE or (cut and key in SAME_WHEN_CUT):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def was_cut(answer: dict[str, Any]) -> bool:
    ends = [answer, *answer.get("choices", [])]
    return any("length" in (end.get("done_reason"), end.get("finish_reason")) for end in ends)


def without_chance(request: dict[str, Any]) -> dict[str, Any]:
    """A sampled answer may end otherwise than the recorded one: take the likeliest."""
    if request["path"] != "/v1/chat/completions":
        return request
    return {**request, "body": {"temperature": 0, **request["body"]}}


def expected_headers(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name in ("Content-Type", "Allow")}


def check(url: str, name: str) -> None:
    recording = load(name)
    host = "tierwise.example" if name == "26_bad_host" else None
    status, headers, body = send(url, without_chance(recording["request"]), host=host)
    assert status == recording["status"], body
    expected = expected_headers(recording["headers"])
    assert expected_headers(headers) == expected
    content_type = expected.get("Content-Type", "")
    theirs = documents(content_type, recording["body"])
    ours = documents(content_type, body)
    if name == "02_tags" or name == "84_v1_models":
        # The order and the number of the models, and the times, are each server's own.
        assert shapes_of_models(ours[0]) == shapes_of_models(theirs[0])
        return
    assert shape(ours[0], cut=False) == shape(theirs[0], cut=False)
    assert shape(ours[-1], cut=False) == shape(theirs[-1], cut=False)
    assert shape(ours, cut=False) == shape(theirs, cut=False)


def shapes_of_models(document: dict[str, Any]) -> list[Any]:
    entries: list[Any] = document.get("models") or document["data"]
    return sorted((shape(entry, cut=False) for entry in entries), key=lambda entry: json.dumps(entry))


def check_listed(url: str, name: str) -> None:
    """Check an exchange, or that it deviates when the table says so."""
    if name not in DEVIATIONS:
        return check(url, name)
    try:
        check(url, name)
    except (AssertionError, ValueError):
        return None
    raise AssertionError(f"{name} is answered as recorded: take it out of the table")


@pytest.mark.parametrize("name", WITHOUT_MODELS)
def test_an_exchange_without_a_model_is_answered_as_recorded(unloadable: EmbeddedServer, name: str) -> None:
    check_listed(unloadable.url, name)


@pytest.mark.models
@pytest.mark.parametrize("name", WITH_MODELS)
def test_an_exchange_with_a_model_is_answered_as_recorded(server: EmbeddedServer, name: str) -> None:
    if before := BEFORE.get(name):
        for model in ("smollm2:135m", "qwen2.5-coder:0.5b"):
            body: dict[str, Any] = {"model": model, "messages": [], "keep_alive": 0}
            send(server.url, {"method": "POST", "path": "/api/chat", "body": body})
        send(server.url, load(before)["request"])
    check_listed(server.url, name)


def test_every_recorded_exchange_is_replayed() -> None:
    assert len(NAMES) == 74
    assert not set(DEVIATIONS) - set(NAMES)


def test_the_readme_lists_every_deviation() -> None:
    readme = (DIRECTORY.parent / "README.md").read_text()
    assert [name for name, reason in DEVIATIONS.items() if f"| `{name}` | {reason} |" not in readme] == []
