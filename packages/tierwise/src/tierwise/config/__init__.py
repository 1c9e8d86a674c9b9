"""The same from a file: `tierwise.toml`."""

from tierwise.config.file import Config, LedgerSettings, LimitSettings, StateSettings, load

__all__ = ["Config", "LedgerSettings", "LimitSettings", "StateSettings", "load"]
