"""The questions on the shipped papers, and what a right answer to each holds."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict

from tierwise_examples.research.reports import Report

__all__ = ["Question", "shipped_questions"]


class Question(BaseModel):
    """A question whose answer is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    question: str
    difficulty: str
    """What makes it as hard as it is."""
    expects: tuple[str, ...] = ()
    """Texts that stand in a right answer, all of them; of `a|b` one. None if the documents do not tell."""
    cites: tuple[str, ...] = ()
    """The files that a right answer stands on, all of them."""

    def met_by(self, report: Report) -> bool:
        """Whether the report answers the question, or says rightly that the documents do not tell."""
        if not self.expects:
            return not report.answered
        said = report.answer.casefold()
        held = all(any(word.casefold() in said for word in text.split("|")) for text in self.expects)
        return held and set(self.cites) <= {lines.file for claim in report.supported for lines in claim.lines}


def shipped_questions() -> list[Question]:
    """The questions, the easiest first."""
    told: dict[str, Any] = tomllib.loads(
        (files("tierwise_examples.research") / "questions.toml").read_text(encoding="utf-8")
    )
    return [Question(name=name, **about) for name, about in sorted(told.items())]
