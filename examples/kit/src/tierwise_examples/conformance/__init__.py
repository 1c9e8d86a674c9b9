"""Suites that the agents pass, whatever their framework: the tiers they call, and what a hostile repository gets.

Subclass one in an agent's `test_agent.py`, and set its `agent` to the program.
"""

import pytest

# Before they are imported: a failed assertion then shows what was compared.
pytest.register_assert_rewrite("tierwise_examples.conformance.coding", "tierwise_examples.conformance.research")

from tierwise_examples.conformance.coding import CodingConformance  # noqa: E402
from tierwise_examples.conformance.research import ResearchConformance  # noqa: E402

__all__ = ["CodingConformance", "ResearchConformance"]
