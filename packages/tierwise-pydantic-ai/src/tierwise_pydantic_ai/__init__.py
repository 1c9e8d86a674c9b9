"""Tierwise in Pydantic AI: one model over a fleet of them, or a model of the fleet for each step."""

from tierwise_pydantic_ai.backend import PydanticAIBackend
from tierwise_pydantic_ai.capability import RoutingCapability
from tierwise_pydantic_ai.model import RoutedModel
from tierwise_pydantic_ai.receipts import receipt_of

__all__ = ["PydanticAIBackend", "RoutedModel", "RoutingCapability", "receipt_of"]
