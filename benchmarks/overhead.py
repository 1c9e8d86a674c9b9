"""Prints what routing costs, beside a direct call of the same backend, in one run.

    python benchmarks/overhead.py

Rivals are measured too if they are installed in environments of their own (`make bench-rivals` does that). Figures are
medians in microseconds of wall time; only ratios carry over to another machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from added import KINDS, ON_REDIS, added
from rich.console import Console
from rich.table import Table
from tasks import STEPS

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / ".venvs"
RIVALS = {"cascadeflow": "bench-cascadeflow", "litellm": "bench-litellm"}

ROUTERS = {"off": "ledger off", "durable": "ledger durable", "traced": "telemetry on"}
"""The routers of `bench_tierwise.py`, and what the table calls them."""

Medians = dict[str, float]


def measured(python: str, file: str) -> Medians:
    """Runs one file of benchmarks and gives the median of each, in microseconds."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [python, "-m", "pytest", "-q", str(HERE / file), f"--benchmark-json={out}", "--benchmark-only"]
        command += ["-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={HERE}"]
        # The repository's own conftest asks for what only its own environments have.
        command += [f"--confcutdir={HERE}"]
        environment = os.environ | {"PYTHONPATH": str(HERE)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        # The exit status does not count: some clients fail at the interpreter's end, after the figures are out.
        if not out.exists():
            sys.exit(f"{file} failed:\n{done.stdout[-3_000:]}{done.stderr[-2_000:]}")
        rows = json.loads(out.read_text())["benchmarks"]
    return {row["name"].removeprefix("test_"): row["stats"]["median"] * 1e6 for row in rows}


def rival(name: str) -> Medians | None:
    """The medians of a rival; `None` if its environment is not there."""
    python = ENVIRONMENTS / RIVALS[name] / "bin" / "python"
    return measured(str(python), f"bench_{name}.py") if python.exists() else None


def decisions(console: Console, ours: Medians, cascadeflow: Medians | None) -> None:
    """Prints how long a decision takes, by the length of the request."""
    table = Table(title="A decision, microseconds (median)", title_justify="left")
    for column in ("", "150 characters", "3,000", "31,000", "31,000 : 150"):
        table.add_column(column, justify="left" if not column else "right")
    rows = [
        ("decide (default policy)", ours, "decide"),
        ("decide (rule, complexity)", ours, "decide_by_rules_and_complexity"),
    ]
    if cascadeflow:
        rows.append(("cascadeflow's detector", cascadeflow, "decide"))
    for label, medians, name in rows:
        short, middle, long = (medians[f"{name}[{length}]"] for length in (150, 3000, 31000))
        table.add_row(label, f"{short:,.1f}", f"{middle:,.1f}", f"{long:,.1f}", f"{long / short:.2f}")
    console.print(table)


def agents(console: Console, ours: Medians) -> None:
    """Prints how long a decision takes after a tool's result, by the length of the history."""
    table = Table(title="A decision after tools' results, microseconds (median)", title_justify="left")
    first, *_, last = STEPS
    for column in ("", *(f"{steps} step{'s' * (steps > 1)}" for steps in STEPS), f"{last} : {first}"):
        table.add_column(column, justify="left" if not column else "right")
    medians = [ours[f"decide_in_an_agent[{steps}]"] for steps in STEPS]
    table.add_row("decide (default policy)", *(f"{m:,.1f}" for m in medians), f"{medians[-1] / medians[0]:.2f}")
    console.print(table)


def calls(console: Console, ours: Medians, rivals: dict[str, Medians | None]) -> None:
    """Prints what a routed call costs over a direct one."""
    table = Table(title="A routed call, microseconds (median)", title_justify="left")
    for column in ("", "direct", "routed", "added"):
        table.add_column(column, justify="left" if not column else "right")
    for kind in ("sync", "async", "stream"):
        for router, label in ROUTERS.items():
            direct, routed = ours[f"direct_{kind}"], ours[f"routed_{kind}[{router}]"]
            table.add_row(f"{kind}, {label}", f"{direct:,.0f}", f"{routed:,.0f}", f"{routed - direct:,.0f}")
    for name, medians in rivals.items():
        for kind in ("sync", "async", "stream"):
            if medians and f"routed_{kind}" in medians:
                direct, routed = medians[f"direct_{kind}"], medians[f"routed_{kind}"]
                table.add_row(f"{name}, {kind}", f"{direct:,.0f}", f"{routed:,.0f}", f"{routed - direct:,.0f}")
    console.print(table)


def limits(console: Console) -> None:
    """Prints what limits add to a routed call: p50 of the differences of pairs, made in turns."""
    table = Table(title="Added by limits to a routed call, microseconds (p50)", title_justify="left")
    for column in ("", *KINDS):
        table.add_column(column, justify="left" if not column else "right")
    rows = dict(added())
    for label, medians in rows.items():
        table.add_row(label, *(f"{median:,.1f}" for median in medians))
    console.print(table)
    if ON_REDIS not in rows:
        console.print("limits on Redis are not measured: there is no redis-server on the PATH")


def main() -> None:
    """Measures and prints."""
    console = Console(width=110)
    ours = measured(sys.executable, "bench_tierwise.py")
    rivals = {name: rival(name) for name in RIVALS}
    decisions(console, ours, rivals["cascadeflow"])
    agents(console, ours)
    calls(console, ours, rivals)
    limits(console)
    for name, medians in rivals.items():
        if medians is None:
            console.print(f"{name} is not measured: `make bench-rivals` installs it in an environment of its own")


if __name__ == "__main__":
    main()
