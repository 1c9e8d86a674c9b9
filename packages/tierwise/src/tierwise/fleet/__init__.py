"""What can answer, at what price? `Fleet`, `Tier`, `ModelSpec`, `Price`."""

from typing import TYPE_CHECKING

from tierwise.fleet.fleet import Fleet, Tier
from tierwise.fleet.model import Capability, ModelSpec
from tierwise.fleet.price import FREE, Cost, Price, Usage
from tierwise.lazy import lazily

if TYPE_CHECKING:
    from tierwise.fleet.discovery import CloudProvider, Discovery, LocalModel, discover
else:
    __getattr__ = lazily(
        __name__,
        {
            "CloudProvider": "discovery",
            "Discovery": "discovery",
            "LocalModel": "discovery",
            "discover": "discovery",
        },
    )

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
    "discover",
]
