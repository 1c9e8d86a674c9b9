"""The router itself passes the suite for adapters: what they have to give is what it gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tierwise import Reply, Router, Task
from tierwise.testing.conformance import AdapterConformance, Answer, Question, Way
from tierwise.testing.provider import LoopbackProvider

Built = Callable[[Question], tuple[Router, Task]]


class Direct:
    """Every model is asked in Ollama's dialect, whatever its prefix."""

    ways: tuple[Way, ...] = ("invoke", "ainvoke", "stream", "astream")

    def build(self, provider: LoopbackProvider, router: Router, **task: Any) -> Built:
        backend = pytest.importorskip("tierwise_ollama").OllamaBackend(provider.url)
        # Its labels would make every model a local one.
        backend.trust = lambda model: None  # pyright: ignore[reportUnknownLambdaType]
        made = router.using(backend)

        def asked(question: Question) -> tuple[Router, Task]:
            return made, Task(question.messages, tools=question.tools, output_schema=question.output_type, **task)

        return asked

    def invoke(self, built: Built, question: Question) -> Answer:
        made, task = built(question)
        return answer(made.run(task))

    async def ainvoke(self, built: Built, question: Question) -> Answer:
        made, task = built(question)
        return answer(await made.arun(task))

    def stream(self, built: Built, question: Question, show: Callable[[str], None]) -> Answer:
        made, task = built(question)
        with made.stream(task) as stream:
            for chunk in stream:
                show(chunk.text)
        return answer(stream.reply)

    async def astream(self, built: Built, question: Question, show: Callable[[str], None]) -> Answer:
        made, task = built(question)
        async with made.astream(task) as stream:
            async for chunk in stream:
                show(chunk.text)
        return answer(stream.reply)


def answer(reply: Reply) -> Answer:
    calls = tuple((call.name, dict(call.arguments)) for call in reply.tool_calls)
    return Answer(text=reply.text, tool_calls=calls, output=reply.output, usage=reply.outcome.usage)


class TestRouter(AdapterConformance):
    harness = Direct()
