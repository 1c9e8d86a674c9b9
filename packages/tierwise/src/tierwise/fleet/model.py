"""What can answer? A `ModelSpec`: a model *with settings*."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, TypeAlias, cast, get_args

from tierwise.errors import ConfigError
from tierwise.figures import check_figure
from tierwise.fleet.price import Price
from tierwise.task import Trust

__all__ = ["Capability", "ModelSpec"]

Capability: TypeAlias = Literal["tools", "json_schema", "vision", "logprobs", "thinking", "embeddings"]

_ABOVE_ZERO = (
    "max_output_tokens",
    "num_ctx",
    "window",
    "concurrency",
    "requests_per_minute",
    "tokens_per_minute",
)

_RANK: dict[str, int] = {"any": 0, "approved": 1, "local": 2}


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model with its settings: one rung can differ from another by reasoning effort alone.

    What is not known is `None`, and is never guessed from the model's name.

    Raises:
        ConfigError: The id is not of the form `provider:name`, or a setting has a value that it cannot have.
    """

    id: str
    """`provider:name`, e.g. `ollama:qwen3:4b`: everything behind the first colon is the provider's own name."""
    _: KW_ONLY
    alias: str | None = None
    """Tells two entries of the same id apart."""
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    reasoning_effort: str | None = None
    max_output_tokens: int | None = None
    num_ctx: int | None = None
    """The context size, in tokens, to run a local model with."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False, repr=False)
    """Further settings that are handed to the backend as they are. Not shown: a credential may be among them."""
    window: int | None = None
    """The largest context, in tokens."""
    capabilities: frozenset[Capability] | None = None
    price: Price | None = None
    trust: Trust | None = None
    """Where content goes that is sent to this model; the backend's own label if not given."""
    concurrency: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    provider: str = field(init=False)
    name: str = field(init=False)

    def __post_init__(self) -> None:
        provider, colon, name = self.id.partition(":")
        if not (provider and colon and name):
            raise ConfigError(
                f"model {self.id!r} must be provider:name, e.g. 'ollama:qwen3:4b'", setting="model", value=self.id
            )
        object.__setattr__(self, "provider", provider)
        object.__setattr__(self, "name", name)
        if self.trust is not None and self.trust not in _RANK:
            raise ConfigError(
                f"{self.id}: trust={self.trust!r} must be one of local, approved, any",
                setting="trust",
                value=self.trust,
            )
        for setting in _ABOVE_ZERO:
            check_figure(setting, getattr(self, setting), whole=True, none=True, owner=self.id)
        if not isinstance(cast("object", self.price), Price | None):
            raise ConfigError(
                f"{self.id}: price={self.price!r} must be a Price, in USD per million tokens: Price(3, 15)",
                setting="price",
                value=self.price,
            )
        if self.capabilities is not None:
            self._check_capabilities(self.capabilities)

    def _check_capabilities(self, given: Iterable[str]) -> None:
        unknown = sorted(set(given) - set(get_args(Capability)))
        if unknown:
            raise ConfigError(
                f"{self.id}: unknown capability {unknown[0]!r}; known: {', '.join(get_args(Capability))}",
                setting="capabilities",
                value=unknown[0],
            )
        object.__setattr__(self, "capabilities", frozenset(given))

    @classmethod
    def of(cls, value: ModelSpec | str) -> ModelSpec:
        """Accepts a spec or an id."""
        return value if isinstance(value, ModelSpec) else cls(value)

    @property
    def key(self) -> str:
        """What tells this entry from the others of a fleet: the alias, or else the id."""
        return self.alias or self.id

    @property
    def context(self) -> int | None:
        """The context, in tokens, that a call really has: the window, or the smaller size that was set."""
        if self.window is None or self.num_ctx is None:
            return self.num_ctx if self.window is None else self.window
        return min(self.window, self.num_ctx)

    def may_see(self, trust: Trust) -> bool:
        """True if content of that trust may be sent to this model. A model without a label counts as `any`."""
        return _RANK[self.trust or "any"] >= _RANK[trust]

    def can(self, capability: Capability) -> bool | None:
        """Whether the model has the capability; `None` if that is not known."""
        return None if self.capabilities is None else capability in self.capabilities
