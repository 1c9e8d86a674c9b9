"""The code of this package's README, and of the documentation where it uses the framework, as it stands there."""

from pathlib import Path

import pytest
from tierwise.testing.documents import Block, blocks, plausible
from tierwise.testing.provider import LoopbackProvider

PACKAGE = Path(__file__).parent.parent
FRAMEWORK = ("langchain", "langgraph", "tierwise_langgraph")
"""What the packages are called whose examples are run here: the core's test of the documentation reads this."""
ROOT = PACKAGE.parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]


@pytest.mark.parametrize("block", [*blocks(PACKAGE / "README.md"), *blocks(*PAGES, importing=FRAMEWORK)], ids=str)
def test_the_code_runs(block: Block, tierwise_provider: LoopbackProvider) -> None:
    tierwise_provider.on("*", plausible)
    block.run()
    assert tierwise_provider.calls
