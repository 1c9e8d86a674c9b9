"""The code of this package's README, and of the documentation where it uses the framework, as it stands there."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tierwise.testing.documents import Block, blocks, plausible
from tierwise.testing.provider import LoopbackProvider

PACKAGE = Path(__file__).parent.parent
FRAMEWORK = ("pydantic_ai", "tierwise_pydantic_ai")
"""What the packages are called whose examples are run here: the core's test of the documentation reads this."""
ROOT = PACKAGE.parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]


@pytest.fixture(autouse=True)
def own_loop() -> Iterator[None]:
    """An event loop that is closed at the end: Pydantic AI's sync methods would make one, and leave it open."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.mark.parametrize("block", [*blocks(PACKAGE / "README.md"), *blocks(*PAGES, importing=FRAMEWORK)], ids=str)
def test_the_code_runs(
    block: Block, tierwise_provider: LoopbackProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tierwise_provider.on("*", plausible)
    block.run()
    assert tierwise_provider.calls
