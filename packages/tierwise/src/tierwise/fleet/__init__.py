"""What can answer, at what price? `Fleet`, `Tier`, `ModelSpec`, `Price`."""

from tierwise.fleet.discover import CloudProvider, Discovery, LocalModel
from tierwise.fleet.fleet import Fleet, Tier
from tierwise.fleet.model import Capability, ModelSpec
from tierwise.fleet.price import FREE, Cost, Price, Usage

__all__ = [
    "FREE",
    "Capability",
    "CloudProvider",
    "Cost",
    "Discovery",
    "Fleet",
    "LocalModel",
    "ModelSpec",
    "Price",
    "Tier",
    "Usage",
]
