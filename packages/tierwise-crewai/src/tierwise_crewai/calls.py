"""The calls of an LLM, as CrewAI makes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from pydantic import BaseModel

__all__ = ["Asked", "Calls"]


class Asked(NamedTuple):
    """One call."""

    messages: Any
    tools: list[Any] | None = None
    callbacks: list[Any] | None = None
    functions: dict[str, Any] | None = None
    """What the LLM itself is to run, where a model calls it."""
    from_task: Any = None
    from_agent: Any = None
    response_model: type[BaseModel] | None = None

    @property
    def listed(self) -> list[dict[str, Any]]:
        """The messages, each with a role."""
        asked = self.messages
        return [{"role": "user", "content": asked}] if isinstance(asked, str) else list(asked)

    @property
    def who(self) -> dict[str, Any]:
        """Who asks, as CrewAI's events say it."""
        return {"from_task": self.from_task, "from_agent": self.from_agent}


class Calls(ABC):
    """The two methods by which CrewAI calls an LLM.

    `BaseLLM` puts tries of its own around those that a subclass of it defines, not around these, which it inherits: a
    run that found every provider full has fallen back already, and to try all of it again would multiply its calls.
    """

    @abstractmethod
    def _answer(self, asked: Asked) -> Any: ...

    @abstractmethod
    async def _aanswer(self, asked: Asked) -> Any: ...

    def call(
        self,
        messages: Any,
        tools: list[Any] | None = None,
        callbacks: list[Any] | None = None,
        available_functions: dict[str, Any] | None = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: type[BaseModel] | None = None,
    ) -> Any:
        """See `BaseLLM`."""
        return self._answer(
            Asked(messages, tools, callbacks, available_functions, from_task, from_agent, response_model)
        )

    async def acall(
        self,
        messages: Any,
        tools: list[Any] | None = None,
        callbacks: list[Any] | None = None,
        available_functions: dict[str, Any] | None = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: type[BaseModel] | None = None,
    ) -> Any:
        """See `BaseLLM`."""
        return await self._aanswer(
            Asked(messages, tools, callbacks, available_functions, from_task, from_agent, response_model)
        )
