"""An LLM that sends each call to the smallest model that can answer it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from copy import copy
from functools import cached_property
from typing import Any, NamedTuple, Self, cast
from weakref import WeakValueDictionary

from crewai import LLM, BaseLLM
from crewai.agents.agent_builder.base_agent import _LLM_TYPE_REGISTRY
from crewai.hooks.llm_hooks import model_call_hooks_dispatched
from crewai.llms.context_window import CONTEXT_WINDOW_USAGE_RATIO
from pydantic import BaseModel, Field, PrivateAttr
from tierwise import ModelSpec, Reply, Router, Task
from tierwise.backends import native_models
from tierwise.errors import ConfigError
from tierwise.ids import new_id
from tierwise.task import task_fields

from tierwise_crewai.backend import CrewAIBackend, Request
from tierwise_crewai.calls import Asked, Calls
from tierwise_crewai.convert import counters, to_core, tools_to_core
from tierwise_crewai.kickoffs import Place, Running, listen, place_of, ran
from tierwise_crewai.quiet import token_usage
from tierwise_crewai.telling import after_hooks, before_hooks, completed, show, tells, told

__all__ = ["RoutedLLM"]

_SETTINGS = ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty")
"""Settings of `BaseLLM` that a model's own LLM can be given for one call."""


class _Call(NamedTuple):
    """A call as the router takes it."""

    asked: Asked
    messages: list[dict[str, Any]]
    task: Task
    place: Place
    aloud: bool
    """Listeners are told of it."""


class RoutedLLM(Calls, BaseLLM):
    """One LLM over a router's fleet: use it wherever CrewAI takes an LLM.

    Give each agent an instance of its own over one router: a crew adds up the usage of each agent's LLM. That usage is
    of the accepted calls; receipts count all. CrewAI's listeners and hooks are told of one call for each routed one;
    they see no draft and no judge. Callbacks of a call are not used, as CrewAI's LLMs for providers use none either.

    Args:
        router: Decides which model answers.
        models: LLMs by the alias or id of the fleet's model, or by the name of a tier of one model; the others are
            built from their `provider:name` by CrewAI's `LLM`, without retries of their own.
        task: Fields of every task, e.g. `{"trust": "local"}`. Role, node and session are CrewAI's own where they are
            not given here. Where CrewAI plans, the job is `plan`, whatever is given here.
        on_reply: Is given the reply of each run that came to its end, with the whole receipt.
        **fields: Fields of `BaseLLM`: `stream`, `stop`, `temperature` and so on.

    Raises:
        UnknownNameError: A name of `models` stands for nothing in the fleet, or a task has no such field.
    """

    llm_type: str = "tierwise"
    router: Any = Field(exclude=True, repr=False)
    task: Mapping[str, Any] = Field(default_factory=dict[str, Any])
    on_reply: Callable[[Reply], None] | None = Field(default=None, exclude=True)
    _models: dict[str, BaseLLM] = PrivateAttr()

    def __init__(self, router: Router, *, models: Mapping[str, BaseLLM] | None = None, **fields: Any) -> None:
        options: dict[str, Any] = {"model": "tierwise", "provider": "tierwise", "router": router} | fields
        super().__init__(**options)
        task_fields(self.task)
        self._models = native_models(router.fleet, models or {}, _made)
        self._live()
        listen()

    # What every call reads is no private attribute: pydantic takes microseconds to find one.
    @cached_property
    def _routed(self) -> Router:
        return self.router.using(CrewAIBackend(self._models))

    @cached_property
    def _aloud(self) -> bool:
        return any(map(tells, self._models.values()))

    def __copy__(self) -> Self:
        """An instance over the same router that counts its own tokens, as each agent needs one."""
        made = super().__copy__()
        made._token_usage = dict.fromkeys(self._token_usage, 0)
        made._live()
        return made

    def _live(self) -> None:
        # A crew is copied with the fields that every LLM has, its planner's too: by this one the object is found again.
        reference = new_id()
        self.additional_params = {**self.additional_params, _REFERENCE: reference}
        _LIVING[reference] = self

    def to_config_dict(self) -> dict[str, Any]:
        """See `BaseLLM`. In this process the object is found again by it; a router cannot be written down."""
        return {**super().to_config_dict(), "llm_type": self.llm_type, "additional_params": self.additional_params}

    def supports_function_calling(self) -> bool:
        """True if all models do: without it, agents ask for tools in plain text."""
        return all(_says(m, "supports_function_calling") for m in self._models.values())

    def supports_stop_words(self) -> bool:
        """True if all models do."""
        return all(m.supports_stop_words() for m in self._models.values())

    def supports_multimodal(self) -> bool:
        """True if all models do."""
        return all(m.supports_multimodal() for m in self._models.values())

    def get_context_window_size(self) -> int:
        """The tokens that CrewAI may use before it shortens a conversation.

        The smallest window of the models whose `ModelSpec` says nothing of it: such a one might be given too much. Of
        those that say it the largest counts, as the router passes over the others where a request is too long.
        """
        known = {m.key: m.context for m in self._routed.fleet.models}
        unknown = [llm.get_context_window_size() for key, llm in self._models.items() if known[key] is None]
        return min(unknown) if unknown else int(max(c or 0 for c in known.values()) * CONTEXT_WINDOW_USAGE_RATIO)

    def get_input_tokens_count(
        self,
        messages: Any,
        tools: list[Any] | None = None,
        response_model: type[BaseModel] | None = None,
    ) -> int:
        """An estimate (characters / 4), as which model will count is not decided yet. No provider is asked."""
        said = Task(to_core(Asked(messages).listed) or "", system=json.dumps(tools, default=str) if tools else None)
        return said.estimated_tokens

    def _answer(self, asked: Asked) -> Any:
        streams = bool(self._effective_stream())
        aloud = self._aloud or streams or asked.functions is not None
        with told(self, asked, aloud=aloud):
            call = self._asked(asked, aloud)
            with model_call_hooks_dispatched(), Running(call.place, self._routed):
                reply = self._streamed(call) if streams else self._routed.run(call.task)
            return self._given(reply, call)

    async def _aanswer(self, asked: Asked) -> Any:
        streams = bool(self._effective_stream())
        aloud = self._aloud or streams or asked.functions is not None
        with told(self, asked, aloud=aloud):
            call = self._asked(asked, aloud)
            with model_call_hooks_dispatched(), Running(call.place, self._routed):
                reply = await (self._astreamed(call) if streams else self._routed.arun(call.task))
            return self._given(reply, call)

    def _streamed(self, call: _Call) -> Reply:
        with self._routed.stream(call.task) as stream:
            for chunk in stream:
                show(self, chunk, call.asked)
        return stream.reply

    async def _astreamed(self, call: _Call) -> Reply:
        async with self._routed.astream(call.task) as stream:
            async for chunk in stream:
                show(self, chunk, call.asked)
        return stream.reply

    def _asked(self, asked: Asked, aloud: bool) -> _Call:
        messages = asked.listed
        before_hooks(self, asked, messages)
        history = to_core(messages)
        acted = any(m.role == "tool" for m in history)
        place = place_of(asked.from_agent, asked.from_task, asked.response_model, acted=acted)
        request = Request(
            [(native, (known,)) for native, known in zip(messages, history, strict=True)],
            asked.tools,
            asked.response_model,
            {name: value for name in _SETTINGS if (value := getattr(self, name)) is not None},
            self.stop_sequences,
            asked.from_task,
            asked.from_agent,
        )
        fields: dict[str, Any] = {
            "role": place.role,
            "node": place.node,
            "session": place.session,
            "tools": tools_to_core(asked.tools),
            "output_schema": asked.response_model,
            "max_output_tokens": None if self.max_tokens is None else int(self.max_tokens),
            "native": request,
            **self.task,
        }
        if place.job is not None:
            fields["job"] = place.job
        return _Call(asked, messages, Task(history, **fields), place, aloud)

    def _given(self, reply: Reply, call: _Call) -> Any:
        asked = call.asked
        ran(call.place, reply.run_id, self._routed)
        usage = self._count(reply)
        if self.on_reply is not None:
            self.on_reply(reply)
        for tool in reply.tool_calls[:1]:
            if asked.functions and tool.name in asked.functions:
                # Running a function tells of the call's end too.
                done = self._handle_tool_execution(tool.name, dict(tool.arguments), asked.functions, **asked.who)
                return reply.text if done is None else done
        answer = _answer_of(reply, asked)
        if call.aloud:
            completed(self, asked, reply, answer, usage)
        return after_hooks(self, asked, call.messages, answer) if isinstance(answer, str) else answer

    def _count(self, reply: Reply) -> dict[str, int]:
        usage, counted = counters(reply.outcome.usage), token_usage(self)
        with _COUNTING:
            for name, tokens in usage.items():
                counted[name] += tokens
        return usage


