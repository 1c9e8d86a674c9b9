"""What is said, in no provider's dialect: messages, the tools that may be called, and calls of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, TypeAlias, cast, get_args

from tierwise.errors import ConfigError
from tierwise.jsontext import DEEPEST, is_too_deep, read_json
from tierwise.values import quick

__all__ = ["Message", "Prompt", "Role", "Stakes", "Tool", "ToolCall"]

Stakes: TypeAlias = Literal["normal", "high"]

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]

_ROLES = frozenset(get_args(Role))


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool that a model asks for."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    _: KW_ONLY
    id: str = ""
    malformed: str | None = None
    """The arguments as the model wrote them, where they are no JSON object; `arguments` is empty then."""
    repaired: bool = False
    """True if the model wrote the call as text and Tierwise read it out of there."""

    @classmethod
    def parse(cls, name: str, arguments: str | Mapping[str, Any] | None, *, id: str = "") -> ToolCall:  # noqa: A002
        """Reads arguments that may be a JSON text; what is no JSON object is kept as `malformed`.

        Args:
            name: The tool's name.
            arguments: What it is called with; `None` and an empty text are no arguments.
            id: The call's id.
        """
        if isinstance(arguments, Mapping):
            if is_too_deep(arguments):
                return cls(name, id=id, malformed=f"arguments nested more than {DEEPEST} levels deep")
            return cls(name, arguments, id=id)
        text = arguments or "{}"
        try:
            value = read_json(text)
        except ValueError:
            return cls(name, id=id, malformed=text)
        if not isinstance(value, dict):
            return cls(name, id=id, malformed=text)
        return cls(name, cast("dict[str, Any]", value), id=id)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that a model may call.

    A call of a tool with high stakes is never conclusive evidence when a small tier makes it.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    """A JSON schema of an object."""
    _: KW_ONLY
    stakes: Stakes = "normal"
    _characters: int = field(default=0, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, value: Tool | Mapping[str, Any]) -> Tool:
        """Accepts a `Tool` or the dictionary form that OpenAI's and Ollama's APIs share.

        Raises:
            ConfigError: It is neither, or the tool has no name.
        """
        if isinstance(value, Tool):
            return value
        if not isinstance(cast("object", value), Mapping):
            raise ConfigError(
                f"tools: {value!r} must be a Tool, e.g. Tool('search', 'Searches.', {{...}}), or its dictionary form",
                setting="tools",
                value=value,
            )
        function = cast("Mapping[str, Any]", value.get("function", value))
        if "name" not in function:
            raise ConfigError(f"tools: a tool needs a name: {value!r}", setting="tools", value=value)
        return cls(
            function["name"],
            function.get("description", ""),
            function.get("parameters") or {"type": "object", "properties": {}},
            stakes=value.get("stakes", "normal"),
        )

    @property
    def characters(self) -> int:
        """The length of all that a model is told of it. It is measured once: a schema may be long."""
        if not self._characters:
            length = len(self.name) + len(self.description) + len(str(self.parameters))
            object.__setattr__(self, "_characters", length)
        return self._characters

    def as_dict(self) -> dict[str, Any]:
        """The dictionary form that OpenAI's and Ollama's APIs share."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": function}


@quick
@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation, in no provider's dialect."""

    role: Role
    content: str = ""
    _: KW_ONLY
    images: tuple[str, ...] = ()
    """URLs, `data:` URLs or plain base64."""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    """On a tool's result: the id of the call that it answers."""
    name: str | None = None
    """On a tool's result: the tool's name."""
    failed: bool = False
    """On a tool's result: the tool failed."""
    thinking: str = ""
    signature: str | None = None
    """A provider's signature over `thinking`; worthless to any other provider."""
    cache: bool = False
    """A marker for a provider's prompt cache stands after this message."""
    origin: str | None = None
    """The provider whose model wrote this message, where that is known."""

    @classmethod
    def of(cls, value: Message | Mapping[str, Any]) -> Message:
        """Accepts a `Message` or a dictionary in the form of OpenAI's chat API.

        Raises:
            ConfigError: The role or a content part is none that Tierwise knows.
        """
        if isinstance(value, Message):
            return value
        role: Any = value.get("role")
        if role == "developer":
            role = "system"
        if role not in _ROLES:
            raise ConfigError(f"unknown message role {role!r}: {value!r}", setting="role", value=role)
        content, images = _content(value.get("content"))
        return cls(
            role,
            content,
            images=images + tuple(value.get("images") or ()),
            tool_calls=tuple(map(_tool_call, value.get("tool_calls") or ())),
            tool_call_id=value.get("tool_call_id"),
            name=value.get("name") or value.get("tool_name"),
            failed=bool(value.get("failed", False)),
            thinking=value.get("thinking") or "",
        )


def _tool_call(value: ToolCall | Mapping[str, Any]) -> ToolCall:
    if isinstance(value, ToolCall):
        return value
    function = cast("Mapping[str, Any]", value.get("function", value))
    return ToolCall.parse(function["name"], function.get("arguments"), id=value.get("id") or "")


def _content(content: Any) -> tuple[str, tuple[str, ...]]:
    if content is None:
        return "", ()
    if isinstance(content, str):
        return content, ()
    texts: list[str] = []
    images: list[str] = []
    for part in cast("Sequence[str | Mapping[str, Any]]", content):
        if isinstance(part, str):
            texts.append(part)
        elif part.get("type") == "text":
            texts.append(part["text"])
        elif part.get("type") == "image_url":
            url = part["image_url"]
            images.append(url if isinstance(url, str) else url["url"])
        else:
            raise ConfigError(
                f"unknown content part {part.get('type')!r}: text and image_url are known",
                setting="content",
                value=part.get("type"),
            )
    return "\n".join(texts), tuple(images)


Prompt: TypeAlias = "str | Sequence[Message | Mapping[str, Any]]"
"""What a task can be made of: the text of one request, or the messages of a conversation."""
