"""What CrewAI's listeners and hooks are told of a routed call: one call, and the answer that was accepted."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from crewai import BaseLLM
from crewai.events.event_bus import crewai_event_bus
from crewai.events.types.llm_events import LLMCallCompletedEvent, LLMCallType
from crewai.hooks.dispatch import HookAborted
from crewai.llms.base_llm import LLMCallBlockedError, get_current_call_id, llm_call_context
from crewai.utilities.serialization import to_serializable
from tierwise import Reply
from tierwise.flow import Chunk

from tierwise_crewai.calls import Asked
from tierwise_crewai.convert import written_calls
from tierwise_crewai.quiet import Shown

__all__ = ["completed", "show", "tells", "told"]


def tells(llm: BaseLLM) -> bool:
    """True if the LLM is one of CrewAI's own, which tell of their calls; a user's own class does not by itself."""
    kinds = (k for k in type(llm).__mro__ if k is not BaseLLM and issubclass(k, BaseLLM))
    return any(kind.__module__.startswith("crewai.") for kind in kinds)


@contextmanager
def told(llm: BaseLLM, asked: Asked, *, aloud: bool) -> Generator[None]:
    """Within it the call is under way; an error that leaves it is told as its end.

    Args:
        llm: Whose call it is.
        asked: The call.
        aloud: Whether anybody is told at all.
    """
    with llm_call_context():
        if not aloud:
            yield
            return
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
