"""What every `State` has to do: what is reserved and settled adds up, whatever store keeps it.

Subclass `StateConformance` in a test file, and give it a state by the fixture `state`.
"""

from tierwise.testing.conformance.state.accounts import Accounts
from tierwise.testing.conformance.state.circuits import Circuits
from tierwise.testing.conformance.state.memories import Memories
from tierwise.testing.conformance.state.places import Places
from tierwise.testing.conformance.state.twins import Twins

__all__ = ["StateConformance"]


class StateConformance(Accounts, Places, Circuits, Memories, Twins):
    """The contract of a state. A subclass gives the fixture `state`, and `passes` where its clock can be set."""
