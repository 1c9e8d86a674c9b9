r"""Was the answer good? A verifier accepts, rejects or abstains, after the call.

| A | B | `A & B` | `A \| B` |
|---|---|---|---|
| accept | accept | accept | accept (B is not asked) |
| accept | reject | reject | accept (B is not asked) |
| accept | abstain | accept | accept (B is not asked) |
| reject | accept | reject | accept |
| reject | reject | reject | reject |
| reject | abstain | reject | reject |
| abstain | accept | accept | accept |
| abstain | reject | reject | reject |
| abstain | abstain | abstain | abstain |

A conclusive verdict ends the matter: nothing that calls a model is asked any more, and in `|` nothing at all. In `&` a
rejection ends it, and what costs less is asked first; after a conclusive acceptance the checks that call no model are
still asked, for they were written to be, and may still reject. `check` and `flow` follow the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import IntEnum
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from tierwise.attempt import Outcome
from tierwise.context import Context
from tierwise.errors import ConfigError
from tierwise.flow import Flow
from tierwise.functions import needs_two, plain_function
from tierwise.task import Task
from tierwise.values import evolve
from tierwise.verdict import Verdict

__all__ = ["AllOf", "AnyOf", "Expense", "FunctionVerifier", "Verifier", "VerifierLike", "as_verifier"]


class Expense(IntEnum):
    """What asking a verifier costs; `&` asks in this order."""

    FREE = 0
    """Reads the answer."""
    LOCAL = 1
    """Runs something on this machine."""
    MODEL = 2
    """Calls a model."""


class Verifier:
    """Judges an answer.

    A verifier that only reads the answer overrides `check`. One that has to call a model overrides `flow`, and says so
    by its `expense`.
    """

    expense: Expense = Expense.FREE
    quotes: bool = True
    """Whether this verifier's evidence may repeat words of the request, of a model or of a program; see `Verdict`."""

    @property
    def name(self) -> str:
        """The name that a receipt shows."""
        return type(self).__name__

    def check(self, task: Task, outcome: Outcome) -> Verdict:
        """What can be said without any call; abstains by default."""
        return self.abstain("needs a call")

    def flow(self, task: Task, outcome: Outcome, context: Context) -> Flow[Verdict]:
        """The verdict, calling models where needed."""
        return self.check(task, outcome)
        yield ()

    def refs(self) -> Iterable[str]:
        """The tiers and models that this verifier names; a router checks them at start-up."""
        return ()

    @property
    def wants_logprobs(self) -> bool:
        """Whether drafts are to be asked for with their tokens' log probabilities."""
        return False

    def accept(self, evidence: str, *, conclusive: bool = False, **fields: Any) -> Verdict:
        """A verdict of this verifier."""
        return self._verdict("accept", evidence, conclusive=conclusive, **fields)

    def reject(self, evidence: str, *, conclusive: bool = False, **fields: Any) -> Verdict:
        """A verdict of this verifier."""
        return self._verdict("reject", evidence, conclusive=conclusive, **fields)

    def abstain(self, evidence: str, **fields: Any) -> Verdict:
        """A verdict of this verifier."""
        return self._verdict("abstain", evidence, **fields)

    def _verdict(
        self,
        result: Literal["accept", "reject", "abstain"],
        evidence: str,
        *,
        conclusive: bool = False,
        quotes: bool | None = None,
        **fields: Any,
    ) -> Verdict:
        quotes = self.quotes if quotes is None else quotes
        if not quotes and not fields:
            return _plain(result, evidence, self.name, conclusive)
        own: dict[str, Any] = {"verifier": self.name} | fields
        return Verdict(result, evidence, conclusive=conclusive, quotes=quotes, **own)

    def __and__(self, other: VerifierLike) -> Verifier:
        """Rejects if either rejects, accepts if one accepts and none rejects."""
        return AllOf(self, other)

    def __rand__(self, other: VerifierLike) -> Verifier:
        return AllOf(other, self)

    def __or__(self, other: VerifierLike) -> Verifier:
        """Asks the other only if this one did not accept."""
        return AnyOf(self, other)

    def __ror__(self, other: VerifierLike) -> Verifier:
        return AnyOf(other, self)


@lru_cache(maxsize=256)
def _plain(result: Literal["accept", "reject", "abstain"], evidence: str, verifier: str, conclusive: bool) -> Verdict:
    """A verdict that repeats nobody's words. There are few, and every run gives most of them again."""
    return Verdict(result, evidence, verifier=verifier, conclusive=conclusive, quotes=False)


VerifierLike: TypeAlias = "Verifier | Callable[..., bool | Verdict | None]"
"""A verifier, or a function of the outcome (or of task and outcome) that says yes, no, or `None` to abstain."""


def as_verifier(value: VerifierLike) -> Verifier:
    """Accepts a verifier or a plain function.

    Raises:
        ConfigError: It is neither.
    """
    if isinstance(value, Verifier):
        return value
    if callable(value):
        return FunctionVerifier(value)
    raise ConfigError(f"{value!r} is no verifier: give a Verifier or a function", setting="verifier", value=value)


