"""Tierwise in Pydantic AI: one model over a fleet of them."""

from tierwise_pydantic_ai.backend import PydanticAIBackend
from tierwise_pydantic_ai.model import RoutedModel

__all__ = ["PydanticAIBackend", "RoutedModel"]
