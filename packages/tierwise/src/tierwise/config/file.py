"""`tierwise.toml`: a router from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

from tierwise.backends.base import Backend
from tierwise.backends.registry import installed
from tierwise.config.document import Document, Table
from tierwise.config.fleet import read_fleet
from tierwise.config.limits import LimitSettings, read_limits
from tierwise.config.policy import read_policy
from tierwise.config.state import StateSettings, read_state
from tierwise.config.strategy import read_strategy
from tierwise.errors import ConfigError, MissingExtraError
from tierwise.fleet.fleet import Fleet
from tierwise.policies.base import Policy
from tierwise.router import Router
from tierwise.state import State
from tierwise.strategies.base import Strategy

__all__ = ["Config", "LedgerSettings", "LimitSettings", "StateSettings", "load"]

_SECTIONS = (
    *("tiers", "specialists", "baseline", "prices", "rules", "policy", "strategy"),
    *("limits", "ledger", "state", "backends"),
)


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """Where calls are kept, and how."""

    path: Path
    _: KW_ONLY
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further arguments of `SQLiteLedger`."""


@dataclass(frozen=True, slots=True)
class Config:
    """What a file says. What it does not say has the defaults of `Router`."""

    path: Path
    fleet: Fleet
    _: KW_ONLY
    policy: Policy | None = None
    strategy: Strategy | None = None
    limits: LimitSettings | None = None
    ledger: LedgerSettings | None = None
    state: StateSettings | None = None
    backends: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Options for the installed backends, by provider prefix."""

    def router(self, **overrides: Any) -> Router:
        """A router as the file describes it.

        Args:
            **overrides: Arguments of `Router` that replace the file's; given backends replace those of the same prefix.

        Raises:
            ConfigFileError: A backend does not take its options, or the variable with the state's URL is not set; the
                message names file, line and option.
            MissingExtraError: The file sets up a backend, or a state, whose package is not installed.
            StateError: The file sets up a state that cannot be opened.
        """
        given: Mapping[str, Any] = overrides.pop("backends", None) or {}
        made = {name: self._backend(name, options) for name, options in self.backends.items() if name not in given}
        settings: dict[str, Any] = {"policy": self.policy, "strategy": self.strategy}
        if self.limits is not None:
            bound = self.limits.max_calls
            settings |= {"limits": self.limits.limits, "retry": self.limits.retry}
            settings |= {} if bound is None else {"max_calls": bound}
        if self.ledger is not None and "ledger" not in overrides:
            settings["ledger"] = self._ledger(self.ledger)
        if self.state is not None:
            settings |= {} if self.state.on_loss is None else {"on_state_loss": self.state.on_loss}
            settings |= {} if "state" in overrides else {"state": self._state(self.state)}
        return Router(overrides.pop("fleet", self.fleet), **(settings | overrides), backends={**made, **given})

    def _backend(self, prefix: str, options: Mapping[str, Any]) -> Backend:
        try:
            return installed(prefix, **options)
        except MissingExtraError:
            raise
        except ConfigError as error:
            named = [key for key in (error.value, error.setting) if isinstance(key, str) and key in options]
            raise Document(self.path).error(("backends", prefix, *named[:1]), str(error), error.value) from None

    def _state(self, settings: StateSettings) -> State:
        try:
            return settings.open()
        except MissingExtraError:
            raise
        except ConfigError as error:
            raise Document(self.path).error(("state", error.setting or "store"), str(error), error.value) from None

    def _ledger(self, settings: LedgerSettings) -> Any:
        from tierwise.ledger.sqlite import SQLiteLedger

        return SQLiteLedger(settings.path, **settings.options)


def load(path: str | Path = "tierwise.toml") -> Config:
    """Reads a `tierwise.toml`. Relative paths in it start at its own folder.

    Raises:
        ConfigFileError: The file cannot be read, or has a wrong setting; the message names file, line and, for a name
            that does not exist, the nearest that does.
    """
    document = Document(Path(path))
    root = document.root
    root.only(_SECTIONS)
    fleet = read_fleet(root)
    folder = document.path.resolve().parent
    return Config(
        document.path,
        fleet,
        policy=read_policy(root, fleet, folder),
        strategy=read_strategy(root, fleet),
        limits=read_limits(root.table("limits"), fleet),
        ledger=_ledger(root.table("ledger"), folder),
        state=read_state(root.table("state"), folder),
        backends=_backends(root.table("backends")),
    )


def _ledger(table: Table | None, folder: Path) -> LedgerSettings | None:
    if table is None:
        return None
    table.only(["path", "content", "on_error", "fsync"])
    options: dict[str, Any] = {
        "content": table.get("content", bool),
        "on_error": table.one_of("on_error", ["warn", "raise"]),
        "fsync": table.get("fsync", bool),
    }
    path = folder / Path(table.need("path", str)).expanduser()
    return LedgerSettings(path, options={name: value for name, value in options.items() if value is not None})


def _backends(table: Table | None) -> dict[str, Mapping[str, Any]]:
    if table is None:
        return {}
    found = {prefix: table.table(prefix) for prefix in table.keys}
    return {prefix: options.as_dict() for prefix, options in found.items() if options is not None}
