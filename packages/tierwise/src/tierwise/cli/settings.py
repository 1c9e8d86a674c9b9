"""What commands share: where the settings stand, and the router that they describe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tierwise.config import Config, load
from tierwise.errors import ConfigError

__all__ = ["ConfigPath", "LedgerPath", "Output", "ledger_path", "read"]

ConfigPath = Annotated[
    Path, Parameter(name=["--config", "-c"], env_var="TIERWISE_CONFIG", help="The file with the settings.")
]
LedgerPath = Annotated[
    Path | None, Parameter(name="--ledger", help="The ledger's file; the one that the settings name if not given.")
]
Output = Annotated[
    Path | None, Parameter(name=["--output", "-o"], help="Write to this file instead of standard output.")
]


def read(path: Path) -> Config:
    """The settings.

    Raises:
        ConfigError: There is no such file, or it has a wrong setting.
    """
    if not path.exists():
        raise ConfigError(f"there is no {path}: `tierwise init` writes one", setting="config", value=path)
    return load(path)


def ledger_path(given: Path | None, config: Path) -> tuple[Path, Config | None]:
    """The ledger's file, and the settings where there are any.

    Raises:
        ConfigError: None is given and the settings name none, or the file is not there.
    """
    settings = read(config) if config.exists() or given is None else None
    if given is None:
        if settings is None or settings.ledger is None:
            raise ConfigError(
                f"{config} names no ledger: add [ledger] with a path, or give --ledger FILE", setting="ledger"
            )
        given = settings.ledger.path
    if not given.exists():
        raise ConfigError(
            f"there is no ledger at {given}: nothing has been recorded yet", setting="ledger", value=given
        )
    return given, settings
