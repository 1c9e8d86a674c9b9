"""`[state]`: where spend, rates and circuits are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from tierwise.admission import OnStateLoss
from tierwise.config.document import Table
from tierwise.errors import ConfigError
from tierwise.state import MemoryState, State

__all__ = ["StateSettings", "read_state"]

_KEYS: Mapping[str, Sequence[str]] = {
    "memory": (),
    "sqlite": ("path", "wait"),
    "redis": ("url_env", "prefix", "wait"),
}


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Where what changes over time is kept, and how."""

    store: Literal["memory", "sqlite", "redis"]
    _: KW_ONLY
    path: Path | None = None
    """The file of a SQLite state."""
    url_env: str = "REDIS_URL"
    """The environment variable that holds the URL of a Redis server: there may be a password in it."""
    on_loss: OnStateLoss | None = None
    """See `Router`."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further arguments of the state's class."""

    def open(self) -> State:
        """The state.

        Raises:
            ConfigError: The environment variable is not set, or holds no URL.
            MissingExtraError: The `redis` package is not installed.
            StateError: The file cannot be opened.
        """
        if self.store == "memory":
            return MemoryState()
        if self.store == "sqlite":
            from tierwise.state.sqlite import SQLiteState

            assert self.path is not None  # noqa: S101 - there is none only in memory and on a server
            return SQLiteState(self.path, **self.options)
        from tierwise.state.redis import RedisState

        url = os.environ.get(self.url_env)
        if not url:
            raise ConfigError(
                f"the environment variable {self.url_env} is not set: it holds the URL of the Redis server",
                setting="url_env",
                value=self.url_env,
            )
        return RedisState(url, **self.options)


def read_state(table: Table | None, folder: Path) -> StateSettings | None:
    """What a file says of the state; `None` if nothing.

    Raises:
        ConfigFileError: A setting is wrong, or belongs to another store.
    """
    if table is None:
        return None
    store = table.one_of("store", _KEYS) or table.need("store", str)
    table.only(["store", "on_loss", *_KEYS[store]])
    options: dict[str, Any] = {"prefix": table.get("prefix", str), "wait": table.get("wait", float)}
    return StateSettings(
        cast('Literal["memory", "sqlite", "redis"]', store),
        path=folder / Path(table.need("path", str)).expanduser() if store == "sqlite" else None,
        url_env=table.get("url_env", str) or "REDIS_URL",
        on_loss=cast("OnStateLoss | None", table.one_of("on_loss", ["fail_closed", "fail_open"])),
        options={name: value for name, value in options.items() if value is not None},
    )
