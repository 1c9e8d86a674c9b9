"""Typed answers, as the frameworks ask for them: as JSON in the text, or as the arguments of a tool made for them."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel
from tierwise.attempt import Outcome
from tierwise.schema import parse_output

__all__ = ["typed"]

Shape = TypeVar("Shape", bound=BaseModel)


def typed(shape: type[Shape], outcome: Outcome) -> Shape | None:
    """The typed answer, from the text or from the one tool call that carries it; `None` if there is none."""
    try:
        if outcome.tool_calls:
            return shape.model_validate(dict(outcome.tool_calls[0].arguments))
        return parse_output(shape, outcome.text)
    except ValueError:
        return None
