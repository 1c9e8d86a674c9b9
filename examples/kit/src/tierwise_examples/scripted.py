"""The deterministic form: a ladder over a real HTTP server on this machine whose answers are told by stage."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from pydantic import BaseModel
from tierwise.fleet.discovery import by_size, discover
from tierwise.testing.provider import Call, LoopbackProvider, RecordedCall, Reply, Request

from tierwise_examples.ladders import TIERS, Ladder, pointed_at

__all__ = ["Answer", "Call", "Reply", "Script", "Scripted", "scripted"]

Answer: TypeAlias = str | BaseModel | Call | Reply
"""A text, a typed answer, a tool call, or anything else that the provider can do."""

Told: TypeAlias = Answer | Sequence[Answer]
"""One answer, or several: each is given once, in order, and the last one again and again."""

Script: TypeAlias = Mapping[str, Told] | Mapping[str | tuple[str, str], Told]
"""Answers by words of the stage's prompt, or by these and a tier: `{("Write the patch", "code"): "wrong"}`."""


@dataclass(frozen=True, slots=True)
class Scripted:
    """A scripted ladder, and what reached it."""

    ladder: Ladder
    provider: LoopbackProvider

    @property
    def calls(self) -> list[RecordedCall]:
        """The calls that reached the models, in order."""
        return self.provider.calls

    @property
    def options(self) -> list[str]:
        """The words of a command line that name its models."""
        return [part for tier, model in self.ladder.models.items() for part in (f"--{tier}", model)]

    def tiers(self) -> list[str]:
        """The tiers that were called, in order."""
        tier_of = {model.partition(":")[2]: tier for tier, model in self.ladder.models.items()}
        return [tier_of[call.model] for call in self.calls]


@contextmanager
def scripted(script: Script, *, tiers: Iterable[str] = TIERS) -> Generator[Scripted]:
    """A ladder whose models answer as told.

    Args:
        script: The answers. A prompt that none is told for ends the block with an error.
        tiers: The ladder's, smallest first.
    """
    told: dict[str | tuple[str, str], list[Answer]] = {
        stage: list(cast("Sequence[Answer]", answer)) if _is_series(answer) else [cast("Answer", answer)]
        for stage, answer in script.items()
    }
    with LoopbackProvider() as provider:
        for rank, tier in enumerate(tiers, 1):
            name = f"scripted-{tier}"
            provider.on(name, _answering(tier, told))
            provider.describe(name, capabilities=("completion", "tools"), parameters=rank * 1_000_000_000)
        with pointed_at(provider.url) as url:
            specs = {spec.id: spec for spec in by_size(discover(ollama_host=url).local)}
            models = dict(zip(tiers, specs, strict=True))
            yield Scripted(Ladder(models, url=url, facts=specs), provider)


def _is_series(answer: Told) -> bool:
    return isinstance(answer, Sequence) and not isinstance(answer, str)


def _answering(tier: str, told: Mapping[str | tuple[str, str], list[Answer]]) -> Any:
    def answer(request: Request) -> Reply:
        answers = _stage(tier, told, request)
        return _reply(answers.pop(0) if len(answers) > 1 else answers[0], request)

    return answer


def _stage(tier: str, told: Mapping[str | tuple[str, str], list[Answer]], request: Request) -> list[Answer]:
    """The answers of the stage that the latest message belongs to: messages of earlier ones may stand before it."""
    for message in reversed(request.messages):
        said = _text(message.get("content"))
        for key, answers in sorted(told.items(), key=lambda item: isinstance(item[0], str)):
            stage, for_tier = (key, tier) if isinstance(key, str) else key
            if for_tier == tier and stage in said:
                return answers
    raise LookupError(f"no answer of {tier} is told for: {[_text(m.get('content'))[:200] for m in request.messages]}")


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(_text(part.get("text")) for part in cast("list[dict[str, Any]]", content))
    return content or ""


def _reply(answer: Answer, request: Request) -> Reply:
    match answer:
        case Reply():
            return answer
        case Call():
            return Reply(tool_calls=[answer])
        case str():
            return Reply(text=answer)
        case _:
            return _typed(answer.model_dump(mode="json"), request)


def _typed(value: dict[str, Any], request: Request) -> Reply:
    """A typed answer, as a call of the tool for it where the framework asks for it by one."""
    for tool in request.tools if request.schema is None else ():
        function: dict[str, Any] = tool["function"]
        if set(function["parameters"].get("properties", ())) == set(value):
            return Reply(tool_calls=[Call(function["name"], value)])
    return Reply(json=value)
