"""What is asked? A `Task`: messages, and what is known about them before any model is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

from tierwise.errors import ConfigError, UnknownNameError
from tierwise.jsontext import DEEPEST, is_too_deep, read_json
from tierwise.values import drafted, quick

if TYPE_CHECKING:
    from tierwise.context import Decision

__all__ = ["Message", "Prompt", "Stakes", "Task", "Tool", "ToolCall", "Trust", "task_fields"]

Trust: TypeAlias = Literal["local", "approved", "any"]
"""Where content may go: `local` never leaves the machine, `approved` goes to vendors that were approved."""

Stakes: TypeAlias = Literal["normal", "high"]

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]

_ROLES = frozenset(get_args(Role))

CHARS_PER_TOKEN = 4
"""The rule of thumb behind every *estimated* token count; a provider's own count replaces it when it arrives."""


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


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Task:
    """What is asked, and what is known about it.

    Only `messages` is needed. Whatever else the caller knows (the job above all) is evidence that needs no guessing.

    Args:
        messages: The request's text, or a conversation (`Message`s, or dictionaries in the form of OpenAI's chat API).
        system: A system prompt that is put before the messages.
        job: What this step does, e.g. `summarize` or `plan`: the strongest routing feature there is.
        role: The name of the agent that asks.
        node: The name of the graph node, or step, that asks.
        tags: Free labels that rules can ask for.
        tools: What the model may call.
        tools_required: The answer has to be a tool call, as where a framework asks for typed output by a tool.
        output_schema: A JSON schema, a pydantic model or any type that pydantic understands; the answer is then
            typed, and a model's answer that does not fit is rejected.
        session: Groups the tasks of one conversation.
        trust: Where the content may go; it filters every hop.
        stakes: `high` starts at a high tier, and no small-tier answer is conclusive by itself.
        min_tier: The lowest tier that may answer.
        max_tier: The highest tier that may answer.
        decision: Who tries first, where that is decided already (by `Router.decide`, or by a person): no policy is
            asked then.
        deadline: Seconds that the whole run may take.
        max_output_tokens: The longest answer, in tokens.
        idempotency_key: A name for this request, of the caller's own: the run is made once under it, and its reply is
            kept and given again. Work that is derived of the task has none.
        retry_unknown: Whether a run is made again under a key of which it is not known what came of it.
        native: The request in a framework's own form, for the backend that made it.

    Raises:
        ConfigError: A field has a value that it cannot have.
    """

    messages: tuple[Message, ...]
    job: str | None
    role: str | None
    node: str | None
    tags: frozenset[str]
    tools: tuple[Tool, ...]
    tools_required: bool
    output_schema: Any
    session: str | None
    trust: Trust
    stakes: Stakes
    min_tier: str | None
    max_tier: str | None
    decision: Decision | None
    deadline: float | None
    max_output_tokens: int | None
    idempotency_key: str | None
    retry_unknown: bool
    native: Any = field(repr=False)

    def __init__(
        self,
        messages: Prompt,
        *,
        system: str | None = None,
        job: str | None = None,
        role: str | None = None,
        node: str | None = None,
        tags: Iterable[str] = (),
        tools: Iterable[Tool | Mapping[str, Any]] = (),
        tools_required: bool = False,
        output_schema: Any = None,
        session: str | None = None,
        trust: Trust = "any",
        stakes: Stakes = "normal",
        min_tier: str | None = None,
        max_tier: str | None = None,
        decision: Decision | None = None,
        deadline: float | None = None,
        max_output_tokens: int | None = None,
        idempotency_key: str | None = None,
        retry_unknown: bool = False,
        native: Any = None,
    ) -> None:
        said = (Message("user", messages),) if isinstance(messages, str) else tuple(map(Message.of, messages))
        if system is not None:
            said = (Message("system", system), *said)
        if not said:
            raise ConfigError("a task needs at least one message", setting="messages", value=messages)
        if isinstance(tags, str):
            raise ConfigError(f"tags must be several strings, not one: use [{tags!r}]", setting="tags", value=tags)
        _one_of("trust", trust, _TRUSTS)
        _one_of("stakes", stakes, _STAKES)
        _positive("deadline", deadline)
        _positive("max_output_tokens", max_output_tokens)
        _key(idempotency_key)
        kind, draft = type(self), drafted(self)
        draft.messages = said
        draft.job = job
        draft.role = role
        draft.node = node
        draft.tags = frozenset(tags)
        draft.tools = tuple(map(Tool.of, tools))
        draft.tools_required = tools_required
        draft.output_schema = output_schema
        draft.session = session
        draft.trust = trust
        draft.stakes = stakes
        draft.min_tier = min_tier
        draft.max_tier = max_tier
        draft.decision = decision
        draft.deadline = deadline
        draft.max_output_tokens = max_output_tokens
        draft.idempotency_key = idempotency_key
        draft.retry_unknown = retry_unknown
        draft.native = native
        draft.__class__ = kind

    @classmethod
    def of(cls, value: Task | Prompt, **fields: Any) -> Task:
        """Makes a task of a text or of messages; fields given beside a task replace the task's own.

        A task that asks something else than before has no request in a framework's own form any more.
        """
        if isinstance(value, Task):
            if not _ASKED.isdisjoint(fields):
                fields.setdefault("native", None)
            return replace(value, **fields) if fields else value
        return cls(value, **fields)

    def derive(self, messages: Prompt, *, job: str, **fields: Any) -> Task:
        """A task that serves this one (a judgement, a plan): what bounds this one bounds it too.

        Trust, session, tags and deadline are inherited; tools, output schema and tier bounds are not.
        """
        inherited: dict[str, Any] = {
            "trust": self.trust,
            "session": self.session,
            "tags": self.tags,
            "deadline": self.deadline,
        }
        return Task(messages, job=job, **(inherited | fields))

    @property
    def latest_request(self) -> str:
        """The text of the last user message; empty if there is none."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.content
        return ""

    @property
    def last(self) -> Message:
        """The last message, whoever wrote it."""
        return self.messages[-1]

    @property
    def has_images(self) -> bool:
        """True if any message holds an image."""
        return any(m.images for m in self.messages)

    @property
    def images(self) -> tuple[str, ...]:
        """The images of all messages, in their order."""
        return tuple(image for m in self.messages for image in m.images)

    @property
    def characters(self) -> int:
        """The length of all messages together, in characters."""
        return sum(len(m.content) for m in self.messages)

    @property
    def estimated_tokens(self) -> int:
        """The estimated length of all messages together, in tokens (characters / 4)."""
        return self.characters // CHARS_PER_TOKEN + 1

    def tool(self, name: str) -> Tool | None:
        """The tool of that name, or None."""
        return next((t for t in self.tools if t.name == name), None)


def task_fields(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Fields of tasks that are yet to be made, as an adapter is given them.

    Raises:
        UnknownNameError: A task has no such field; the message names the nearest.
    """
    for name in given or ():
        if name not in _GIVEN:
            raise UnknownNameError("field", name, sorted(_GIVEN), where="task")
    return dict(given or {})


_GIVEN = frozenset(f.name for f in fields(Task)) - {"messages", "native"}
_LONGEST_KEY = 255

_TRUSTS: tuple[str, ...] = get_args(Trust)
_STAKES: tuple[str, ...] = get_args(Stakes)
_ASKED = frozenset({"messages", "tools", "tools_required", "output_schema"})
"""The fields that a task's native request says too."""


def _one_of(setting: str, value: Any, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigError(f"{setting}={value!r} must be one of {', '.join(allowed)}", setting=setting, value=value)


def _key(value: object) -> None:
    if value is not None and not (isinstance(value, str) and 0 < len(value) <= _LONGEST_KEY):
        raise ConfigError(
            f"idempotency_key={value!r} must be a text of 1 to {_LONGEST_KEY} characters",
            setting="idempotency_key",
            value=value,
        )


def _positive(setting: str, value: Any) -> None:
    try:
        sound = value is None or value > 0
    except TypeError:
        sound = False
    if not sound:
        raise ConfigError(f"{setting}={value!r} must be a number above zero", setting=setting, value=value)
