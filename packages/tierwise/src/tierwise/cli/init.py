"""`tierwise init`: a first settings file from what this machine has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tierwise.cli.exits import Exit, UnreachableError
from tierwise.cli.screen import say, waiting
from tierwise.cli.settings import ConfigPath
from tierwise.cli.template import first_settings
from tierwise.errors import ConfigError
from tierwise.fleet.discovery import discover, ladder_of

__all__ = ["init"]

_DEFAULT = Path("tierwise.toml")


def init(
    *,
    config: ConfigPath = _DEFAULT,
    force: Annotated[bool, Parameter(help="Replace the file if it is there.", negative="")] = False,
    ollama_host: Annotated[str | None, Parameter(help="Where the Ollama is, if not at its usual address.")] = None,
) -> int:
    """Write a commented tierwise.toml from the models that the local Ollama has and the cloud keys that are set."""
    if config.exists() and not force:
        raise ConfigError(f"{config} is there already: --force replaces it", setting="config", value=config)
    with waiting("looking for models"):
        found = discover(ollama_host=ollama_host)
    for problem in found.problems:
        say(problem)
    tiers = ladder_of(found.local)
    if not tiers and not found.available:
        raise UnreachableError("no model was found and no cloud key is set, so there is nothing to write")
    config.write_text(first_settings(found, ollama_host), encoding="utf-8")
    say(f"wrote {config}: " + (", ".join(f"{t.name} ({len(t.models)})" for t in tiers) or "no tier yet: name a model"))
    for provider in found.available:
        say(f"{provider.variable} is set: {provider.prefix} is not used until you name a model of it in {config}")
    return Exit.DONE
