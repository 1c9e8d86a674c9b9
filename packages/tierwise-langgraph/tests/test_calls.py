"""Failures, early stops and what callbacks see."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import pytest
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers import BaseTracer, Run
from tierwise import Judge, ModelSpec, Router
from tierwise import Reply as Answer
from tierwise.attempt import GateAnswer, Prefix
from tierwise.errors import AllModelsFailedError, RejectedError, StreamBrokenError, UnknownNameError
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise_langgraph import LangChainBackend, RoutedChatModel
from tierwise_langgraph.history import from_core, to_core

Make = Callable[..., RoutedChatModel]

DRAFT = "This draft is far too long to be accepted"


def at_once(prefix: Prefix) -> GateAnswer:
    return "commit"


def texts(chunks: list[Any]) -> list[str]:
    return [str(c.text) for c in chunks if c.text]


def test_a_failure_of_the_small_tier_falls_back(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    provider.on("small", Reply(status=500))
    provider.on("large", Reply(text="The large answer"))
    assert routed().invoke("Why?").text == "The large answer"
    [failed, answered] = replies[0].attempts
    assert (failed.error_type, failed.cost) == ("UnavailableError", 0)
    assert answered.reason == "fallback: small failed"


def test_telemetry_is_told_the_server_and_the_provider_s_id_of_the_answer(
    provider: LoopbackProvider, routed: Make, models: Any, replies: list[Answer]
) -> None:
    provider.on("large", Reply(text="The large answer"))
    model = routed(task={"min_tier": "large"})
    model.invoke("Why?")
    list(model.stream("Why?"))
    whole, streamed = (reply.outcome for reply in replies)
    assert whole.response_id == "chatcmpl-1"
    assert streamed.response_id is None  # its chunks have none, and LangChain's own id is none of the provider's
    backend = LangChainBackend(dict(zip(("ollama:small", "openai:large"), models.values(), strict=True)))
    assert backend.server(whole.attempt.model) == provider.openai_url
    assert backend.server(ModelSpec("ollama:small")) == provider.url


async def test_a_stream_falls_back_before_its_first_chunk(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="Why not?", disconnect_after=0))
    provider.on("large", Reply(text="The large answer"))
    assert texts([c async for c in routed(gate=at_once).astream("Why?")]) == ["The", " large", " answer"]


async def test_a_stream_never_falls_back_after_its_first_chunk(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("large", Reply(text="The large answer", error_after=2))
    seen: list[Any] = []

    async def collect() -> None:
        async for chunk in routed(task={"min_tier": "large"}).astream("Why?"):
            seen.append(chunk)

    with pytest.raises(StreamBrokenError) as caught:
        await collect()
    assert "".join(texts(seen)) == caught.value.partial == "The large"
    assert provider.count() == 1


def test_all_models_failing_is_one_error(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(status=401))
    provider.on("large", Reply(status=401))
    with pytest.raises(AllModelsFailedError, match=r"(?s)ollama:small: Auth.*openai:large: Auth"):
        routed().invoke("Why?")


async def test_an_early_stop_closes_the_call(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("large", Reply(text="one two three four", stall_after=2, gate=threading.Event()))
    stream: Any = routed(task={"min_tier": "large"}).astream("Count")
    first = await anext(stream)
    assert first.text == "one"
    await stream.aclose()
    # LangChain leaves the model's own generator to the event loop, so the loop has to go on for a moment.
    await asyncio.to_thread(provider.wait_until, lambda: provider.calls[0].client_closed)
    assert not provider.calls[0].completed


class Witness(BaseTracer):
    """Keeps all that LangChain tells a tracer, at every moment of a run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def _start_trace(self, run: Run) -> None:
        super()._start_trace(run)
        self.seen.append(run.model_dump_json())

    def _end_trace(self, run: Run) -> None:
        super()._end_trace(run)
        self.seen.append(run.model_dump_json())

    def _persist_run(self, run: Run) -> None:
        self.seen.append(run.model_dump_json())

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> Run:
        self.seen.append(f"{token} {kwargs}")
        return super().on_llm_new_token(token, **kwargs)


