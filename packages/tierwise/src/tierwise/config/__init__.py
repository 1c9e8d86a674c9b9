"""The same from a file: `tierwise.toml`."""

from tierwise.config.file import Config, LedgerSettings, StateSettings, load

__all__ = ["Config", "LedgerSettings", "StateSettings", "load"]
