"""How the suite asks: a question, its answer, and what drives a framework's entry point with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tierwise.fleet.price import Usage
from tierwise.messages import Message, Tool
from tierwise.router import Router
from tierwise.testing.provider import LoopbackProvider

__all__ = ["AdapterHarness", "Answer", "Asked", "LeftError", "Question", "Way"]

Way = Literal["invoke", "ainvoke", "stream", "astream"]
"""How a framework's object is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the framework's object is asked."""

    prompt: str = "Say it."
    history: tuple[Message, ...] = ()
    """A conversation in place of the prompt: it ends with what is to be answered, e.g. a tool's result."""
    tools: tuple[Tool, ...] = ()
    """Offered to the model; their calls are reported, and not carried out."""
    output_type: type[Any] | None = None
    """A pydantic model that the answer has to be."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The whole conversation."""
        return self.history or (Message("user", self.prompt),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the framework gave back."""

    text: str = ""
    tool_calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    """Names and arguments, in their order."""
    output: Any = None
    """The typed answer."""
    usage: Usage | None = None
    """The tokens that the framework reports for the answer; `None` where it reports none."""


class AdapterHarness(Protocol):
    """Drives one framework's entry point. What it builds is asked many times, also at once."""

    ways: tuple[Way, ...]
    """The ways that the framework has."""

    def build(self, provider: LoopbackProvider, router: Router, **task: Any) -> Any:
        """The framework's object over the router: `ollama:small` and `openai:large` are models of the provider.

        Args:
            provider: Speaks Ollama's dialect at `url`, OpenAI's at `openai_url`.
            router: Has no backends: the adapter supplies them. SDKs are told not to retry.
            **task: Fields of every task, e.g. `trust` or `session`.
        """
        ...

    def invoke(self, built: Any, question: Question) -> Answer:
        """Asks and waits."""
        ...

    async def ainvoke(self, built: Any, question: Question) -> Answer:
        """The async twin of `invoke`; cancelling it cancels the run."""
        ...

    def stream(self, built: Any, question: Question, show: Callable[[str], None]) -> Answer:
        """Asks, and gives each piece of visible text to `show` as it comes. If `show` raises, the stream is left."""
        ...

    async def astream(self, built: Any, question: Question, show: Callable[[str], None]) -> Answer:
        """The async twin of `stream`."""
        ...


class LeftError(Exception):
    """The consumer has seen enough."""


@dataclass(slots=True)
class Asked:
    """One question asked in one way, and what was shown of it."""

    harness: AdapterHarness
    way: Way
    shown: list[str] = field(default_factory=list[str])

    @property
    def streams(self) -> bool:
        """True if the answer comes in pieces."""
        return self.way in ("stream", "astream")

    @property
    def visible(self) -> str:
        """All text that was shown."""
        return "".join(self.shown)

    async def __call__(self, built: Any, question: Question | None = None, *, leave_after: int | None = None) -> Answer:
        """Asks a question, and leaves the stream after some pieces if that is asked for."""
        asked = question or Question()

        def show(text: str) -> None:
            self.shown.append(text)
            if leave_after is not None and len(self.shown) >= leave_after:
                raise LeftError

        match self.way:
            case "invoke":
                return await asyncio.to_thread(self.harness.invoke, built, asked)
            case "stream":
                return await asyncio.to_thread(self.harness.stream, built, asked, show)
            case "ainvoke":
                return await self.harness.ainvoke(built, asked)
            case "astream":
                return await self.harness.astream(built, asked, show)
