"""Real models through the `ollama` package."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import ollama
import pytest
from tierwise_embedded import EmbeddedServer
from tierwise_embedded.engine import LlamaEngine

pytestmark = pytest.mark.models

SMALLEST = "smollm2:135m"
SMALL = "qwen2.5-coder:0.5b"
EXACT = {"temperature": 0, "seed": 1, "num_predict": 12}
HI = [{"role": "user", "content": "Say hi."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[Any]:
    # The package leaves some of its types open.
    with cast("Any", ollama.Client(server.url)) as client:
        yield client


def test_chat(client: Any) -> None:
    answer = client.chat(SMALLEST, HI, options=EXACT)
    assert answer.message.content
    assert answer.prompt_eval_count == 12
    assert answer.eval_count == 12
    assert answer.done_reason == "length"


def test_the_same_seed_gives_the_same_answer(client: Any) -> None:
    # The engine's arithmetic differs in its last digits until the prompt is in its cache.
    client.chat(SMALLEST, HI, options=EXACT)
    answers = {client.chat(SMALLEST, HI, options={**EXACT, "temperature": 1}).message.content for _ in range(2)}
    assert len(answers) == 1


def test_a_stream_has_the_pieces_of_the_whole(client: Any) -> None:
    client.chat(SMALLEST, HI, options=EXACT)
    whole = client.chat(SMALLEST, HI, options=EXACT).message.content
    pieces = list(client.chat(SMALLEST, HI, options=EXACT, stream=True))
    assert len(pieces) > 3
    assert "".join(piece.message.content or "" for piece in pieces) == whole
    assert [piece.done for piece in pieces[-2:]] == [False, True]


def test_a_stop_text_ends_the_answer(client: Any) -> None:
    client.chat(SMALLEST, HI, options=EXACT)
    whole = client.chat(SMALLEST, HI, options=EXACT).message.content
    word = whole.split()[1]
    answer = client.chat(SMALLEST, HI, options={**EXACT, "stop": [word]})
    assert answer.done_reason == "stop"
    assert word not in (answer.message.content or "")


def test_a_conversation_with_a_tools_result(client: Any) -> None:
    call = {"function": {"name": "get_weather", "arguments": {"city": "Oslo"}}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "What's the weather in Oslo? Answer in one short sentence."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_name": "get_weather", "content": "4 degrees and rain"},
    ]
    answer = client.chat(SMALL, messages, tools=[WEATHER], options={**EXACT, "num_predict": 40})
    assert "4" in (answer.message.content or "")


def test_a_model_with_tools_names_the_tool(client: Any) -> None:
    asked = [{"role": "user", "content": "What's the weather in Oslo?"}]
    message = client.chat(SMALL, asked, tools=[WEATHER], options={**EXACT, "num_predict": 60}).message
    assert "get_weather" in (message.content or "") or message.tool_calls


def test_a_model_without_tools_refuses_them(client: Any) -> None:
    with pytest.raises(ollama.ResponseError, match="does not support tools") as error:
        client.chat(SMALLEST, HI, tools=[WEATHER])
    assert error.value.status_code == 400


def test_a_schema_binds_the_answer(client: Any) -> None:
    asked = [{"role": "user", "content": "Ann is 31. Give name and age as JSON."}]
    answer = client.chat(SMALL, asked, format=PERSON, options={**EXACT, "num_predict": 60})
    person = json.loads(answer.message.content or "")
    assert set(person) == {"name", "age"}
    assert isinstance(person["age"], int)


def test_logprobs_cover_the_answer(client: Any) -> None:
    answer = client.chat(SMALLEST, HI, logprobs=True, top_logprobs=3, options=EXACT)
    entries: list[Any] = answer.logprobs
    assert "".join(entry.token for entry in entries) == answer.message.content
    assert all(entry.logprob <= 0 and len(entry.top_logprobs) == 3 for entry in entries)


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_embeddings_are_unit_vectors_near_their_like(client: Any) -> None:
    first, same, other = client.embed(SMALLEST, ["a small dog", "a little dog", "10 PRINT; GOTO 10"]).embeddings
    assert len(first) == 576
    assert sum(value * value for value in first) == pytest.approx(1)
    assert dot(first, same) > dot(first, other)


def test_a_too_long_prompt_is_cut_unless_the_request_forbids_it(client: Any) -> None:
    long = [{"role": "user", "content": "The quick brown fox. " * 200}]
    options = {**EXACT, "num_ctx": 256, "num_predict": 1}
    assert (client.chat(SMALLEST, long, options=options).prompt_eval_count or 0) < 256
    response = client._client.post(
        "/api/chat",
        json={"model": SMALLEST, "messages": long, "options": options, "truncate": False, "stream": False},
    )
    assert response.status_code == 400
    assert json.loads(response.json()["error"])["error"]["type"] == "exceed_context_size_error"


def test_a_client_that_goes_away_stops_the_engine(server: EmbeddedServer, client: Any) -> None:
    stream = client.chat(SMALLEST, HI, stream=True, options={**EXACT, "num_predict": 4000})
    next(stream)
    stream.close()
    scheduler = server.scheduler
    with scheduler._changed:
        (entry,) = [entry for entry in scheduler.loaded() if entry.model.name == SMALLEST]
        assert scheduler._changed.wait_for(lambda: not entry.busy, 60)
    engine = cast("LlamaEngine", entry.engine)
    for _ in range(600):
        if not engine.busy():
            break
        time.sleep(0.05)
    assert not engine.busy()


def test_loading_and_unloading(client: Any) -> None:
    client.chat(SMALLEST, [], keep_alive=-1)
    assert SMALLEST in [entry.model for entry in client.ps().models]
    answer = client.chat(SMALLEST, [], keep_alive=0)
    assert answer.done_reason == "unload"
    assert SMALLEST not in [entry.model for entry in client.ps().models]


def test_the_readmes_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL):
        exec(block, {"__name__": "readme"})
    assert capsys.readouterr().out.strip()
