"""Reads what a request may set: model options, durations and the `think` value, with Ollama's errors."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from tierwise_embedded.errors import ApiError

__all__ = ["Options", "parse_options", "parse_keep_alive", "parse_think", "DEFAULT_NUM_CTX", "MIN_NUM_CTX"]

DEFAULT_NUM_CTX = 4096
"""The context length, in tokens, of a request that names none."""
MIN_NUM_CTX = 4

_INTEGERS = frozenset(
    {"num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "draft_num_predict"}
    | {"num_keep", "seed", "num_predict", "top_k", "repeat_last_n"}
)
_FLOATS = frozenset(
    {"top_p", "min_p", "typical_p", "temperature", "repeat_penalty", "presence_penalty", "frequency_penalty"}
)
_DEFAULTS: Mapping[str, Any] = {
    "temperature": 0.8,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.0,
    "typical_p": 1.0,
    "repeat_last_n": 64,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "seed": -1,
    "stop": [],
    "num_keep": 4,
    "num_predict": -1,
    "num_ctx": DEFAULT_NUM_CTX,
}
_OWN_FIELDS = frozenset({"num_ctx", "num_predict", "num_keep"})


@dataclass(frozen=True, slots=True)
class Options:
    """A request's options, checked, with Ollama's defaults."""

    values: Mapping[str, Any] = field(default_factory=lambda: dict(_DEFAULTS))

    @property
    def num_keep(self) -> int:
        """Tokens at the head of a prompt that truncation spares."""
        return self.values["num_keep"]

    def num_ctx(self, trained: int) -> int:
        """Return the context length to load with, never above the trained one."""
        return min(max(self.values["num_ctx"], MIN_NUM_CTX), trained)

    def num_predict(self, num_ctx: int) -> int:
        """Return the most tokens to generate; an unlimited request is bounded, as Ollama bounds it."""
        wanted = self.values["num_predict"]
        return 10 * num_ctx if wanted < 0 else min(wanted, 10 * num_ctx)

    def sampling(self) -> dict[str, Any]:
        """Return the fields of the engine's request that say how to sample."""
        fields = {key: value for key, value in self.values.items() if key not in _OWN_FIELDS}
        return {**fields, "n_keep": self.num_keep}


def parse_options(options: Mapping[str, Any] | None) -> Options:
    """Check a request's options; unknown ones and nulls are ignored.

    Raises:
        ApiError: 500, as Ollama answers it, for a value of a wrong type.
    """
    values = dict(_DEFAULTS)
    for key, value in (options or {}).items():
        if value is None:
            continue
        if key in _INTEGERS:
            values[key] = int(_number(key, value, "integer"))
        elif key in _FLOATS:
            values[key] = float(_number(key, value, "float32"))
        elif key == "use_mmap" and not isinstance(value, bool):
            raise ApiError(500, f'option "{key}" must be of type boolean')
        elif key == "stop":
            values[key] = _strings(key, value)
    return Options({key: values[key] for key in _DEFAULTS})


def _number(key: str, value: object, kind: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ApiError(500, f'option "{key}" must be of type {kind}')
    return value


def _strings(key: str, value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ApiError(500, f'option "{key}" must be of type array')
    items = cast("list[Any]", value)
    if not all(isinstance(item, str) for item in items):
        raise ApiError(500, f'option "{key}" must be of an array of strings')
    return items


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|ms|s|m|h)(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|ms|s|m|h))*")
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")


def parse_keep_alive(value: object) -> float | None:
    """Return seconds, infinite for a negative duration, or `None` when the request says nothing.

    Raises:
        ApiError: 400, with the text of Go's duration parser.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        kind = "bool" if isinstance(value, bool) else "map[string]interface {}"
        raise ApiError(400, f"Unsupported type: '{kind}'")
    seconds = _duration(value) if isinstance(value, str) else float(value)
    return math.inf if seconds < 0 else seconds


def _duration(text: str) -> float:
    if text == "0":
        return 0.0
    if not _DURATION.fullmatch(text):
        raise ApiError(400, f'time: invalid duration "{text}"')
    total = sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))
    return -total if text.startswith("-") else total


def parse_think(value: object) -> bool:
    """Tell whether a request wants thinking.

    Raises:
        ApiError: 400 for a value that is neither a boolean nor a level.
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    if value in ("high", "medium", "low", "max"):
        return True
    if isinstance(value, str):
        levels = 'must be "high", "medium", "low", "max", true, or false'
        raise ApiError(400, f'invalid think value: "{value}" ({levels})')
    raise ApiError(400, 'think must be a boolean or string ("high", "medium", "low", "max", true, or false)')