class FunctionVerifier(Verifier):
    """A plain, quick function as a verifier; for one that is slow or runs something, use `Check`.

    Args:
        function: Takes the outcome, or task and outcome; gives a `Verdict`, a boolean, or `None` to abstain.
    """

    def __init__(self, function: Callable[..., bool | Verdict | None]) -> None:
        self._function = function
        self._name = plain_function("verifier", function)
        self._takes_task = needs_two(function)

    @property
    def name(self) -> str:
        """See `Verifier`."""
        return self._name

    def check(self, task: Task, outcome: Outcome) -> Verdict:
        """See `Verifier`."""
        return self.verdict(self.ask(task, outcome))

    def ask(self, task: Task, outcome: Outcome) -> Any:
        """What the function says."""
        return self._function(task, outcome) if self._takes_task else self._function(outcome)

    def verdict(self, answer: Any) -> Verdict:
        """The verdict that a function's answer stands for.

        Raises:
            ConfigError: It stands for none.
        """
        if answer is None:
            return self.abstain("abstained", quotes=False)
        if isinstance(answer, Verdict):
            return replace(answer, verifier=answer.verifier or self.name)
        if isinstance(answer, bool):
            return self.accept("said yes", quotes=False) if answer else self.reject("said no", quotes=False)
        raise ConfigError(
            f"{self.name} must give True, False, None or a Verdict, not {answer!r}", setting="verifier", value=answer
        )


class _Several(Verifier):
    """Asks one verifier after the other, until one ends the matter."""

    _name: str

    def __init__(self, *verifiers: VerifierLike) -> None:
        flat: list[Verifier] = []
        for verifier in map(as_verifier, verifiers):
            flat.extend(verifier.verifiers if isinstance(verifier, type(self)) else [verifier])
        if not flat:
            raise ConfigError(f"{type(self).__name__} needs at least one verifier", setting="verifier", value=())
        self.verifiers = tuple(flat)
        self.expense = max(v.expense for v in flat)

    @property
    def name(self) -> str:
        """See `Verifier`."""
        return self._name

    def check(self, task: Task, outcome: Outcome) -> Verdict:
        """See `Verifier`."""
        parts: list[Verdict] = []
        for verifier in self.verifiers:
            if self._spares(verifier, parts):
                break
            parts.append(verifier.check(task, outcome))
            if self._ends(parts[-1]):
                break
        return self._sum(parts)

    def flow(self, task: Task, outcome: Outcome, context: Context) -> Flow[Verdict]:
        """See `Verifier`."""
        parts: list[Verdict] = []
        for verifier in self.verifiers:
            if self._spares(verifier, parts):
                break
            if type(verifier).flow is Verifier.flow:
                parts.append(verifier.check(task, outcome))  # most are such: no generator is made for them
            else:
                parts.append((yield from verifier.flow(task, outcome, context)))
            if self._ends(parts[-1]):
                break
        return self._sum(parts)

    def refs(self) -> Iterable[str]:
        """See `Verifier`."""
        return [name for v in self.verifiers for name in v.refs()]

    @property
    def wants_logprobs(self) -> bool:
        """See `Verifier`."""
        return any(v.wants_logprobs for v in self.verifiers)

    def _ends(self, verdict: Verdict) -> bool:
        return verdict.conclusive

    def _spares(self, verifier: Verifier, parts: list[Verdict]) -> bool:
        """True if what was said already makes this verifier not worth its cost."""
        return False

    def _sum(self, parts: list[Verdict]) -> Verdict:
        """The verdict that ended the matter; else the last that took a side, those that weigh more first."""
        ending = [parts[-1]] if self._ends(parts[-1]) else []
        accepted = [p for p in parts if p.result == "accept"]
        rejected = [p for p in parts if p.result == "reject"]
        sides = ending or rejected or [p for p in accepted if p.conclusive] or accepted
        if sides:
            chosen = sides[-1]
            others = [p for p in accepted if p is not chosen] if chosen.result == "accept" else []
            evidence = "; ".join([chosen.evidence, *(p.summary for p in others)])
            quotes = any(p.quotes for p in (chosen, *others))
            return evolve(chosen, evidence=evidence, quotes=quotes, parts=tuple(parts))
        evidence = "; ".join([p.summary for p in parts])
        quotes = any(p.quotes for p in parts)
        return Verdict("abstain", evidence, verifier=self._name, quotes=quotes, parts=tuple(parts))


class AllOf(_Several):
    """`A & B`: rejects if either rejects, accepts if one accepts and none rejects. The cheap are asked first."""

    def __init__(self, *verifiers: VerifierLike) -> None:
        super().__init__(*verifiers)
        self.verifiers = tuple(sorted(self.verifiers, key=lambda v: v.expense))
        self._name = " & ".join(v.name for v in self.verifiers)

    def _ends(self, verdict: Verdict) -> bool:
        return verdict.result == "reject"

    def _spares(self, verifier: Verifier, parts: list[Verdict]) -> bool:
        return verifier.expense == Expense.MODEL and any(p.conclusive for p in parts)


class AnyOf(_Several):
    """`A | B`: accepts if one accepts; B is asked only if A did not. They are asked in the order given."""

    def __init__(self, *verifiers: VerifierLike) -> None:
        super().__init__(*verifiers)
        self._name = "(" + " | ".join(v.name for v in self.verifiers) + ")"

    def _ends(self, verdict: Verdict) -> bool:
        return verdict.conclusive or verdict.accepted
