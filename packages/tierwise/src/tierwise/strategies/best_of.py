"""Sample several answers, and let the verifier pick."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tierwise.attempt import Outcome
from tierwise.context import Context
from tierwise.errors import ConfigError
from tierwise.fleet.fleet import Tier
from tierwise.flow import Flow, Stated, gather, note
from tierwise.strategies.base import (
    Failure,
    Member,
    Strategy,
    answer_of,
    answers,
    failed_all,
    first_answer,
    judged,
    member_refs,
    tier_for,
    tried,
)
from tierwise.task import Task
from tierwise.values import evolve
from tierwise.verifiers.base import VerifierLike, as_verifier
from tierwise.verifiers.default import default_verifier

__all__ = ["BestOf"]

_RANK = {"accept": 2, "abstain": 1, "reject": 0}


class BestOf(Strategy):
    """Samples the same model several times, side by side; the verifier's verdict and score pick one.

    A conclusive accept wins, and nothing dearer is asked then. Accepted answers come before those on which the verifier
    abstains, these before rejected ones; among equals the higher score wins, then the earlier sample. If all are
    rejected, the best is returned as rejected: a cascade goes up then, and a router raises.

    Args:
        n: How many samples.
        verifier: What judges them; by default their shape, and prose by a judge on the next higher tier.
        member: Who is sampled: a tier, a model or a strategy; by default the starting tier, and the tiers above it
            where no sample of it comes back.
        temperature: For the samples of a tier or model.

    Raises:
        ConfigError: `n` is below two, or the temperature not above zero.
    """

    def __init__(
        self,
        n: int = 3,
        *,
        verifier: VerifierLike | None = None,
        member: Member | None = None,
        temperature: float = 0.7,
    ) -> None:
        if n < 2:
            raise ConfigError(f"n={n!r} must be two or more", setting="n", value=n)
        if not temperature > 0:
            raise ConfigError(
                f"temperature={temperature!r} must be above zero, or all samples are the same",
                setting="temperature",
                value=temperature,
            )
        self.verifier = self._verifier = as_verifier(verifier) if verifier is not None else default_verifier()
        self._n = n
        self._member = member
        self._temperature = temperature

    def flow(self, task: Task, context: Context) -> Flow[Outcome]:
        """See `Strategy`."""
        samples: list[Outcome] = []
        failures: list[Outcome | Failure] = []
        for flows in self._sources(task, context):
            results = yield from gather(*map(tried, flows))
            failures += results
            samples = answers(results)
            if samples:
                break
        else:
            raise failed_all(failures)
        ranked = yield from self._judged(task, samples, context)
        best = max(ranked, key=_merit)
        accepted = sum(o.verdict is not None and o.verdict.accepted for o in ranked)
        lost = self._n - len(samples)
        text = f"best of {self._n}: {len(ranked)} judged, {accepted} accepted" + (f", {lost} failed" if lost else "")
        yield from note(Stated(text, {"samples": self._n, "judged": len(ranked), "accepted": accepted, "failed": lost}))
        return best

    def refs(self) -> Iterable[str]:
        """See `Strategy`."""
        return [*super().refs(), *member_refs([self._member])]

    def _sources(self, task: Task, context: Context) -> Iterable[list[Flow[Outcome]]]:
        """Whom to sample, and whom if that gives nothing."""
        if isinstance(self._member, Strategy):
            yield [answer_of(self._member, task, context, purpose="sample") for _ in range(self._n)]
            return
        for tier in context.climb() if self._member is None else [tier_for(self._member, task, context)]:
            yield [self._sample(task, tier, i) for i in range(self._n)]

    def _sample(self, task: Task, tier: Tier, i: int) -> Flow[Outcome]:
        """With a fixed seed every sample would be the same, so each has its own."""
        seed = tier.models[0].seed
        return first_answer(
            task,
            tier,
            purpose="sample",
            reason=f"sample {i + 1} of {self._n}",
            temperature=self._temperature,
            seed=None if seed is None else seed + i,
            logprobs=self._verifier.wants_logprobs,
        )

    def _judged(self, task: Task, samples: Sequence[Outcome], context: Context) -> Flow[Sequence[Outcome]]:
        """The samples with their verdicts; only one of them, if that is accepted conclusively by what costs nothing."""
        sure = [i for i, sample in enumerate(samples) if self._surely_good(task, sample)]
        done: dict[int, Outcome] = {}
        for i in sure:
            done[i] = yield from judged(self._verifier, task, samples[i], context)
            if _merit(done[i])[0]:
                return [done[i]]
        rest = [i for i in range(len(samples)) if i not in done]
        more = yield from gather(*(judged(self._verifier, task, samples[i], context) for i in rest))
        done.update(zip(rest, more, strict=True))
        return [done[i] for i in sorted(done)]

    def _surely_good(self, task: Task, sample: Outcome) -> bool:
        verdict = sample.verdict or self._verifier.check(task, evolve(sample, verdict=None))
        return verdict.conclusive and verdict.accepted


def _merit(outcome: Outcome) -> tuple[bool, int, float]:
    verdict = outcome.verdict
    if verdict is None:
        return False, 0, 0.0
    score = float("-inf") if verdict.score is None else verdict.score
    return verdict.conclusive and verdict.accepted, _RANK[verdict.result], score
