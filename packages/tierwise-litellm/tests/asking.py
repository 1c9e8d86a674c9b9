"""How the tests ask: one attempt, in each of the four ways that a backend has."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Literal

from tierwise import ModelSpec
from tierwise.attempt import Attempt, Chunk, Outcome
from tierwise.messages import Prompt
from tierwise.task import Task
from tierwise_litellm import LiteLLMBackend

CANARY = "sk-canary-0123456789abcdef"

_OWN = ("timeout", "logprobs", "temperature", "seed")


def attempt(model: str | ModelSpec, prompt: Prompt = "Say hello", **fields: Any) -> Attempt:
    """An attempt; `timeout`, `logprobs` and the like are its own fields, all others the task's."""
    own = {name: fields.pop(name) for name in _OWN if name in fields}
    return Attempt(Task(prompt, **fields), ModelSpec.of(model), **own)


@dataclass(frozen=True)
class Ask:
    """Asks in one of the four ways; a user should not be able to tell them apart by what comes back."""

    backend: LiteLLMBackend
    way: Literal["call", "acall", "open", "aopen"]

    async def __call__(self, model: str | ModelSpec, prompt: Prompt = "Say hello", **fields: Any) -> Outcome:
        made = attempt(model, prompt, **fields)
        if self.way == "acall":
            return await self.backend.acall(made)
        if self.way == "aopen":
            async with self.backend.aopen(made) as chunks:
                return collected(made, [chunk async for chunk in chunks])
        if self.way == "call":
            return await asyncio.to_thread(self.backend.call, made)
        return await asyncio.to_thread(self._opened, made)

    def _opened(self, made: Attempt) -> Outcome:
        with self.backend.open(made) as chunks:
            return collected(made, list(chunks))


def collected(made: Attempt, chunks: list[Chunk]) -> Outcome:
    """What a driver makes of a stream."""

    def last(name: str) -> Any:
        return next((getattr(c, name) for c in reversed(chunks) if getattr(c, name) is not None), None)

    return Outcome(
        made,
        text="".join(c.text for c in chunks),
        thinking="".join(c.thinking for c in chunks),
        tool_calls=tuple(call for c in chunks for call in c.tool_calls),
        logprobs=tuple(p for c in chunks for p in c.logprobs) or None,
        usage=last("usage"),
        model=last("model"),
        finish_reason=last("finish_reason"),
    )
