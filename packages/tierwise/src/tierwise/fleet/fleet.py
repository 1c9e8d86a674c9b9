"""What can answer? A `Fleet`: a ladder of tiers, and specialists beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from tierwise.errors import ConfigError, UnknownNameError
from tierwise.fleet.model import ModelSpec

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Fleet", "Tier"]


@dataclass(frozen=True, slots=True, init=False)
class Tier:
    """A rung of the ladder: models in order of preference; the later ones are fallbacks for the earlier.

    Args:
        name: The tier's name, e.g. `small`.
        models: Ids or specs, best first.

    Raises:
        ConfigError: There is no model, or one model stands twice.
    """

    name: str
    models: tuple[ModelSpec, ...]

    def __init__(self, name: str, models: Sequence[ModelSpec | str] | ModelSpec | str) -> None:
        given = [models] if isinstance(models, ModelSpec | str) else models
        specs = tuple(map(ModelSpec.of, given))
        if not name:
            raise ConfigError("a tier needs a name", setting="tier", value=name)
        if not specs:
            raise ConfigError(f"tier {name!r} needs at least one model", setting=name, value=models)
        keys = [m.key for m in specs]
        twice = next((k for k in keys if keys.count(k) > 1), None)
        if twice:
            raise ConfigError(f"tier {name!r} lists {twice!r} twice: give one an alias", setting=name, value=twice)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "models", specs)


@dataclass(frozen=True, slots=True, init=False)
class Fleet:
    """All models that a router may use.

    Args:
        tiers: The ladder, smallest first.
        specialists: Named tiers beside the ladder, e.g. `code` or `long`.
        baseline: The model that savings are measured against; the first model of the top tier if not given.

    Raises:
        ConfigError: There is no tier, or two have the same name.
        UnknownNameError: The baseline is no model of this fleet.
    """

    ladder: tuple[Tier, ...]
    specialists: tuple[Tier, ...]
    baseline: ModelSpec

    def __init__(
        self,
        tiers: Iterable[Tier],
        *,
        specialists: Iterable[Tier] | Mapping[str, Any] = (),
        baseline: ModelSpec | str | None = None,
    ) -> None:
        ladder = tuple(tiers)
        if not ladder:
            raise ConfigError("a fleet needs at least one tier", setting="tiers", value=())
        beside = _tiers(specialists)
        names = [t.name for t in (*ladder, *beside)]
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice:
            raise ConfigError(f"two tiers are named {twice!r}", setting="tiers", value=twice)
        put = object.__setattr__
        put(self, "ladder", ladder)
        put(self, "specialists", beside)
        put(self, "baseline", ladder[-1].models[0])
        if isinstance(baseline, ModelSpec):
            put(self, "baseline", baseline)
        elif baseline is not None:
            put(self, "baseline", self.find(baseline, where="baseline"))

    @classmethod
    def from_file(cls, path: str | Path = "tierwise.toml") -> Fleet:
        """Reads the `[tiers]` and `[specialists]` of a `tierwise.toml`.

        Raises:
            ConfigError: The file has a wrong setting; the message names the line.
        """
        from tierwise.config import load

        return load(path).fleet

    @classmethod
    def discover(cls, **options: Any) -> Fleet:
        """The models of the local Ollama, in tiers by size. `tierwise.fleet.discover` also tells what else there is.

        Cloud models cost money and take content away from this machine: none is used until it is named.

        Args:
            **options: Arguments of `tierwise.fleet.discover`.

        Raises:
            ConfigError: There is no local model; the message says how to get one.
        """
        from tierwise.fleet.discovery import discover

        return discover(**options).fleet

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all tiers: the ladder's, smallest first, then the specialists'."""
        return tuple(t.name for t in self.tiers)

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """All tiers: the ladder, smallest first, then the specialists."""
        return self.ladder + self.specialists

    @property
    def models(self) -> Iterator[ModelSpec]:
        """All models, smallest tier first."""
        return (m for t in self.tiers for m in t.models)

    def tier(self, name: str, *, where: str = "") -> Tier:
        """The tier of that name.

        Raises:
            UnknownNameError: There is none; the message names the nearest.
        """
        for tier in self.tiers:
            if tier.name == name:
                return tier
        raise UnknownNameError("tier", name, self.names, where=where)

    def find(self, key: str, *, where: str = "") -> ModelSpec:
        """The model with that alias or id.

        Raises:
            UnknownNameError: There is none; the message names the nearest.
        """
        for model in self.models:
            if key in (model.key, model.id):
                return model
        raise UnknownNameError("model", key, [m.key for m in self.models], where=where)

    def rank(self, name: str) -> int:
        """The place of a tier on the ladder, 0 for the smallest; specialists count as above the top."""
        for i, tier in enumerate(self.ladder):
            if tier.name == name:
                return i
        return len(self.ladder)

    def map(self, change: Callable[[ModelSpec], ModelSpec]) -> Fleet:
        """The same fleet with every model changed."""

        def changed(tiers: tuple[Tier, ...]) -> list[Tier]:
            return [Tier(t.name, [change(m) for m in t.models]) for t in tiers]

        return Fleet(changed(self.ladder), specialists=changed(self.specialists), baseline=change(self.baseline))


def _tiers(given: Iterable[Tier] | Mapping[str, Any]) -> tuple[Tier, ...]:
    if isinstance(given, Mapping):
        named = cast("Mapping[str, Any]", given)
        return tuple(Tier(name, models) for name, models in named.items())
    return tuple(given)
