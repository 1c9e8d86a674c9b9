"""Which models? A ladder of up to three tiers: of the models you name, or of those that this machine has.

The frameworks build their models from `provider:name` themselves. What tells them where the local models are is the
environment, which is set for the length of the `with` block that a ladder comes from.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

from tierwise import Fleet, ModelSpec, Tier
from tierwise.errors import ConfigError, UnknownNameError
from tierwise.fleet.discovery import by_size, discover
from tierwise_ollama.facts import full_name
from tierwise_ollama.hosts import base_url

__all__ = ["CLOUD", "TIERS", "Ladder", "add_arguments", "chosen", "embedded", "local", "named", "pointed_at"]

TIERS = ("small", "code", "large")
"""Who looks, rewrites, filters and checks; who writes patches and answers; who plans and takes the hard cases."""

_SETTINGS: dict[str, Any] = {"temperature": 0.0, "seed": 1, "num_ctx": 2048}
"""Of local models, so that a run can be repeated. Providers in the cloud refuse some of these for some models."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """The models of a run, by tier.

    Raises:
        ConfigError: There is no model.
        UnknownNameError: A tier has none of the names of `TIERS`.
    """

    models: Mapping[str, str]
    """`provider:name` by tier, smallest first."""
    _: KW_ONLY
    url: str | None = None
    """Of the server of the local models; `None` if there are none."""
    facts: Mapping[str, ModelSpec] = field(default_factory=dict[str, ModelSpec], repr=False)
    """What that server says of its models (window, capabilities), by `provider:name`."""

    def __post_init__(self) -> None:
        if not self.models:
            raise ConfigError("a ladder needs at least one model", setting="models", value=self.models)
        for tier in self.models:
            _known(tier)

    @property
    def top(self) -> str:
        """The highest tier."""
        return list(self.models)[-1]

    def at(self, tier: str) -> str:
        """The tier of that name, or the highest if this ladder has none of that name.

        Raises:
            UnknownNameError: It is none of the names of `TIERS`.
        """
        return tier if _known(tier) in self.models else self.top

    def alone(self) -> Ladder:
        """The top tier without the others: what an agent runs on that is not routed."""
        return replace(self, models={self.top: self.models[self.top]})

    def fleet(self) -> Fleet:
        """The models with their settings: local ones answer the same request the same way."""
        return Fleet([Tier(tier, self._spec(model)) for tier, model in self.models.items()])

    def _spec(self, model: str) -> ModelSpec:
        spec = self.facts.get(model) or ModelSpec(model)
        return replace(spec, **_SETTINGS) if spec.provider == "ollama" else spec


def _known(tier: str) -> str:
    if tier not in TIERS:
        raise UnknownNameError("tier", tier, TIERS)
    return tier


CLOUD = Ladder(
    {"small": "openai:gpt-5-nano", "code": "anthropic:claude-haiku-4-5", "large": "anthropic:claude-opus-4-7"}
)
"""The models at whose list prices a run on local ones is billed, so that there is something to compare."""


@contextmanager
def pointed_at(url: str) -> Generator[str]:
    """Tells every framework where the Ollama is, for the length of a `with` block.

    Ollama's own client, LangChain and CrewAI read `OLLAMA_HOST`, Pydantic AI reads `OLLAMA_BASE_URL`.

    Args:
        url: The server's address, without a path.
    """
    told = {"OLLAMA_HOST": url, "OLLAMA_BASE_URL": f"{url}/v1"}
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield url
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def named(models: Mapping[str, str]) -> Generator[Ladder]:
    """A ladder of the models that you name; what the local Ollama says of its own is asked there.

    Args:
        models: `provider:name` by tier.
    """
    ladder = Ladder(models)
    if not any(model.startswith("ollama:") for model in ladder.models.values()):
        yield ladder
        return
    with pointed_at(base_url()) as url:
        has = {full_name(spec.name): spec for spec in by_size(discover().local)}
        told = ((model, has.get(full_name(model.removeprefix("ollama:")))) for model in models.values())
        yield replace(ladder, url=url, facts={model: replace(spec, id=model) for model, spec in told if spec})


@contextmanager
def embedded(models: int = len(TIERS)) -> Generator[Ladder]:
    """A ladder of the real models that the repository brings along, the smallest first.

    Args:
        models: How many of the three.

    Raises:
        ConfigError: They are not installed; the message says how to get them.
    """
    try:
        from tierwise_embedded import MODELS, spawn
    except ImportError:
        raise ConfigError(
            "no models were found: start an Ollama with at least two (https://ollama.com, then e.g. `ollama pull "
            "qwen2.5-coder:1.5b` and `ollama pull qwen2.5-coder:7b`), name some (--small, --code, --large), or install "
            "those of a clone of the repository (`uv pip install -e tools/embedded`)",
            setting="models",
        ) from None
    offered = list(MODELS)[:models]
    # All stay in memory: steps of one run go back and forth between them.
    with spawn(offered, max_loaded=len(offered)) as server, pointed_at(server.url) as url:
        yield _of(by_size(discover(ollama_host=url).local), url)


@contextmanager
def local() -> Generator[Ladder]:
    """A ladder of what this machine has: its Ollama's models, or those that the repository brings along.

    Raises:
        ConfigError: There are none; the message says how to get some.
    """
    found = by_size(discover().local)
    if len(found) > 1:
        with pointed_at(base_url()) as url:
            yield _of(_spread(found), url)
        return
    with embedded(_fetched()) as ladder:
        yield ladder


def _fetched() -> int:
    """How many of the models need no download, but two at least: more than a gigabyte is not fetched unasked."""
    try:
        from tierwise_embedded import DEFAULT_MODELS, MODELS, locate
    except ImportError:
        return 0
    return sum(name in DEFAULT_MODELS or locate(model) is not None for name, model in MODELS.items())


def _spread(models: Sequence[ModelSpec]) -> list[ModelSpec]:
    """The smallest, the one in the middle, and the largest."""
    return [models[0], *models[len(models) // 2 : -1][:1], models[-1]]


def _of(models: Sequence[ModelSpec], url: str) -> Ladder:
    by_tier: dict[str, str] = {tier: m.id for tier, m in zip(TIERS, models, strict=False)}
    return Ladder(by_tier, url=url, facts={m.id: m for m in models})


def add_arguments(parser: ArgumentParser) -> None:
    """Adds `--small`, `--code` and `--large` to a command line."""
    group = parser.add_argument_group(
        "models", "by default those that this machine has: an Ollama's, or the repository's"
    )
    for tier, purpose in zip(TIERS, ("looks and checks", "writes", "plans, and takes the hard cases"), strict=True):
        group.add_argument(f"--{tier}", metavar="PROVIDER:NAME", help=f"the model that {purpose}")


def chosen(arguments: Namespace) -> AbstractContextManager[Ladder]:
    """The ladder that a command line asks for: of the models that it names, or of what this machine has.

    Args:
        arguments: Those of a parser that `add_arguments` was given.
    """
    models = {tier: model for tier in TIERS if (model := getattr(arguments, tier)) is not None}
    return named(models) if models else local()
