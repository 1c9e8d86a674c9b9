"""One agent on one bug or one question: what came of it, who was called, and what it would have cost."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeAlias

from tierwise import Router
from tierwise.errors import ConfigError
from tierwise.ledger.rows import Row

from tierwise_examples.billing import at_list_prices, rows_of
from tierwise_examples.cli import failures_of
from tierwise_examples.ladders import Ladder

__all__ = ["Case", "Trial", "Way", "cases_of", "load_agent", "tried"]

Way: TypeAlias = Literal["routed", "alone"]
"""On the whole ladder, or on its top tier alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run of an agent."""

    example: str
    """The agent's folder."""
    case: str
    """The bug or the question."""
    way: Way
    solved: bool
    why: str = ""
    """Why the agent gave up, or what it gave that is no solution."""
    calls: Mapping[str, int]
    """Of models, by tier; those that were refused are none."""
    cost: str | None
    """USD at the list prices of `CLOUD`, estimated; `None` if the tokens of a call are not known."""
    seconds: float
    longest: int
    """The tokens of the longest prompt."""


@dataclass(frozen=True, slots=True)
class Case:
    """A bug or a question, and an agent to work on it."""

    name: str
    run: Callable[[Ladder], tuple[Router, bool, str]]
    """Gives the router, whether the case was solved, and what kept the agent from it."""


def tried(example: str, case: Case, ladder: Ladder, way: Way = "routed") -> Trial:
    """Runs an agent once.

    Args:
        example: The agent's folder.
        case: What it works on.
        ladder: The models.
        way: Whether it runs on all of them.
    """
    used = ladder if way == "routed" else ladder.alone()
    began = time.monotonic()
    router, solved, why = case.run(used)
    seconds = time.monotonic() - began
    rows = [row for row in rows_of(router) if row.tier in used.models and row.state != "refused"]
    cost = at_list_prices(rows, used).cost
    return Trial(
        example=example,
        case=case.name,
        way=way,
        solved=solved,
        why="" if solved else why,
        calls=dict(Counter(row.tier for row in rows)),
        cost=None if cost is None else str(cost),
        seconds=round(seconds, 1),
        longest=max(map(_prompt, rows), default=0),
    )


def _prompt(row: Row) -> int:
    return (row.usage.input_tokens if row.usage else None) or 0


def cases_of(folder: Path) -> list[Case]:
    """What an agent is tried on, the easiest first: the seeded bugs, or the questions on the shipped papers.

    Args:
        folder: The agent's, whose `agent.py` has a function `fix` or `answer`, and may name in `FAILURES` the
            exceptions of its framework which say that it gave up.

    Raises:
        ConfigError: It has neither.
    """
    agent = load_agent(folder)
    if hasattr(agent, "fix"):
        return list(_bugs(agent))
    if hasattr(agent, "answer"):
        return list(_questions(agent))
    raise ConfigError(f"{folder}/agent.py has no function `fix` or `answer`", setting="folder", value=str(folder))


def load_agent(folder: Path) -> ModuleType:
    """The program `agent.py` of a folder.

    Raises:
        ConfigError: There is none.
    """
    path, name = folder / "agent.py", f"agent_{folder.name.replace('-', '_')}"
    spec = spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ConfigError(f"{folder} has no agent.py", setting="folder", value=str(folder))
    agent = module_from_spec(spec)
    # Classes of the agent are looked up in their module, by pydantic and by typing.
    sys.modules[name] = agent
    spec.loader.exec_module(agent)
    return agent


def _bugs(agent: Any) -> Iterable[Case]:
    from tierwise_examples.coding.bugs import seeded_bugs
    from tierwise_examples.coding.command import repaired
    from tierwise_examples.coding.workspace import Workspace

    def run(path: Path, ladder: Ladder) -> tuple[Router, bool, str]:
        with Workspace.copy(path) as workspace:
            repair, why = repaired(agent.fix, workspace, ladder, failures_of(agent))
            return repair.router, repair.solved, why or (repair.proof.summary if repair.proof else "no patch")

    return [Case(bug.name, partial(run, bug.path)) for bug in seeded_bugs()]


def _questions(agent: Any) -> Iterable[Case]:
    from tierwise_examples.research.command import answered
    from tierwise_examples.research.corpus import Corpus
    from tierwise_examples.research.inquiry import Inquiry
    from tierwise_examples.research.questions import Question, shipped_questions

    corpus = Corpus.shipped()

    def run(question: Question, ladder: Ladder) -> tuple[Router, bool, str]:
        inquiry = Inquiry(question.question, corpus, ladder)
        report, why = answered(agent.answer, inquiry, failures_of(agent))
        return inquiry.router, report is not None and question.met_by(report), why or str(report)

    return [Case(question.name, partial(run, question)) for question in shipped_questions()]
