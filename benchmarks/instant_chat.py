"""A chat model of LangChain's that answers at once: what is measured with it is what stands around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

ANSWER = "The first plan is cheaper for a team of five, because its price does not depend on the number of people."
USAGE = UsageMetadata(input_tokens=40, output_tokens=21, total_tokens=61)


class Instant(BaseChatModel):
    """Answers with the same 20 words, or one chunk for each."""

    @property
    def _llm_type(self) -> str:
        return "instant"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        message = AIMessage(content=ANSWER, usage_metadata=USAGE, response_metadata={"model_name": "small"})
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return self._generate(messages)

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for word in ANSWER.split(" "):
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"{word} "))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=USAGE))

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages):
            yield chunk


def calls(model: BaseChatModel, text: str) -> dict[str, Callable[[], Any]]:
    """One call of the model in each way: `sync`, `async`, `stream`."""
    loop = asyncio.new_event_loop()

    def drained() -> None:
        for _ in model.stream(text):
            pass

    return {
        "sync": lambda: model.invoke(text),
        "async": lambda: loop.run_until_complete(model.ainvoke(text)),
        "stream": drained,
    }
