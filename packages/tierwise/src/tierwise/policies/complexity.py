"""A modest guess at how hard a request is, from its words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tierwise.context import Context, Decision
from tierwise.errors import ConfigError
from tierwise.policies.base import Policy
from tierwise.policies.window import window
from tierwise.task import Task

__all__ = ["Complexity"]

_HEAD, _TAIL = 120, 60
"""Characters. So few that a request of ordinary length is read whole and a long one costs no more than that."""

_WORDS = {
    "reasoning": "analyse analyze architecture argue compare consider criticise debug derive design diagnose evaluate "
    "explain infer justify optimise optimize plan prove reason refactor strategy tradeoff tradeoffs trade-off "
    "trade-offs why",
    "conditions": "although assuming both constraint constraints each ensure every except given if must never only "
    "unless until whenever whereas without",
    "steps": "after afterwards before finally first fourth next second secondly then third thirdly",
}
_KINDS = {kind: frozenset(words.split()) for kind, words in _WORDS.items()}
_MARKS = frozenset("`{}[]<>=;|^\\∑∫√≤≥→∀∃")
_PUNCTUATION = ".,:;!?()\"'`*"

_LONG = 2000
"""Characters of a request that counts as fully long."""
_WEIGHTS = {"length": 0.25, "reasoning": 0.3, "conditions": 0.15, "steps": 0.15, "notation": 0.15}
_FULL = {"reasoning": 2, "conditions": 3, "steps": 3, "notation": 6}
"""How many of a kind count as all of it."""


class Complexity(Policy):
    """Spreads requests over the ladder by a score from 0 (plain) to 1 (involved).

    The score is a weighted sum of five figures from 0 to 1: the length of the latest request (0.25), words of
    reasoning (0.3), of conditions (0.15) and of steps (0.15), and signs of code or mathematics (0.15). All but the
    length are read from the request's first 120 and last 60 characters, so that a decision takes as long for 31,000
    characters as for 150. Nothing but the latest request counts: "hi" after a long system prompt is plain. The weights
    are hand-set; they are no estimate from data.

    **Keyword heuristics do not find hard prompts.** "Is 2,147,483,647 prime?" has no word of the lists, and "Explain
    why you must never, ever, say hi first" has many. A task's `job`, a table of outcomes (`LabelTable`) and evidence
    after the call tell more; use this where there is nothing else. The words are English.

    Args:
        tiers: The tiers to spread over, for the plainest requests first; the ladder by default.
        cuts: The scores, rising, at which each tier but the first begins; equal parts by default.

    Raises:
        ConfigError: `cuts` do not rise between 0 and 1, or are not one fewer than the tiers.
    """

    def __init__(self, tiers: Sequence[str] | None = None, *, cuts: Sequence[float] | None = None) -> None:
        self._tiers = None if tiers is None else tuple(tiers)
        self._cuts = None if cuts is None else tuple(cuts)
        if self._tiers is not None and not self._tiers:
            raise ConfigError("tiers=() must name at least one tier", setting="tiers", value=tiers)
        if self._cuts is None:
            return
        if self._tiers is None or len(self._cuts) != len(self._tiers) - 1:
            raise ConfigError(
                f"cuts={cuts!r} must be one fewer than the tiers that are named, tiers={tiers!r}",
                setting="cuts",
                value=cuts,
            )
        if list(self._cuts) != sorted({c for c in self._cuts if 0 < c < 1}):
            raise ConfigError(f"cuts={cuts!r} must rise between 0 and 1", setting="cuts", value=cuts)

    def decide(self, task: Task, context: Context) -> Decision | None:
        """See `Policy`."""
        figures = _figures(task.latest_request)
        score = sum(_WEIGHTS[name] * figure for name, figure in figures.items())
        tiers = self._tiers or [t.name for t in context.fleet.ladder]
        if self._cuts is None:
            place = min(int(score * len(tiers)), len(tiers) - 1)
        else:
            place = sum(score >= cut for cut in self._cuts)
        reason = f"the request scores {score:.2f} of 1"
        return Decision(tiers[place], rule="complexity", reason=reason, scores={"complexity": score, **figures})

    def refs(self) -> Iterable[str]:
        """See `Policy`."""
        return self._tiers or ()


def _figures(request: str) -> dict[str, float]:
    read = window(request, _HEAD, _TAIL)
    words = {word.strip(_PUNCTUATION) for word in read.lower().split()}
    found = {kind: len(words & listed) for kind, listed in _KINDS.items()}
    found["steps"] += request.count("?", 0, _HEAD)
    found["notation"] = len(_MARKS.intersection(read))
    return {
        "length": min(len(request) / _LONG, 1.0),
        **{name: min(count / _FULL[name], 1.0) for name, count in found.items()},
    }
