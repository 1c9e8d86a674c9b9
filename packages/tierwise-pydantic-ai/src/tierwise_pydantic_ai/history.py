"""A history that one provider's model began, for another's.

Pydantic AI's models drop most of what is not theirs. What does reach the wire: another provider's thoughts, as
`<think>` in the text, and ids of tool calls that the target does not take.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelRequestPart, ModelResponse
from pydantic_ai.models import Model
from tierwise import Message
from tierwise.backends import ported

from tierwise_pydantic_ai.convert import from_core, part_to_core, response_to_core

__all__ = ["moved"]


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A response, or one part of a request: only a part that has to be written anew loses its own form."""

    native: ModelResponse | ModelRequestPart
    request: ModelRequest | None = None
    """The request that it is a part of, unless it was written here."""


def moved(messages: list[ModelMessage], model: Model) -> list[ModelMessage]:
    """The history as the model can read it; the list itself if nothing in it has to change."""
    if not any(isinstance(message, ModelResponse) for message in messages):
        return messages
    pieces = [piece for message in messages for piece in _pieces(message)]
    history = [(piece, _to_core(piece, model)) for piece in pieces]
    fit = ported(history, provider=model.system, write=_written)
    if len(fit) == len(pieces) and all(new is old for new, old in zip(fit, pieces, strict=True)):
        return messages
    return list(_messages(fit))


def _pieces(message: ModelMessage) -> Iterator[_Piece]:
    if isinstance(message, ModelResponse):
        yield _Piece(message)
        return
    for part in message.parts:
        yield _Piece(part, message)


def _to_core(piece: _Piece, model: Model) -> Sequence[Message]:
    if not isinstance(piece.native, ModelResponse):
        known = part_to_core(piece.native)
        return () if known is None else (known,)
    said = response_to_core(piece.native)
    # One vendor's model may come from several providers, and read what it wrote behind another of them.
    return (replace(said, origin=model.system) if model.accepts_stateless_artifacts(piece.native) else said,)


def _written(messages: Sequence[Message]) -> Iterator[_Piece]:
    for message in from_core(messages):
        if isinstance(message, ModelResponse):
            yield _Piece(message)
        else:
            yield from map(_Piece, message.parts)


def _messages(pieces: Iterable[_Piece]) -> Iterator[ModelMessage]:
    """The pieces as messages again: what belonged to one request still does, and what was written joins it."""
    parts: list[ModelRequestPart] = []
    request: ModelRequest | None = None
    for piece in pieces:
        response = isinstance(piece.native, ModelResponse)
        if parts and (response or (request is not None and piece.request not in (None, request))):
            yield _request(request, parts)
            parts, request = [], None
        if response:
            yield cast("ModelResponse", piece.native)
            continue
        parts.append(cast("ModelRequestPart", piece.native))
        request = request or piece.request
    if parts:
        yield _request(request, parts)


def _request(request: ModelRequest | None, parts: list[ModelRequestPart]) -> ModelRequest:
    return ModelRequest(parts) if request is None else replace(request, parts=parts)