@pytest.mark.parametrize("large", [Reply(text="The large answer"), Reply(status=500)], ids=["answered", "failed"])
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
async def test_no_tracer_sees_a_rejected_draft(
    provider: LoopbackProvider, routed: Make, way: str, large: Reply
) -> None:
    provider.on("small", Reply(text=DRAFT))
    provider.on("large", large)
    witness = Witness()
    model, config = routed(), cast("Any", {"callbacks": [witness]})
    with suppress(AllModelsFailedError, RejectedError):
        if way == "astream":
            _ = [chunk async for chunk in model.astream("Why?", config)]
        elif way == "stream":
            _ = list(model.stream("Why?", config))
        else:
            await model.ainvoke("Why?", config) if way == "ainvoke" else model.invoke("Why?", config)
    assert provider.count() == 2
    assert len(witness.seen) >= 3
    assert not any(DRAFT in seen for seen in witness.seen)


def test_callbacks_count_the_accepted_call_only(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text=DRAFT))
    provider.on("large", Reply(text="The large answer"))
    usage = UsageMetadataCallbackHandler()
    routed().invoke("Why?", config={"callbacks": [usage]})
    counted = usage.usage_metadata["large"]
    assert (counted["input_tokens"], counted["output_tokens"]) == (
        provider.calls[1].billed_input,
        provider.calls[1].billed_output,
    )
    assert list(usage.usage_metadata) == ["large"]


