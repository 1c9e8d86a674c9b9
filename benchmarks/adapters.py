"""Prints what a routed model costs in each framework, beside the framework's own bare model, in one run.

    python benchmarks/adapters.py

Each framework is measured in its own environment, and cascadeflow's adapters in one that `make bench-adapters` makes.
Figures are medians in microseconds of wall time; only ratios carry over to another machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from overhead import measured
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / ".venvs"
RIVALS = ENVIRONMENTS / "bench-adapters"
LABELS = {
    "tierwise": "Tierwise",
    "routed": "Tierwise, shown live",
    "checked": "Tierwise, held and judged by a function",
    "fallback": "FallbackModel",
    "cascadeflow": "cascadeflow",
    "told_routed": "Tierwise, live, over an LLM that tells of its calls",
    "told_checked": "Tierwise, judged, over an LLM that tells of its calls",
}

Figures: TypeAlias = "dict[str, dict[str, float | str]]"
"""For each way of asking, the medians by name (`bare`, `routed`, ...); an error in place of one that fails."""


def printed(environment: Path, script: str, *arguments: str) -> Figures:
    """What a script prints as JSON."""
    environ = os.environ | {"PYTHONPATH": str(HERE)}
    command = [environment / "bin" / "python", HERE / script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    if done.returncode:
        sys.exit(f"{script} failed:\n{done.stdout[-3_000:]}{done.stderr[-2_000:]}")
    return json.loads(done.stdout)


def benchmarked(environment: Path, file: str, name: str) -> Figures:
    """What a file of pytest's benchmarks measures: `direct_*` is the bare model, `routed_*` goes by the name given."""
    medians = measured(str(environment / "bin" / "python"), file)
    return {
        way: {"bare": medians[f"direct_{way}"], name: medians[f"routed_{way}"]} for way in ("sync", "async", "stream")
    }


def langchain() -> Iterator[Figures]:
    """LangChain's chat models."""
    yield benchmarked(ENVIRONMENTS / "langgraph", "bench_langgraph.py", "tierwise")
    if RIVALS.exists():
        yield benchmarked(RIVALS, "bench_cascadeflow_langchain.py", "cascadeflow")


def crewai() -> Iterator[Figures]:
    """CrewAI's LLMs; cascadeflow has none of its own there, it listens."""
    yield printed(ENVIRONMENTS / "crewai", "bench_crewai.py")


def pydantic_ai() -> Iterator[Figures]:
    """Pydantic AI's models."""
    yield printed(ENVIRONMENTS / "pydantic-ai", "bench_pydantic_ai.py")
    if RIVALS.exists():
        yield printed(RIVALS, "bench_pydantic_ai.py", "cascadeflow")


def rows(figures: Figures) -> Iterator[tuple[str, str, float, float | str]]:
    """Way, name, the bare model's median and the median over it; what tells of its calls is compared with its like."""
    for way, medians in figures.items():
        for name, median in medians.items():
            if name in LABELS:
                bare = medians["told" if name.startswith("told_") else "bare"]
                assert isinstance(bare, float)
                yield way, LABELS[name], bare, median


def table(title: str, figures: list[Figures]) -> Table:
    """One framework's figures."""
    shown = Table(title=f"{title}, microseconds (median)", title_justify="left")
    for column in ("", "", "bare", "with it", "added", "with : bare"):
        shown.add_column(column, justify="left" if not column else "right")
    for way, label, bare, median in (row for one in figures for row in rows(one)):
        if isinstance(median, str):
            shown.add_row(way, label, f"{bare:,.0f}", "fails", "", "")
            continue
        cells = (f"{bare:,.0f}", f"{median:,.0f}", f"{median - bare:,.0f}", f"{median / bare:.1f}")
        shown.add_row(way, label, *cells)
    return shown


def main() -> None:
    """Measures and prints."""
    console = Console(width=120)
    for title, measure in {"LangChain": langchain, "CrewAI": crewai, "Pydantic AI": pydantic_ai}.items():
        console.print(table(title, list(measure())))
    if not RIVALS.exists():
        console.print("cascadeflow is not measured: `make bench-adapters` installs it in an environment of its own")


if __name__ == "__main__":
    main()
