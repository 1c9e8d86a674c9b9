"""`make examples`: runs the agents on real local models, each of them routed and on the top tier alone, and tabulates.

python -m tierwise_examples.measure run --form ci --json ci-langgraph.json examples/coding-langgraph
python -m tierwise_examples.measure table ci-*.json
"""

from __future__ import annotations

import json
import tomllib
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from tierwise_examples.ladders import Ladder, embedded
from tierwise_examples.tables import tables
from tierwise_examples.trials import Trial, Way, cases_of, tried

__all__ = ["FORMS", "Form", "main", "measured", "overruns"]


@dataclass(frozen=True, slots=True)
class Form:
    """How much is run."""

    models: int
    """How many of the repository's models, the smallest first."""
    cases: int | None
    """How many bugs and questions for each agent, the easiest first; all if `None`."""
    calls: int | None = None
    """The most calls of one run."""
    prompt: int | None = None
    """The most tokens of one prompt."""


FORMS = {"ci": Form(models=2, cases=1, calls=6, prompt=800), "full": Form(models=3, cases=None)}


def measured(folders: Iterable[Path], ladder: Ladder, cases: int | None = None) -> Iterator[Trial]:
    """Runs agents, each on its cases, routed and on the top tier alone.

    Args:
        folders: The agents'.
        ladder: The models.
        cases: How many cases each, the easiest first; all if not given.
    """
    for folder in folders:
        for case in cases_of(folder)[:cases]:
            for way in get_args(Way):
                yield tried(folder.name, case, ladder, way)


def overruns(trials: Iterable[Trial], form: Form) -> list[str]:
    """What a run took beyond its form, in words."""
    found: list[str] = []
    for trial in trials:
        what = f"{trial.example} on {trial.case} ({trial.way})"
        calls = sum(trial.calls.values())
        if form.calls is not None and calls > form.calls:
            found.append(f"{what} made {calls} calls, and {form.calls} are the most")
        if form.prompt is not None and trial.longest > form.prompt:
            found.append(f"{what} sent a prompt of {trial.longest} tokens, and {form.prompt} are the most")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line. `table` ends with status 1 if a run took more than its form allows.

    Args:
        arguments: Those of the command line; the process's own if not given.
    """
    parser = ArgumentParser(description="Runs the example agents on real local models, and tabulates what they did.")
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="run agents, in the environment of their framework")
    run.add_argument("folders", nargs="+", type=Path, help="the agents' folders")
    run.add_argument("--form", choices=FORMS, default="ci", help="one case on two models, or all on all three")
    run.add_argument("--json", type=Path, required=True, help="where the figures go")
    run.set_defaults(command=_run)
    table = commands.add_parser("table", help="print what was measured")
    table.add_argument("files", nargs="+", type=Path, help="what `run` wrote")
    table.add_argument("--into", type=Path, help="a page, between whose marks the tables go too")
    table.set_defaults(command=_table)
    asked = parser.parse_args(arguments)
    asked.command(asked)


def _run(asked: Namespace) -> None:
    form, trials = FORMS[asked.form], list[Trial]()
    patterns = {folder.name: _pattern(folder) for folder in asked.folders}
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    with embedded(form.models) as ladder:
        for trial in measured(asked.folders, ladder, form.cases):
            trials.append(trial)
            print(_line(trial), flush=True)
            # Written each time: a full run takes long, and what it has measured until it is stopped stays.
            written = {"form": asked.form, "models": dict(ladder.models), "patterns": patterns}
            written |= {"trials": [asdict(trial) for trial in trials]}
            asked.json.write_text(json.dumps(written, indent=1), encoding="utf-8")


def _line(trial: Trial) -> str:
    result = "solved" if trial.solved else f"not solved: {' '.join(trial.why.split())[:200]}"
    calls = ", ".join(f"{count} {tier}" for tier, count in trial.calls.items())
    return f"{trial.example} {trial.case} ({trial.way}, {calls}, {trial.seconds:.0f} s): {result}"


def _pattern(folder: Path) -> str:
    """What the framework shows there: the example's description."""
    with (folder / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]["description"]


def _table(asked: Namespace) -> None:
    found = [json.loads(file.read_text(encoding="utf-8")) for file in asked.files]
    trials = [Trial(**trial) for part in found for trial in part["trials"]]
    patterns = {name: pattern for part in found for name, pattern in part["patterns"].items()}
    text = tables(trials, Ladder(found[0]["models"]), patterns)
    print(text)
    if asked.into is not None:
        _put(asked.into, text)
    if found := overruns(trials, FORMS[found[0]["form"]]):
        raise SystemExit("\n".join(found))


def _put(page: Path, text: str) -> None:
    """Replaces what stands between the marks of a page."""
    before, begin, rest = page.read_text(encoding="utf-8").partition("<!-- measured -->\n")
    _, end, after = rest.partition("<!-- end of measured -->")
    if not end:
        raise SystemExit(f"{page} has no marks <!-- measured --> and <!-- end of measured -->")
    page.write_text(f"{before}{begin}\n{text}\n\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
