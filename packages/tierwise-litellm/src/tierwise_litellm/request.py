"""An attempt as the arguments of `litellm.completion`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tierwise.attempt import Attempt
from tierwise.errors import ConfigError, InvalidRequestError
from tierwise.fleet import ModelSpec
from tierwise.messages import Message
from tierwise.schema import as_json_schema

from tierwise_litellm.formats import can_constrain, in_words, response_format
from tierwise_litellm.messages import as_messages
from tierwise_litellm.providers import check_provider, provider_of

__all__ = ["arguments", "check_options", "client_timeout"]

_RESERVED: Mapping[str, str] = {
    "model": "name it in the fleet",
    "messages": "they are the task's",
    "stream": "it is asked for by the call",
    "timeout": "it is LiteLLMBackend's own",
    "tools": "they are the task's",
    "response_format": "give the task an output_schema",
    "num_retries": "Tierwise retries itself",
    "max_retries": "Tierwise retries itself",
    "retry_policy": "Tierwise retries itself",
    "fallbacks": "put more models into a tier",
    "context_window_fallback_dict": "put more models into a tier",
    "model_list": "put more models into a tier",
}

_CONNECTION = frozenset(
    {
        "api_base",
        "api_key",
        "api_version",
        "base_url",
        "default_headers",
        "deployment_id",
        "extra_headers",
        "organization",
    }
)
"""Options that are not sent but say where and how to send."""

_STEP = 1.1


def check_options(options: Mapping[str, Any], where: str) -> None:
    """Refuses options that would take a decision out of the router's hands.

    Raises:
        ConfigError: There is one; the message says where its matter is decided.
    """
    for name in options:
        if name in _RESERVED:
            raise ConfigError(f"{where}: {name} is not an option here: {_RESERVED[name]}", setting=name)


def client_timeout(seconds: float) -> float:
    """A timeout for a client, rounded up by at most a tenth.

    LiteLLM keeps a client, and its connections, for each timeout that it was ever given. What is left of a deadline is
    another figure at every call.
    """
    return _STEP ** math.ceil(math.log(seconds, _STEP))


def arguments(library: Any, attempt: Attempt, options: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
    """The arguments of `completion` and `acompletion` for the attempt, timeouts aside.

    Raises:
        InvalidRequestError: The model takes no tools and the task has some, or its answers cannot be bounded and are to
            be.
        UnknownNameError: LiteLLM does not know the provider.
    """
    model, task = attempt.model, attempt.task
    check_provider(library, model)
    provider = options.get("custom_llm_provider", provider_of(model))
    supported: list[str] = library.get_supported_openai_params(model=model.name, custom_llm_provider=provider) or []
    settings = _settings(attempt)
    _check_supported(attempt, settings, supported)
    messages = list(task.messages)
    if task.output_schema is not None:
        schema = as_json_schema(task.output_schema)
        if "response_format" in supported and can_constrain(schema):
            settings["response_format"] = response_format(schema)
        else:
            messages.insert(0, Message("system", in_words(schema)))
    if stream:
        settings |= {"stream": True, "stream_options": {"include_usage": True}}
    return {
        **settings,
        **options,
        "model": f"{provider_of(model)}/{model.name}",
        "messages": as_messages(messages, model),
        # What is left to be dropped changes no answer's meaning: sampling settings, log probabilities, seeds.
        "drop_params": True,
        "allowed_openai_params": _insisted(library, settings, options, supported),
        "num_retries": 0,
        "max_retries": 0,
        # Tools are the caller's to run. The handler would also import a package that LiteLLM does not require.
        "_skip_mcp_handler": True,
    }


def _settings(attempt: Attempt) -> dict[str, Any]:
    model, task = attempt.model, attempt.task
    settings: dict[str, Any] = {
        "temperature": attempt.setting("temperature"),
        "top_p": model.top_p,
        "seed": attempt.setting("seed"),
        "max_tokens": attempt.setting("max_output_tokens"),
        "reasoning_effort": model.reasoning_effort,
        "logprobs": attempt.logprobs or None,
        "tools": [tool.as_dict() for tool in task.tools] or None,
        "num_ctx": _num_ctx(model),
    }
    return {name: value for name, value in settings.items() if value is not None}


def _num_ctx(model: ModelSpec) -> int | None:
    return model.num_ctx if provider_of(model) == "ollama_chat" else None


def _insisted(
    library: Any, settings: Mapping[str, Any], options: Mapping[str, Any], supported: Sequence[str]
) -> list[str]:
    """What is sent although LiteLLM thinks that the model does not take it: options, and a reasoning effort.

    LiteLLM's lists lag behind the models; whoever wrote such a setting for a model knows it better.
    """
    known = set(library.OPENAI_CHAT_COMPLETION_PARAMS) - _CONNECTION - set(supported)
    written = [*options, *(name for name in settings if name == "reasoning_effort")]
    return [*options.get("allowed_openai_params", ()), *(name for name in written if name in known)]


def _check_supported(attempt: Attempt, settings: Mapping[str, Any], supported: Sequence[str]) -> None:
    for name, what in (("tools", "takes no tools"), ("max_tokens", "has no output cap")):
        if name in settings and name not in supported:
            raise InvalidRequestError(f"{attempt.model.id} {what}, as LiteLLM knows it; the call needs one")
