"""In what shape are calls made? A `Strategy` is a flow of attempts."""

from tierwise.strategies.base import Member, Strategy
from tierwise.strategies.cascade import Cascade, Single

__all__ = ["Cascade", "Member", "Single", "Strategy"]