def test_a_stream_counts_its_usage_once(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("large", Reply(text="The large answer"))
    chunks = list(routed(task={"min_tier": "large"}).stream("Why?"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == provider.calls[0].billed_output
    assert whole.response_metadata["tierwise"]["tier"] == "large"


def test_a_judge_is_a_call_of_the_framework_s_own_model(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    provider.on("small", Reply(text="Because."))
    provider.on("large", Reply(json={"reason": "It is so.", "score": 9}))
    chat = routed(verifier=Judge())
    assert chat.invoke("Why?").text == "Because."
    assert [r.purpose for r in replies[0].attempts] == ["answer", "judge"]
    assert provider.calls[1].schema is not None
    assert provider.calls[1].options["temperature"] == 0.0
    assert provider.calls[1].options["max_completion_tokens"] == 160


@pytest.mark.parametrize("tier", ["small", "large"])
def test_a_tool_call_written_as_text_is_repaired(provider: LoopbackProvider, routed: Make, tier: str) -> None:
    provider.on(tier, Reply(json={"name": "look_up", "arguments": {"word": "tier"}}))
    form = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    model = routed(task={"min_tier": tier}).bind_tools([form])
    message = model.invoke("Look it up")
    assert message.content == ""
    assert [(c["name"], c["args"]) for c in message.tool_calls] == [("look_up", {"word": "tier"})]
    whole: Any = None
    for chunk in model.stream("Look it up"):
        whole = chunk if whole is None else whole + chunk
    assert whole.text == ""
    assert [(c["name"], c["args"]) for c in whole.tool_calls] == [("look_up", {"word": "tier"})]


@pytest.mark.parametrize("name", ["large", "openai:large"])
async def test_a_call_can_name_its_tier_or_model(provider: LoopbackProvider, routed: Make, name: str) -> None:
    provider.on("large", Reply(text="The large answer"))
    model = routed()
    answers = [model.invoke("Why?", model=name), await model.bind(model=name).ainvoke("Why?")]
    answers += [c for c in model.stream("Why?", model=name) if c.response_metadata.get("tierwise")]
    for answer in answers:
        stamp = answer.response_metadata["tierwise"]
        assert (stamp["tier"], stamp["rule"], stamp["reason"]) == ("large", "override", f"model={name!r}")
    assert provider.count("small") == 0


def test_a_call_cannot_name_what_the_fleet_does_not_have(routed: Make) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'large'"):
        routed().invoke("Why?", model="larg")


def test_fields_of_the_task_come_from_the_model_the_config_and_the_call(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    provider.on("small", Reply(text="Because."))
    provider.on("large", Reply(text="It is so."))
    model = routed(task={"job": "answer", "role": "model", "session": "model"})

    def step(prompt: str) -> Any:
        return model.bind(task={"session": "call"}).invoke(prompt)

    RunnableLambda(step).invoke(
        "Why?", {"configurable": {"tierwise": {"role": "config", "session": "config", "min_tier": "large"}}}
    )
    [row] = replies[0].attempts
    assert (row.job, row.role, row.session, row.tier) == ("answer", "config", "call", "large")


def test_models_that_are_not_given_are_built_without_retries_of_their_own(
    provider: LoopbackProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", provider.url)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
    provider.on("small", Reply(status=500))
    provider.on("large", Reply(status=500), Reply(text="Never asked."))
    large = ModelSpec("openai:large", reasoning_effort="low", top_p=0.5, options={"verbosity": "low"})
    small = ModelSpec("ollama:small", num_ctx=2048)
    with pytest.raises(AllModelsFailedError):
        RoutedChatModel(Router.simple(small=small, large=large)).invoke("Why?")
    first, second = provider.calls
    assert first.options["num_ctx"] == 2048
    assert {"reasoning_effort": "low", "top_p": 0.5, "verbosity": "low"}.items() <= second.body.items()


def test_a_trace_names_the_call_and_the_answer_names_the_model(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="Because."))
    seen: list[Any] = []

    class Tracer(BaseCallbackHandler):
        def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
            seen.append(kwargs["metadata"])

        def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            seen.append(response.generations[0][0].message.response_metadata)

    routed().invoke("Why?", config={"callbacks": [Tracer()]})
    started, ended = seen
    assert (started["ls_provider"], started["ls_model_name"]) == ("tierwise", "tierwise")
    assert (ended["model_provider"], ended["model_name"]) == ("ollama", "small")
    assert ended["tierwise"]["model"] == "ollama:small"


def test_an_unknown_model_is_refused_at_the_start(routed: Make) -> None:
    model = routed()
    with pytest.raises(UnknownNameError, match="did you mean 'small'"):
        RoutedChatModel(model.router, models={"smal": model})


def test_failed_tools_are_seen_by_policies() -> None:
    history = [
        HumanMessage("Look"),
        AIMessage("", tool_calls=[{"name": "look", "args": {"at": 1}, "id": "c1"}]),
        ToolMessage("no", tool_call_id="c1", name="look", status="error"),
    ]
    core = to_core(history)
    assert core[-1].failed
    assert core[1].tool_calls[0].arguments == {"at": 1}
    back = from_core(core)
    assert [m.type for m in back] == ["human", "ai", "tool"]
    assert isinstance(back[1], AIMessage)
    assert back[1].tool_calls[0]["args"] == {"at": 1}


def test_local_content_stays_on_this_machine(provider: LoopbackProvider, routed: Make, replies: list[Answer]) -> None:
    provider.on("small", Reply(status=500))
    with pytest.raises(AllModelsFailedError):
        routed(task={"trust": "local"}).invoke("Why?")
    assert [c.model for c in provider.calls] == ["small"]


PNG = "data:image/png;base64,AAAA"


@pytest.mark.parametrize(
    ("block", "image"),
    [
        ({"type": "image_url", "image_url": {"url": PNG}}, PNG),
        ({"type": "image_url", "image_url": "https://example.com/a.png"}, "https://example.com/a.png"),
        ({"type": "image", "url": "https://example.com/a.png"}, "https://example.com/a.png"),
        ({"type": "image", "base64": "AAAA", "mime_type": "image/png"}, PNG),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}, PNG),
        ({"type": "image", "file_id": "file-1"}, "file-1"),
    ],
)
def test_a_judge_is_shown_the_image_that_was_sent(block: dict[str, Any], image: str) -> None:
    [message] = to_core([HumanMessage([{"type": "text", "text": "What is this?"}, block])])
    assert (message.content, message.images) == ("What is this?", (image,))
    [sent] = from_core([message])
    assert sent.content[1] == {"type": "image_url", "image_url": {"url": image}}


def test_text_in_blocks_has_no_image() -> None:
    [message] = to_core([HumanMessage([{"type": "text", "text": "No image"}, {"type": "custom", "value": 1}])])
    assert message.images == ()


def test_a_field_that_no_task_has_is_told_when_the_model_is_made(routed: Callable[..., RoutedChatModel]) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'job'"):
        routed(task={"joob": "plan"})
    with pytest.raises(UnknownNameError, match="did you mean 'max_tier'"):
        routed().invoke("Hello.", task={"max_teir": "small"})
