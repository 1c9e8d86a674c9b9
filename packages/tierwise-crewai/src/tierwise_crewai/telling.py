"""What CrewAI's listeners and hooks are told of a routed call: one call, and the answer that was accepted."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

from crewai import BaseLLM
from crewai.events.event_bus import crewai_event_bus
from crewai.events.types.llm_events import LLMCallCompletedEvent, LLMCallType
from crewai.hooks.dispatch import HookAborted, InterceptionPoint, get_global_hook_list, get_scoped_hooks
from crewai.hooks.llm_hooks import model_call_hooks_already_dispatched
from crewai.llms.base_llm import LLMCallBlockedError, get_current_call_id, llm_call_context
from crewai.utilities.serialization import to_serializable
from tierwise import Reply
from tierwise.attempt import Chunk

from tierwise_crewai.calls import Asked
from tierwise_crewai.convert import written_calls
from tierwise_crewai.quiet import Shown

__all__ = ["after_hooks", "before_hooks", "completed", "show", "tells", "told"]


def tells(llm: BaseLLM) -> bool:
    """True if the LLM is one of CrewAI's own, which tell of their calls; a user's own class does not by itself."""
    kinds = (k for k in type(llm).__mro__ if k is not BaseLLM and issubclass(k, BaseLLM))
    return any(kind.__module__.startswith("crewai.") for kind in kinds)


def told(llm: BaseLLM, asked: Asked, *, aloud: bool) -> AbstractContextManager[object]:
    """Within it the call is under way; an error that leaves it is told as its end.

    Args:
        llm: Whose call it is.
        asked: The call.
        aloud: Whether anybody is told: of the call, or of pieces of its answer.
    """
    return _told(llm, asked) if aloud else nullcontext()


@contextmanager
def _told(llm: BaseLLM, asked: Asked) -> Generator[None]:
    with llm_call_context():
        llm._emit_call_started_event(asked.messages, asked.tools, asked.callbacks, asked.functions, **asked.who)
        try:
            yield
        except (HookAborted, LLMCallBlockedError) as denied:
            llm._emit_call_denied_event(denied, **asked.who)
            raise
        except Exception as error:
            llm._emit_call_failed_event(str(error), **asked.who)
            raise


def completed(llm: BaseLLM, asked: Asked, reply: Reply, answer: Any, usage: Mapping[str, int]) -> None:
    """Tells the answer, which model gave it, and the tokens of that one call."""
    call_type = LLMCallType.TOOL_CALL if reply.tool_calls else LLMCallType.LLM_CALL
    event = LLMCallCompletedEvent(
        messages=cast("Any", to_serializable(asked.messages)),
        response=to_serializable(answer),
        call_type=call_type,
        model=reply.model,
        call_id=get_current_call_id(),
        usage=dict(usage),
        finish_reason=reply.outcome.finish_reason,
        response_id=reply.outcome.response_id,
        **asked.who,
    )
    crewai_event_bus.emit(llm, event)


def show(llm: BaseLLM, chunk: Chunk, asked: Asked) -> None:
    """Shows a chunk to those who follow the stream: as the model's own LLM would have, or a held answer in one."""
    if isinstance(chunk.raw, Shown):
        emit = llm._emit_thinking_chunk_event if chunk.raw.thinking else llm._emit_stream_chunk_event
        emit(**chunk.raw.event)
        return
    if not chunk.is_visible:
        return
    if chunk.text:
        llm._emit_stream_chunk_event(chunk.text, **asked.who)
    for index, call in enumerate(written_calls(chunk.tool_calls)):
        told_call = {**call, "index": index}
        arguments = call["function"]["arguments"]
        llm._emit_stream_chunk_event(arguments, tool_call=told_call, call_type=LLMCallType.TOOL_CALL, **asked.who)


def before_hooks(llm: BaseLLM, asked: Asked, messages: list[Any]) -> None:
    """Asks the hooks before a call, unless an agent has asked them: they may change the messages, or forbid it.

    Raises:
        HookAborted: One forbids the call.
        LLMCallBlockedError: One forbids it by the older convention.
    """
    if _hooked(InterceptionPoint.PRE_MODEL_CALL):
        llm._invoke_before_llm_call_hooks(messages, asked.from_agent)


def after_hooks(llm: BaseLLM, asked: Asked, messages: list[Any], answer: str) -> str:
    """The answer as the hooks after a call leave it, unless an agent will ask them."""
    if not _hooked(InterceptionPoint.POST_MODEL_CALL):
        return answer
    return llm._invoke_after_llm_call_hooks(messages, answer, asked.from_agent)


def _hooked(point: InterceptionPoint) -> bool:
    hooks = get_global_hook_list(point) or get_scoped_hooks(point)
    return bool(hooks) and not model_call_hooks_already_dispatched()
