"""In what shape are calls made? A `Strategy` is a flow of attempts."""

from typing import TYPE_CHECKING

from tierwise.gates import act_only, prefix_logprob
from tierwise.lazy import lazily
from tierwise.strategies.base import Member, Strategy
from tierwise.strategies.cascade import Cascade, Single

if TYPE_CHECKING:
    from tierwise.strategies.best_of import BestOf
    from tierwise.strategies.observe import Observe
    from tierwise.strategies.perspectives import Perspectives
    from tierwise.strategies.sandwich import Sandwich
    from tierwise.strategies.specialists import Specialists
    from tierwise.strategies.vote import Vote
else:
    __getattr__ = lazily(
        __name__,
        {
            "BestOf": "best_of",
            "Observe": "observe",
            "Perspectives": "perspectives",
            "Sandwich": "sandwich",
            "Specialists": "specialists",
            "Vote": "vote",
        },
    )

__all__ = [
    "BestOf",
    "Cascade",
    "Member",
    "Observe",
    "Perspectives",
    "Sandwich",
    "Single",
    "Specialists",
    "Strategy",
    "Vote",
    "act_only",
    "prefix_logprob",
]
