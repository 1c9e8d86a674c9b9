"""The same from a file: `tierwise.toml`."""

from tierwise.config.file import Config, LedgerSettings, load

__all__ = ["Config", "LedgerSettings", "load"]
