"""What does an agent do, by what it is called? A word of its role, its goal or its tools may say its job."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tierwise.policies.jobs import JOBS

__all__ = ["JobHint", "job_hint"]

_WORDS = {
    "plan": "plan plans planner planning strategist strategy",
    "decide": "decide decides decider manager supervisor",
    "design": "architect architecture design designs designer",
    "review": "review reviews reviewer reviewing critic critique auditor evaluator",
    "analyze": "analyst analysis analyze analyzes analyse analyses",
    "code": "code coder coding developer programmer engineer implement implements",
    "test": "test tests tester testing qa",
    "write": "write writes writer writing author copywriter draft drafts",
    "transform": "convert converts converter transform transforms",
    "execute": "execute executes executor run runs runner",
    "rewrite": "rewrite rewrites editor proofreader",
    "summarize": "summarize summarizes summarizer summarise summarises summariser summary",
    "translate": "translate translates translator translation",
    "classify": "classify classifies classifier categorize triage",
    "extract": "extract extracts extractor scrape scraper",
    "parse": "parse parses parser",
    "format": "format formats formatter",
    "validate": "validate validates validator",
    "route": "dispatch dispatcher",
    "answer": "answer answers",
}
_JOB_OF = {word: job for job, words in _WORDS.items() for word in words.split()}

_RANK = {"reasoning": 0, "execution": 1, "orchestration": 2}
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[a-z]+")
_OPENING = 3
"""Words of a goal that are read: it opens with what is to be done, and goes on with what it is about."""


@dataclass(frozen=True, slots=True)
class JobHint:
    """A job, and the word that it stands on. It is a hint: nobody has said that the agent does this."""

    job: str
    word: str
    where: Literal["role", "goal", "tool"]

    def __str__(self) -> str:
        return f"{self.where}: {self.word}"


def job_hint(role: str, *, goal: str = "", tools: Iterable[str] = ()) -> JobHint | None:
    """The job that an agent's description names; `None` if no word of it is known (they are English ones).

    The role is read first; the goal only if the role says nothing, and the tools' names only if neither does. Of
    several words the one for the highest kind of job counts (a code reviewer reviews), then the first.

    Args:
        role: What the agent is called, e.g. `Senior Data Analyst`.
        goal: What it is to do; its first three words are read.
        tools: The names of its tools, e.g. `run_tests`.
    """
    texts: list[tuple[Literal["role", "goal", "tool"], list[str]]] = [
        ("role", _words(role)),
        ("goal", _words(goal)[:_OPENING]),
        ("tool", [word for tool in tools for word in _words(tool)]),
    ]
    for where, words in texts:
        known = [JobHint(_JOB_OF[word], word, where) for word in words if word in _JOB_OF]
        if known:
            return min(known, key=lambda hint: _RANK[JOBS[hint.job]])
    return None


def _words(text: str) -> list[str]:
    return _WORD.findall(_HUMP.sub(" ", text).lower())
