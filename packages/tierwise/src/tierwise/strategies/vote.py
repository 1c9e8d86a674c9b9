"""Ask several, and take what the majority says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tierwise.attempt import Outcome
from tierwise.context import Context
from tierwise.errors import ConfigError
from tierwise.flow import Flow, Stated, note
from tierwise.strategies.base import (
    Member,
    Strategy,
    answer_of,
    answers,
    as_members,
    member_refs,
    shown,
    tried,
    voices,
    with_verdict,
)
from tierwise.task import Task
from tierwise.verdict import Verdict
from tierwise.verifiers.agreement import comparable
from tierwise.verifiers.default import free_verifier

__all__ = ["Vote"]

_MAJORITY = 0.5


class Vote(Strategy):
    """Asks an odd number of voices side by side, and accepts what more than half of the ballots say.

    Ballots are equal if they are the same tool calls, the same typed output, the same JSON, the same number, or the
    same few words but for case and punctuation around them. Free prose cannot be compared so, and abstains, unless
    `normalise` makes something comparable of it. A voice that fails, that may not see the task, or whose answer is
    empty, refuses or has the wrong shape has no ballot either. Without a majority, or with too few ballots, the first
    of the leading answers is returned as unverified, so that a cascade goes up.

    Args:
        members: The voices: names of tiers or models, or strategies. The same one may have several.
        normalise: Turns an answer's text into what is compared, `None` if it cannot be.
        on_tie: Who answers where no answer has a majority; its answer is returned as unverified.
        quorum: The fewest ballots for a majority to count; more than half of the members by default.

    Raises:
        ConfigError: There are fewer than two members, or an even number of them and no `on_tie`, or the quorum is none.
    """

    def __init__(
        self,
        members: Sequence[Member],
        normalise: Callable[[str], Any] | None = None,
        *,
        on_tie: Member | None = None,
        quorum: int | None = None,
    ) -> None:
        self._members = as_members(members, least=2)
        size = len(self._members)
        if size % 2 == 0 and on_tie is None:
            raise ConfigError(
                f"members={self._members!r}: {size} can tie; give an odd number, or say who decides with on_tie",
                setting="members",
                value=self._members,
            )
        if quorum is not None and not 1 <= quorum <= size:
            raise ConfigError(f"quorum={quorum!r} must be between 1 and {size}", setting="quorum", value=quorum)
        self._normalise = normalise
        self._on_tie = on_tie
        self._free = free_verifier()
        self._quorum = size // 2 + 1 if quorum is None else quorum

    def flow(self, task: Task, context: Context) -> Flow[Outcome]:
        """See `Strategy`."""
        results = yield from voices(self._members, task, context, purpose="vote", name="vote")
        given = answers(results)
        sound: list[Outcome] = []
        for outcome in given:
            verdict = outcome.verdict or self._free.check(task, outcome)
            if verdict.rejected:
                given[given.index(outcome)] = yield from with_verdict(outcome, verdict)
            else:
                sound.append(outcome)
        count = _Count([(o, self._ballot(task, o)) for o in sound], len(given) - len(sound), len(results) - len(given))
        won = count.share > _MAJORITY and count.cast >= self._quorum
        text = f"{count}: {self._how(count, won)}"
        yield from note(Stated(f"vote: {text}", count.data))
        if not won and self._on_tie is not None:
            deciding = answer_of(
                self._on_tie, task, context, purpose="answer", show=shown(task), reason=f"vote: {text}"
            )
            decided = yield from tried(deciding)
            if isinstance(decided, Outcome):
                return (yield from with_verdict(decided, Verdict("abstain", f"{text}; decided after it", **_FIELDS)))
        if not sound:
            return given[0]
        score = count.share if count.cast else None
        verdict = Verdict("accept" if won else "abstain", text, score=score, **_FIELDS)
        return (yield from with_verdict(count.leader, verdict))

    def refs(self) -> Iterable[str]:
        """See `Strategy`."""
        return member_refs([*self._members, self._on_tie])

    def _how(self, count: _Count, won: bool) -> str:
        if won:
            return "a majority"
        return f"too few for the quorum of {self._quorum}" if count.cast < self._quorum else "no majority"

    def _ballot(self, task: Task, outcome: Outcome) -> Any:
        if self._normalise is None or outcome.tool_calls or task.output_schema is not None:
            return comparable(task, outcome)
        return self._normalise(outcome.text)


_FIELDS: dict[str, Any] = {"verifier": "Vote", "quotes": False}


class _Count:
    """The ballots, counted; among equals the earlier comes first."""

    def __init__(self, ballots: Sequence[tuple[Outcome, Any]], rejected: int, failed: int) -> None:
        cast = [ballot for _, ballot in ballots if ballot is not None]
        votes = [0 if ballot is None else cast.count(ballot) for _, ballot in ballots]
        self._ballots = ballots
        self._leads = votes.index(max(votes)) if votes else 0
        self.cast = len(cast)
        self.share = max(votes) / len(cast) if cast else 0.0
        self.data: dict[str, int] = {
            "leading": max(votes, default=0),
            "cast": len(cast),
            "abstained": len(ballots) - len(cast),
            "rejected": rejected,
            "failed": failed,
        }

    @property
    def leader(self) -> Outcome:
        return self._ballots[self._leads][0]

    def __str__(self) -> str:
        parts = [f"{self.data['leading']} of {self.cast} ballots agree"]
        parts += [f"{self.data[name]} {name}" for name in ("abstained", "rejected", "failed") if self.data[name]]
        return ", ".join(parts)
