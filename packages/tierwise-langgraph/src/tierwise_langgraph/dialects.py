"""Settings of one call that one provider's class takes, and another's refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel

from tierwise_langgraph.history import without_markers

__all__ = ["fitted", "is_ollama", "reads_cache_markers"]

_OLLAMA = frozenset(
    ["format", "keep_alive", "logprobs", "options", "reasoning", "response_format", "stop", "strict", "top_logprobs"]
)
"""What `ChatOllama` takes with a call. It hands all else to its client, which raises `TypeError`."""
_BOUND = frozenset(["ls_structured_output_format", "structured_output_format", "tool_choice", "tools"])
_ALIASES = {"max_tokens": "num_predict", "max_completion_tokens": "num_predict"}


def fitted(model: BaseChatModel, options: Mapping[str, Any]) -> tuple[BaseChatModel, dict[str, Any]]:
    """The model and the settings of one call, as the model's class takes them.

    Marks for another provider's prompt cache are left out. A setting that `ChatOllama` takes only as the model's own,
    such as the temperature, becomes the model's own; what it has no word for, such as `parallel_tool_calls`, is left
    out.
    """
    kept = dict(options) if reads_cache_markers(model) else without_markers(options)
    if "openai" not in model._llm_type:
        kept.pop("prompt_cache_key", None)
    if not is_ollama(model):
        return model, kept
    other = {_ALIASES.get(n, n): kept.pop(n) for n in list(kept) if n not in _OLLAMA | _BOUND}
    own = {name: value for name, value in other.items() if name in type(model).model_fields}
    return (model.model_copy(update=own) if own else model), kept


def is_ollama(model: BaseChatModel) -> bool:
    """True of LangChain's class for Ollama."""
    return type(model).__name__ == "ChatOllama"


def reads_cache_markers(model: BaseChatModel) -> bool:
    """True of models that speak Anthropic's API, on whichever platform; LangChain tells them by the same name."""
    return "anthropic" in model._llm_type
