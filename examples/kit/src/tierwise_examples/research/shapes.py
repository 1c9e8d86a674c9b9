"""The typed answers that the small steps give."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

__all__ = ["Queries", "Relevant", "Supported"]


class Queries(BaseModel):
    """Searches that would find the answer."""

    queries: list[Annotated[str, Field(max_length=40)]] = Field(min_length=1, max_length=2)


class Relevant(BaseModel):
    """The numbers of the passages that help to answer."""

    passages: list[int] = Field(max_length=5)


class Supported(BaseModel):
    """Whether the lines say what the claim says."""

    supported: bool
