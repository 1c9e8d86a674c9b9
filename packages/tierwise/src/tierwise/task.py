"""What is asked? A `Task`: messages, and what is known about them before any model is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

from tierwise.errors import ConfigError, UnknownNameError
from tierwise.figures import check_figure
from tierwise.messages import Message, Prompt, Stakes, Tool
from tierwise.values import drafted

if TYPE_CHECKING:
    from tierwise.context import Decision

__all__ = ["Task", "Trust", "task_fields"]

Trust: TypeAlias = Literal["local", "approved", "any"]
"""Where content may go: `local` never leaves the machine, `approved` goes to vendors that were approved."""

CHARS_PER_TOKEN = 4
"""The rule of thumb behind every *estimated* token count; a provider's own count replaces it when it arrives."""

TOKENS_OF_AN_IMAGE = 1_600
"""What an image of about a megapixel, the largest that most vision models take in whole, is billed as."""


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
        _one_of("trust", trust, _TRUSTS)
        _one_of("stakes", stakes, _STAKES)
        check_figure("deadline", deadline, none=True)
        check_figure("max_output_tokens", max_output_tokens, whole=True, none=True)
        _key(idempotency_key)
        labels = _labels(tags)
        kind, draft = type(self), drafted(self)
        draft.messages = said
        draft.job = job
        draft.role = role
        draft.node = node
        draft.tags = labels
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
        """The estimated length of all that is sent, in tokens.

        Messages, tools and their calls count a token for four characters, an image counts `TOKENS_OF_AN_IMAGE`.
        """
        characters = images = 0
        for message in self.messages:
            characters += len(message.content)
            images += len(message.images)
            for call in message.tool_calls:
                characters += len(str(call.arguments))
        for tool in self.tools:
            characters += tool.characters
        return characters // CHARS_PER_TOKEN + 1 + TOKENS_OF_AN_IMAGE * images

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


def _labels(tags: Any) -> frozenset[str]:
    if isinstance(tags, str):
        raise ConfigError(f"tags must be several strings, not one: use [{tags!r}]", setting="tags", value=tags)
    labels = tuple(cast("Iterable[Any]", tags)) if isinstance(tags, Iterable) else (tags,)
    if labels and not all(isinstance(label, str) for label in labels):
        raise ConfigError(f"tags={tags!r} must be several strings, e.g. ['urgent']", setting="tags", value=tags)
    return frozenset(labels)


def _key(value: object) -> None:
    if value is not None and not (isinstance(value, str) and 0 < len(value) <= _LONGEST_KEY):
        raise ConfigError(
            f"idempotency_key={value!r} must be a text of 1 to {_LONGEST_KEY} characters",
            setting="idempotency_key",
            value=value,
        )
