"""The routed LLM passes the suite that every adapter passes, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

from crewai import LLM
from crewai.events.stream_context import add_stream_sink, reset_stream_sinks
from crewai.events.types.llm_events import LLMStreamChunkEvent
from crewai.llms.base_llm import call_stream_override
from crewai.utilities.agent_utils import extract_tool_call_info
from pydantic import BaseModel
from tierwise import Router, Usage
from tierwise.testing.conformance import AdapterConformance, Answer, Question, Way
from tierwise.testing.provider import LoopbackProvider
from tierwise_crewai import RoutedLLM
from tierwise_crewai.convert import from_core


class Direct:
    """Calls the LLM as CrewAI's agents do. CrewAI streams by events."""

    ways: tuple[Way, ...] = ("invoke", "ainvoke", "stream", "astream")

    def build(self, provider: LoopbackProvider, router: Router, **task: Any) -> RoutedLLM:
        small: Any = LLM(model="ollama/small", base_url=provider.url, max_retries=0)
        large: Any = LLM(model="openai/large", base_url=provider.openai_url, api_key="key", max_retries=0)
        return RoutedLLM(router, models={"small": small, "large": large}, task=task)

    def invoke(self, built: RoutedLLM, question: Question) -> Answer:
        return answer(built, built.call(**arguments(question)))

    async def ainvoke(self, built: RoutedLLM, question: Question) -> Answer:
        return answer(built, await built.acall(**arguments(question)))

    def stream(self, built: RoutedLLM, question: Question, show: Callable[[str], None]) -> Answer:
        with followed(built, show):
            return answer(built, built.call(**arguments(question)))

    async def astream(self, built: RoutedLLM, question: Question, show: Callable[[str], None]) -> Answer:
        with followed(built, show):
            return answer(built, await built.acall(**arguments(question)))


def arguments(question: Question) -> dict[str, Any]:
    return {
        "messages": from_core(question.messages),
        "tools": [tool.as_dict() for tool in question.tools] or None,
        "response_model": question.output_type,
    }


@contextmanager
def followed(llm: RoutedLLM, show: Callable[[str], None]) -> Generator[None]:
    """Gives the texts of all chunks to `show`, as CrewAI's own streams do."""

    def sink(source: Any, event: Any) -> None:
        if isinstance(event, LLMStreamChunkEvent) and event.tool_call is None:
            show(event.chunk)

    token = add_stream_sink(sink)
    try:
        with call_stream_override(llm, True):
            yield
    finally:
        reset_stream_sinks(token)


def call_of(given: Any) -> tuple[str, dict[str, Any]]:
    """A tool call as CrewAI's executor reads it."""
    _, name, written = cast("tuple[str, str, str]", extract_tool_call_info(given))
    return name, json.loads(written)


def answer(llm: RoutedLLM, given: Any) -> Answer:
    counted = llm.get_token_usage_summary()
    usage = Usage(counted.prompt_tokens, counted.completion_tokens)
    if isinstance(given, BaseModel):
        return Answer(output=given, usage=usage)
    if isinstance(given, list):
        return Answer(tool_calls=tuple(map(call_of, cast("list[Any]", given))), usage=usage)
    return Answer(text=given, usage=usage)


class TestRoutedLLM(AdapterConformance):
    harness = Direct()