_COUNTING = threading.Lock()

_LIVING: WeakValueDictionary[str, RoutedLLM] = WeakValueDictionary()


_REFERENCE = "tierwise_reference"


def restored(*, additional_params: Mapping[str, Any], **fields: Any) -> RoutedLLM:
    """The object that CrewAI dumped, as a copy: how a crew's copy gets its planner's LLM.

    Raises:
        ConfigError: It lived in another process, or lives no more.
    """
    reference = additional_params.get(_REFERENCE, "")
    living = _LIVING.get(reference)
    if living is None:
        raise ConfigError(
            f"RoutedLLM {reference!r} is not in this process: a router cannot be written down; give the agent, "
            "planner or manager a RoutedLLM(router) again",
            setting="llm",
            value=reference,
        )
    return copy(living)


# The only way by which CrewAI makes an LLM of what it dumped: without it, a copy of a planning crew has none.
_LLM_TYPE_REGISTRY["tierwise"] = f"{__name__}.{restored.__name__}"


def _answer_of(reply: Reply, asked: Asked) -> Any:
    """The answer in the form that CrewAI takes from any LLM."""
    raw = reply.outcome.raw
    if reply.tool_calls or isinstance(raw, BaseModel):
        return raw
    if asked.response_model is not None:
        return reply.output
    return raw if isinstance(raw, str) else reply.text


def _says(model: BaseLLM, name: str) -> bool:
    """An answer that not every LLM gives; the plain base class has no function calling."""
    asked = getattr(model, name, None)
    return bool(asked()) if callable(asked) else False


def _made(spec: ModelSpec) -> BaseLLM:
    name = f"{spec.provider}/{spec.name}"
    made = LLM(model=name)
    # The router falls back instead; a class without the setting would send it to its provider.
    retries = "max_retries" in type(made).model_fields
    return cast("BaseLLM", LLM(model=name, max_retries=0) if retries else made)
