"""The page that lists the names lists all of them, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from tierwise.telemetry import names

PAGE = Path(__file__).parents[2] / "docs" / "telemetry.md"
SPANS = {names.SPAN_RUN, names.SPAN_CHECK}


def test_the_page_tells_every_name() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = "".join(line for line in text.splitlines() if line.startswith("| `"))
    listed = set(re.findall(r"`((?:tierwise|gen_ai|server|http|error)\.[a-z_.]+)`", rows))
    known = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    assert listed == known - SPANS
    assert all(f"`{name}`" in text or f"  {name} " in text for name in SPANS)
