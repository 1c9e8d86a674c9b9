"""What does a model cost? `Usage` in tokens, `Price` in USD for a million of them, `Cost` in USD."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from tierwise.errors import ConfigError
from tierwise.values import quick

__all__ = ["FREE", "Cost", "Price", "Usage"]

Number: TypeAlias = "Decimal | int | float | str"

_MILLION = Decimal(1_000_000)


@quick
@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `None` means that the provider did not say.

    `input_tokens` includes the cached ones, `output_tokens` includes the reasoning ones, as providers bill them.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    _: KW_ONLY
    cached_tokens: int = 0
    """Input tokens read from a prompt cache."""
    cache_write_tokens: int = 0
    """Input tokens written to a prompt cache."""
    reasoning_tokens: int = 0
    estimated: bool = False
    """True if any of these figures is an estimate of ours and not the provider's count."""


@dataclass(frozen=True, slots=True)
class Cost:
    """USD of one call, and where its price came from. `usd` is `None` where the price is not known."""

    usd: Decimal | None
    source: str = "unknown"
    """`user`, `local`, `catalogue` or `unknown`."""


@dataclass(frozen=True, slots=True, init=False)
class Price:
    """USD for a million tokens.

    Args:
        input: For input tokens.
        output: For output tokens, reasoning included.
        cached_input: For input tokens read from a prompt cache; the input price if not given.
        cache_write: For input tokens written to a prompt cache; the input price if not given.
        request: USD for each request, tokens aside.
        source: Where the price came from.

    Raises:
        ConfigError: A price is negative or no number.
    """

    input: Decimal
    output: Decimal
    cached_input: Decimal
    cache_write: Decimal
    request: Decimal
    source: str

    def __init__(
        self,
        input: Number,  # noqa: A002
        output: Number,
        *,
        cached_input: Number | None = None,
        cache_write: Number | None = None,
        request: Number = 0,
        source: str = "user",
    ) -> None:
        put = object.__setattr__
        put(self, "input", _usd("input", input))
        put(self, "output", _usd("output", output))
        put(self, "cached_input", self.input if cached_input is None else _usd("cached_input", cached_input))
        put(self, "cache_write", self.input if cache_write is None else _usd("cache_write", cache_write))
        put(self, "request", _usd("request", request))
        put(self, "source", source)

    def cost(self, usage: Usage | None) -> Cost:
        """USD for that usage; unknown where the provider gave no counts and the price is not zero."""
        if self.is_free:
            return Cost(Decimal(0), self.source)
        if usage is None or usage.input_tokens is None or usage.output_tokens is None:
            return Cost(None, "unknown")
        plain = usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens
        total = (
            self.input * max(plain, 0)
            + self.cached_input * usage.cached_tokens
            + self.cache_write * usage.cache_write_tokens
            + self.output * usage.output_tokens
        )
        return Cost(total / _MILLION + self.request, self.source)

    @property
    def is_free(self) -> bool:
        """True if no call costs anything."""
        return not (self.input or self.output or self.request or self.cached_input or self.cache_write)


def _usd(setting: str, value: Any) -> Decimal:
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite() or price < 0:
        raise ConfigError(
            f"price {setting}={value!r} must be USD per million tokens, zero or more", setting=setting, value=value
        )
    return price


FREE = Price(0, 0, source="local")
"""The explicit price of a model that runs on one's own machine."""
