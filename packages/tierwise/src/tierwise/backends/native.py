"""What the backends of framework adapters share: which model object stands for which model, and histories that move."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import is_
from typing import TypeVar

from tierwise.backends.base import Backend
from tierwise.backends.clients import credential_of, retries_of
from tierwise.backends.history import portable
from tierwise.errors import ConfigError, UnknownNameError
from tierwise.fleet.fleet import Fleet
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import FREE, Price
from tierwise.messages import Message
from tierwise.task import Trust

__all__ = ["NativeBackend", "native_models", "ported"]

M = TypeVar("M")
N = TypeVar("N")


class NativeBackend(Backend):
    """Calls a framework's own model objects. An Ollama on this machine is local and free; others are unknown."""

    @abstractmethod
    def is_local(self, model: ModelSpec) -> bool:
        """True if the object for the model is an Ollama's that runs it here: other servers may be gateways."""

    def target(self, model: ModelSpec) -> object:
        """The framework's object for the model; it is only looked at. None by default."""
        return None

    def credential(self, model: ModelSpec) -> str | None:
        """See `Backend`."""
        return credential_of(self.target(model))

    def client_retries(self, model: ModelSpec) -> int:
        """See `Backend`. The objects are the user's own, and are left as they are."""
        return retries_of(self.target(model))

    def trust(self, model: ModelSpec) -> Trust | None:
        """See `Backend`."""
        return "local" if self.is_local(model) else None

    def price(self, model: ModelSpec) -> Price | None:
        """See `Backend`."""
        return FREE if self.is_local(model) else None


def native_models(fleet: Fleet, given: Mapping[str, M], make: Callable[[ModelSpec], M]) -> dict[str, M]:
    """The framework's model object for each model of the fleet, by the model's key.

    Args:
        fleet: The fleet.
        given: Model objects by a model's alias or id, or by the name of a tier that has one model.
        make: Makes the object for a model that is not among them.

    Raises:
        UnknownNameError: A name stands for nothing in the fleet; the message names the nearest.
        ConfigError: A name stands for a tier of several models.
    """
    chosen: dict[str, M] = {}
    for name, model in given.items():
        for spec in _named(fleet, name):
            chosen[spec.key] = model
    return {spec.key: chosen[spec.key] if spec.key in chosen else make(spec) for spec in fleet.models}


def _named(fleet: Fleet, name: str) -> list[ModelSpec]:
    specs = [m for m in fleet.models if name in (m.key, m.id)]
    if specs:
        return specs
    tier = next((t for t in fleet.tiers if t.name == name), None)
    if tier is None:
        raise UnknownNameError("tier or model", name, [*fleet.names, *(m.key for m in fleet.models)], where="models")
    if len(tier.models) > 1:
        keys = ", ".join(repr(m.key) for m in tier.models)
        raise ConfigError(
            f"models[{name!r}] stands for a tier of several models: name them apart: {keys}",
            setting="models",
            value=name,
        )
    return list(tier.models)


def ported(
    history: Sequence[tuple[N, Sequence[Message]]],
    *,
    provider: str,
    write: Callable[[Sequence[Message]], Iterable[N]],
    cache: bool = False,
    alternating: bool = False,
) -> list[N]:
    """A framework's own messages as a model of the provider can read them: `portable` for what an adapter holds.

    What `portable` leaves as it is keeps its native form, object for object; only what it changes or adds is written
    anew. A native message that stands for several messages (a request with the results of several tools) is kept if
    all of them are, and written anew as a whole otherwise. One that stands for none keeps its place.

    Args:
        history: The native messages in their order, each with the messages that it stands for. No message may stand
            there twice.
        provider: The target, as in a model's id; see `portable`.
        write: Writes a run of messages in the native form.
        cache: Whether the target reads cache markers.
        alternating: Whether the target takes no two messages of the same role in a row.
    """
    own = [message for _, messages in history for message in messages]
    said = portable(own, provider=provider, cache=cache, alternating=alternating)
    if len(said) == len(own) and all(map(is_, said, own)):
        return [native for native, _ in history]
    return list(_rewritten(history, said, write))


def _rewritten(
    history: Sequence[tuple[N, Sequence[Message]]],
    said: Sequence[Message],
    write: Callable[[Sequence[Message]], Iterable[N]],
) -> Iterator[N]:
    places = {id(messages[0]): place for place, (_, messages) in enumerate(history) if messages}
    changed: list[Message] = []
    at = following = 0
    while at < len(said):
        place = places.get(id(said[at]))
        kept = 0 if place is None else _unchanged(history[place][1], said, at)
        if place is None or not kept:
            changed.append(said[at])
            at += 1
            continue
        yield from write(changed) if changed else ()
        yield from _bare(history[following:place])
        yield history[place][0]
        changed, at, following = [], at + kept, max(following, place + 1)
    yield from write(changed) if changed else ()
    yield from _bare(history[following:])


def _unchanged(messages: Sequence[Message], said: Sequence[Message], at: int) -> int:
    """How many messages these are, if all of them stand in `said` from `at` on as they were; else none."""
    here = said[at : at + len(messages)]
    return len(here) if len(here) == len(messages) and all(map(is_, here, messages)) else 0


def _bare(history: Iterable[tuple[N, Sequence[Message]]]) -> Iterator[N]:
    return (native for native, messages in history if not messages)
