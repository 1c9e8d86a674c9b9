"""The typed answers that the small steps give."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Queries", "Relevant", "Supported"]


class _Shape(BaseModel):
    """Has no other fields: small models go on inventing some."""

    model_config = ConfigDict(extra="forbid")


class Queries(_Shape):
    """Searches that would find the answer."""

    queries: list[Annotated[str, Field(max_length=40)]] = Field(min_length=1, max_length=2)


class Relevant(_Shape):
    """The numbers of the passages that help to answer."""

    passages: list[int] = Field(max_length=5)


class Supported(_Shape):
    """Whether the lines say what the claim says."""

    supported: bool
