"""Typed answers: asked for in each target's own way, judged by the router, read in one way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_function
from pydantic import BaseModel
from tierwise import ToolCall
from tierwise.errors import RejectedError
from tierwise.schema import parse_output

from tierwise_langgraph.history import tool_calls

__all__ = ["METHODS", "Structured", "asked_for"]

METHODS = (None, "function_calling", "json_mode", "json_schema")


@dataclass(frozen=True, slots=True)
class Structured:
    """A typed answer as a user of LangChain asks for it."""

    schema: Any
    """What `with_structured_output` takes; `None` for any JSON object."""
    output_schema: Any
    """What the answer is held against: a pydantic model, or a JSON schema."""
    method: str | None = None
    """How it is asked for; each target's own default if not given."""
    strict: bool | None = None

    @classmethod
    def of(cls, schema: Any, method: str | None, strict: bool | None) -> Structured:
        """Checks what was asked for.

        Raises:
            ValueError: The method is unknown, or needs a schema and has none.
        """
        if method not in METHODS:
            raise ValueError(f"method={method!r} must be one of {', '.join(map(repr, METHODS))}")
        if schema is None and method != "json_mode":
            raise ValueError(f"schema=None needs method='json_mode', not {method!r}")
        return cls(schema, _checked(schema), method, strict)

    @property
    def _of_pydantic_1(self) -> Callable[[Any], Any] | None:
        """Makes an instance of the schema, if it is a model of pydantic 1: it is judged by its JSON schema alone."""
        return None if self.output_schema is self.schema else getattr(self.schema, "parse_obj", None)

    @property
    def for_traces(self) -> dict[str, Any]:
        """How LangChain's tracers are told of it."""
        return {"kwargs": {"method": self.method} if self.method else {}, "schema": self.schema}

    def bound(self, model: BaseChatModel) -> Any:
        """The target with the schema bound in its own way, without the parser that it puts behind itself."""
        given: dict[str, Any] = {"method": self.method, "strict": self.strict}
        # Not every target takes a model of pydantic 1: all take its JSON schema.
        schema = self.schema if self._of_pydantic_1 is None else self.output_schema
        typed: Any = model.with_structured_output(schema, **{k: v for k, v in given.items() if v is not None})
        form = typed.first.kwargs.get("response_format")
        # OpenAI's client holds an answer against a class by itself, and what does not fit is an error without its text.
        return typed.first.bind(response_format=_form(form)) if isinstance(form, type) else typed.first

    def typed(self, calls: Sequence[ToolCall]) -> dict[str, Any]:
        """What changes of an answer with these calls: a typed one that came as a tool's arguments is no tool call."""
        if not calls or calls[0].malformed is not None:
            return {}
        return {"text": json.dumps(dict(calls[0].arguments)), "tool_calls": ()}

    def read(self, message: AIMessage) -> Any:
        """The typed answer that a message holds.

        Raises:
            ValueError: It holds none that fits.
        """
        calls = tool_calls(message)
        text = json.dumps(dict(calls[0].arguments)) if calls else str(message.text)
        value = parse_output(self.output_schema, text)
        return value if self._of_pydantic_1 is None else self._of_pydantic_1(value)

    def with_raw(self, model: Runnable[LanguageModelInput, AIMessage]) -> Runnable[LanguageModelInput, Any]:
        """The model's message beside what was read from it; what does not fit is returned as an error."""

        def ask(messages: Any, config: RunnableConfig) -> dict[str, Any]:
            return self._both(lambda: model.invoke(messages, config))

        async def aask(messages: Any, config: RunnableConfig) -> dict[str, Any]:
            try:
                message = await model.ainvoke(messages, config)
            except RejectedError as error:
                return _refused(error)
            return self._both(lambda: message)

        return RunnableLambda(ask, afunc=aask, name="structured_output")

    def _both(self, answer: Callable[[], AIMessage]) -> dict[str, Any]:
        try:
            message = answer()
        except RejectedError as error:
            return _refused(error)
        try:
            return {"raw": message, "parsed": self.read(message), "parsing_error": None}
        except ValueError as error:
            return {"raw": message, "parsed": None, "parsing_error": error}


def _refused(error: RejectedError) -> dict[str, Any]:
    return {"raw": error.outcome.raw, "parsed": None, "parsing_error": error}


def _form(schema: type) -> dict[str, Any]:
    function = convert_to_openai_function(schema, strict=True)
    function["schema"] = function.pop("parameters")
    return {"type": "json_schema", "json_schema": function}


def _checked(schema: Any) -> Any:
    if schema is None:
        return {"type": "object"}
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return schema
    return convert_to_json_schema(cast("Any", schema))


def asked_for(options: Mapping[str, Any]) -> Any:
    """The schema in a provider's `response_format`, as `create_agent` binds it; `None` if there is none."""
    form: Any = options.get("response_format")
    if not isinstance(form, Mapping):
        return form
    known = cast("Mapping[str, Any]", form)
    if known.get("type") == "json_object":
        return {"type": "object"}
    return known.get("json_schema", {}).get("schema")
