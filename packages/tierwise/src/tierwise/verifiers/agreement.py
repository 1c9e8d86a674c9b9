"""Would it say so again? Would others? Agreement of further samples, or of peers, with the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from tierwise.attempt import Attempt, Outcome
from tierwise.context import Context, misfit
from tierwise.errors import ConfigError
from tierwise.flow import Flow, call, gather
from tierwise.jsontext import read_json
from tierwise.schema import parse_output, unfence
from tierwise.task import Task
from tierwise.verdict import Verdict
from tierwise.verifiers.base import Expense, Verifier

__all__ = ["Agreement", "comparable", "last_number"]

_WORDS = 4
"""Words of an answer that can be compared as a text: a name, a date, a label, a yes. More of them are prose."""
_EDGES = " \t\r\n.,;:!?\"'`*_()[]"
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?")
_UNITS = " \t\r\n$€£%*"
_MINUS = "\N{MINUS SIGN}"


class Agreement(Verifier):
    """Accepts an answer that enough further answers agree with, and rejects one that too few do.

    Self-consistency (arXiv:2203.11171): the same model is sampled again, at a temperature; or peers are asked, whose
    agreement is the stronger evidence. All are asked side by side. Answers agree if they are the same tool calls, the
    same JSON, the same number, or the same few words but for case and punctuation around them. Free prose cannot be
    compared so: without a `normalise` of the user's this verifier abstains on it, and asks nobody. A further answer
    that cannot be compared does not agree; a call that failed does not count.

    It pays where the model is at least ten times cheaper than the next tier's; above that, going up costs less.

    Args:
        n: How many answers there are together, the one that is judged among them. Peers bring their own number.
        with_: Tiers, aliases or models' ids that are asked in place of the same model; of a tier its first model is.
        threshold: The lowest share of the further answers, from 0 to 1, that has to agree.
        normalise: Turns an answer's text into what is compared, `None` if it cannot be. `last_number`, for example.
        temperature: For further samples of the same model.
        calibrated: Whether the threshold comes from calibration on labelled rows. A receipt says if not.

    Raises:
        ConfigError: `n` is below two, the threshold not between 0 and 1, or `with_` names nobody.
    """

    expense = Expense.MODEL
    quotes = False

    def __init__(
        self,
        n: int = 3,
        *,
        with_: str | Sequence[str] | None = None,
        threshold: float = 0.5,
        normalise: Callable[[str], Any] | None = None,
        temperature: float = 0.7,
        calibrated: bool = False,
    ) -> None:
        if n < 2:
            raise ConfigError(f"n={n!r} must be two or more: the answer and one other", setting="n", value=n)
        if not 0 < threshold <= 1:
            raise ConfigError(
                f"threshold={threshold!r} must be above 0 and at most 1", setting="threshold", value=threshold
            )
        peers = [with_] if isinstance(with_, str) else with_
        if peers is not None and not peers:
            raise ConfigError(
                f"with_={with_!r} names nobody: leave it out, or name peers", setting="with_", value=with_
            )
        self._n = n
        self._peers = None if peers is None else tuple(peers)
        self._threshold = threshold
        self._normalise = normalise
        self._temperature = temperature
        self._calibrated = calibrated

    def flow(self, task: Task, outcome: Outcome, context: Context) -> Flow[Verdict]:
        """See `Verifier`."""
        own = self._key(task, outcome)
        if own is None:
            return self.abstain("free prose, which cannot be compared")
        attempts = self._samples(task, outcome) if self._peers is None else self._asked(task, outcome, context)
        if not attempts:
            return self.abstain("no peer but the model itself may or can take this")
        answers = [answer for answer in (yield from gather(*map(call, attempts))) if answer.ok]
        if not answers:
            return self.abstain("every further call failed")
        agreeing = sum(self._key(task, answer) == own for answer in answers)
        share = agreeing / len(answers)
        who = "further samples" if self._peers is None else "peers"
        verdict = self.accept if share >= self._threshold else self.reject
        return verdict(
            f"{agreeing} of {len(answers)} {who} agree",
            score=share,
            threshold=self._threshold,
            calibrated=self._calibrated,
        )

    def refs(self) -> Iterable[str]:
        """See `Verifier`."""
        return self._peers or ()

    def _samples(self, task: Task, outcome: Outcome) -> list[Attempt]:
        """With a fixed seed every sample would be the same, so each has its own."""
        attempt = outcome.attempt
        seed = attempt.setting("seed")
        return [
            Attempt(
                task,
                attempt.model,
                attempt.tier,
                purpose="sample",
                reason=f"sample {i + 1} of {self._n}",
                temperature=self._temperature,
                seed=None if seed is None else seed + i,
            )
            for i in range(1, self._n)
        ]

    def _asked(self, task: Task, outcome: Outcome, context: Context) -> list[Attempt]:
        chosen: dict[str, Attempt] = {}
        for ref in self._peers or ():
            able = [m for m in context.resolve(ref) if misfit(m, task) is None and m.id != outcome.attempt.model.id]
            for model in able[:1]:
                chosen[model.key] = Attempt(
                    task, model, context.tier_of(model), purpose="vote", reason=f"peer of {outcome.attempt.model.key}"
                )
        return list(chosen.values())

    def _key(self, task: Task, outcome: Outcome) -> Any:
        if outcome.tool_calls or self._normalise is None or task.output_schema is not None:
            return comparable(task, outcome)
        value = self._normalise(outcome.text)
        return None if value is None else ("own", value)


def comparable(task: Task, outcome: Outcome) -> tuple[str, Any] | None:
    """What an answer is compared by, and its kind; `None` for free prose, and for output that breaks its schema."""
    if outcome.tool_calls:
        return "tool calls", _canonical([[c.name, c.malformed or dict(c.arguments)] for c in outcome.tool_calls])
    text = unfence(outcome.text)
    if task.output_schema is not None:
        try:
            parse_output(task.output_schema, text)
        except ValueError:
            return None
    number = _as_number(text)
    if number is not None:
        return "number", number
    if text[:1] in ("{", "["):
        try:
            return "json", _canonical(read_json(text))
        except ValueError:
            return None
    words = text.strip(_EDGES).casefold().split()
    return ("text", " ".join(words)) if 0 < len(words) <= _WORDS else None


def last_number(text: str) -> Decimal | None:
    """The last number in a text: a `normalise` for worked answers to mathematical questions."""
    found = _NUMBER.findall(text.replace(_MINUS, "-"))
    return _as_number(found[-1]) if found else None


def _as_number(text: str) -> Decimal | None:
    plain = text.replace(_MINUS, "-").strip(_UNITS).rstrip(".")
    if not _NUMBER.fullmatch(plain):
        return None
    try:
        return Decimal(plain.replace(",", "")).normalize()
    except ArithmeticError:  # its exponent is out of all bounds
        return None


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
