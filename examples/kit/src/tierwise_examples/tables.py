"""What was measured, as tables in Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from tierwise.ledger.render.cells import money

from tierwise_examples.billing import note
from tierwise_examples.ladders import Ladder
from tierwise_examples.trials import Trial

__all__ = ["tables"]

_FRAMEWORKS = {"langgraph": "LangGraph", "crewai": "CrewAI", "pydantic-ai": "Pydantic AI"}


def tables(trials: Sequence[Trial], ladder: Ladder, patterns: Mapping[str, str]) -> str:
    """One line for each agent, then one for each of its cases.

    Args:
        trials: What was run.
        ladder: The models.
        patterns: What each agent shows, by its folder.
    """
    legend = f"Calls are {' + '.join(ladder.models)}. {note(ladder)} `alone` is the same agent on {_top(ladder)} alone."
    return "\n\n".join([_agents(trials, ladder, patterns), _cases(trials, ladder), legend])


def _top(ladder: Ladder) -> str:
    return ladder.models[ladder.top]


def _agents(trials: Sequence[Trial], ladder: Ladder, patterns: Mapping[str, str]) -> str:
    heads = ("example", "framework", "pattern", "solved", "calls", "cost", "solved alone", "calls alone", "cost alone")
    lines: list[tuple[str, ...]] = []
    for example in dict.fromkeys(trial.example for trial in trials):
        kind, _, framework = example.partition("-")
        routed, alone = (_sum(_of(trials, example, way), ladder) for way in ("routed", "alone"))
        named = (f"[{kind}]({example})", _FRAMEWORKS.get(framework, framework), patterns.get(example, ""))
        lines.append((*named, *routed, *alone))
    return _markdown(heads, lines)


def _cases(trials: Sequence[Trial], ladder: Ladder) -> str:
    heads = (
        "case",
        "example",
        "solved",
        "calls",
        "cost",
        "time",
        "solved alone",
        "calls alone",
        "cost alone",
        "time alone",
    )
    lines: list[tuple[str, ...]] = []
    for case, example in dict.fromkeys(sorted((trial.case, trial.example) for trial in trials)):
        line = [case, example]
        for way in ("routed", "alone"):
            trial = next((t for t in _of(trials, example, way) if t.case == case), None)
            line += ["not run", "", "", ""] if trial is None else _one(trial, ladder)
        lines.append(tuple(line))
    return _markdown(heads, sorted(lines, key=lambda line: (line[1].partition("-")[0], line[0])))


def _one(trial: Trial, ladder: Ladder) -> list[str]:
    _, calls, cost = _sum([trial], ladder)
    return ["yes" if trial.solved else "no", calls, cost, f"{trial.seconds:.0f} s"]


def _of(trials: Iterable[Trial], example: str, way: str) -> list[Trial]:
    return [trial for trial in trials if trial.example == example and trial.way == way]


def _sum(trials: Sequence[Trial], ladder: Ladder) -> tuple[str, str, str]:
    """How many cases were solved, the calls by tier, and the cost."""
    solved = f"{sum(trial.solved for trial in trials)} of {len(trials)}"
    calls = sum((Counter(trial.calls) for trial in trials), Counter[str]())
    costs = [trial.cost for trial in trials]
    known = sum((Decimal(cost) for cost in costs if cost is not None), Decimal(0))
    return solved, " + ".join(str(calls[tier]) for tier in ladder.models), _usd(known, costs.count(None))


def _usd(known: Decimal, unknown: int) -> str:
    return money(known) if not unknown else f"{money(known)} and {unknown} unknown"


def _markdown(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    table = [heads, ["---"] * len(heads), *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in table)
