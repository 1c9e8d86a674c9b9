"""What can this machine use? The models of a local Ollama, and the cloud providers whose keys are set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import groupby
from typing import Protocol, cast

from tierwise.errors import BackendError, ConfigError, MissingExtraError
from tierwise.fleet.fleet import Fleet, Tier
from tierwise.fleet.model import ModelSpec

__all__ = ["KEYS", "CloudProvider", "Discovery", "LocalModel", "by_size", "discover", "ladder_of"]

KEYS: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "openai": ("OPENAI_API_KEY",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "mistral": ("MISTRAL_API_KEY",),
    "groq": ("GROQ_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY",),
    "xai": ("XAI_API_KEY",),
    "together_ai": ("TOGETHERAI_API_KEY", "TOGETHER_API_KEY"),
    "fireworks_ai": ("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"),
    "cerebras": ("CEREBRAS_API_KEY",),
    "cohere": ("COHERE_API_KEY",),
    "perplexity": ("PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"),
}
"""The environment variables in which each cloud provider's key is looked for. Only their names are ever read out."""

_BANDS: Mapping[str, float] = {"small": 14e9, "medium": 72e9, "large": float("inf")}
"""The number of weights below which a model is of that size: 1 to 8 billion are small, 22 to 70 medium, more large."""


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model that the local Ollama has."""

    spec: ModelSpec
    _: KW_ONLY
    parameters: int | None = None
    """The number of weights; `None` if the server does not say."""


@dataclass(frozen=True, slots=True)
class CloudProvider:
    """A cloud provider whose key is set."""

    prefix: str
    """What its models' ids begin with, e.g. `anthropic`."""
    variable: str
    """The environment variable that holds the key."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What this machine can use.

    Cloud models cost money and take content away from this machine: their providers are listed, and none is used until
    the user names a model of it.
    """

    local: tuple[LocalModel, ...]
    """The models of the local Ollama, the largest first."""
    available: tuple[CloudProvider, ...]
    """The cloud providers whose keys are set."""
    problems: tuple[str, ...]
    """Why something is not there, and how to mend it."""

    @property
    def fleet(self) -> Fleet:
        """A fleet of the local models that answer in text, in tiers by size.

        Raises:
            ConfigError: There is none; the message says how to get one.
        """
        tiers = ladder_of(self.local)
        if not tiers:
            raise ConfigError(
                "no local model was found: " + ("; ".join(self.problems) or "pull one, e.g. `ollama pull qwen3:4b`"),
                setting="fleet",
            )
        return Fleet(tiers)


def discover(*, ollama_host: str | None = None, environ: Mapping[str, str] | None = None) -> Discovery:
    """Looks for what this machine can use. Asks the local Ollama what it has, and no one else anything.

    Args:
        ollama_host: Where the Ollama is; `OLLAMA_HOST`, else its usual address, if not given.
        environ: Where keys are looked for; the process's environment if not given.
    """
    from tierwise.backends.registry import installed

    problems: list[str] = []
    local: list[LocalModel] = []
    try:
        backend = installed("ollama", **({} if ollama_host is None else {"host": ollama_host}))
        local = [LocalModel(model.spec, parameters=model.parameters) for model in cast("_Lists", backend).installed()]
        if not any(map(_answers, local)):
            problems.append("the local Ollama has no model that answers in text: pull one, e.g. `ollama pull qwen3:4b`")
    except (BackendError, MissingExtraError) as error:
        problems.append(str(error))
    problems += [
        f"{m.spec.id}: its size is not known, so it is in no tier: put it into one yourself"
        for m in local
        if m.parameters is None and _answers(m)
    ]
    return Discovery(
        tuple(sorted(local, key=lambda m: -(m.parameters or 0))),
        _available(os.environ if environ is None else environ),
        tuple(problems),
    )


def by_size(models: Sequence[LocalModel]) -> list[ModelSpec]:
    """The models that answer in text and whose size is known, smallest first."""
    known = [m for m in models if m.parameters is not None and _answers(m)]
    return [m.spec for m in sorted(known, key=lambda m: m.parameters or 0)]


def ladder_of(models: Sequence[LocalModel]) -> list[Tier]:
    """Tiers of models that answer in text, by size: small (1 to 8 billion weights), medium (22 to 70), large.

    In each tier the largest goes first. Models of one size alone would be one tier, with nowhere to climb to: then the
    largest of them is the upper of two.
    """
    known = [m for m in models if m.parameters is not None and _answers(m)]
    known.sort(key=lambda m: -(m.parameters or 0))
    tiers = [
        Tier(band, [m.spec for m in group]) for band, group in groupby(known, key=lambda m: _band(m.parameters or 0))
    ][::-1]
    if len(tiers) == 1 and known[0].parameters != known[-1].parameters:
        names = list(_BANDS)
        lower, upper = (names[0], names[1]) if tiers[0].name == names[0] else (names[0], tiers[0].name)
        top = [m.spec for m in known if m.parameters == known[0].parameters]
        return [Tier(lower, [m.spec for m in known if m.spec not in top]), Tier(upper, top)]
    return tiers


class _Found(Protocol):
    @property
    def spec(self) -> ModelSpec: ...
    @property
    def parameters(self) -> int | None: ...


class _Lists(Protocol):
    """A backend that can say which models its server has."""

    def installed(self) -> Sequence[_Found]: ...


def _band(parameters: int) -> str:
    return next(name for name, below in _BANDS.items() if parameters < below)


def _answers(model: LocalModel) -> bool:
    """False for models that only make embeddings, and for those that the server passes on to a cloud, which bills."""
    capabilities = model.spec.capabilities
    embeds_only = capabilities is not None and "embeddings" in capabilities and "json_schema" not in capabilities
    price = model.spec.price
    return not embeds_only and price is not None and price.is_free


def _available(environ: Mapping[str, str]) -> tuple[CloudProvider, ...]:
    found = ((prefix, next((name for name in names if environ.get(name)), None)) for prefix, names in KEYS.items())
    return tuple(CloudProvider(prefix, name) for prefix, name in found if name is not None)
