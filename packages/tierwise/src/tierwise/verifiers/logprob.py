"""How sure was the model of its own words? Only where the backend says so."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tierwise.attempt import Outcome
from tierwise.errors import ConfigError
from tierwise.task import Task
from tierwise.verdict import Verdict
from tierwise.verifiers.base import Verifier

__all__ = ["Logprob"]


class Logprob(Verifier):
    """Accepts an answer whose tokens' log probabilities come up to a threshold, and rejects one whose do not.

    Abstains where the backend gave none: they are never made up. The mean needs no labels and holds up on unfamiliar
    tasks for models of 7B and more (arXiv:2605.02241); on much smaller ones it is weak. Low quantiles find the one
    doubtful token in a long answer that the mean drowns (arXiv:2404.10136). A strategy with this verifier asks for log
    probabilities.

    Args:
        threshold: The natural logarithm of a probability from which on an answer is accepted, zero or less.
        quantile: From 0 (the least likely token) to 1, in place of the mean.
        calibrated: Whether the threshold comes from calibration on labelled rows. A receipt says if not.

    Raises:
        ConfigError: The threshold is above zero, or the quantile not between 0 and 1.
    """

    quotes = False

    def __init__(self, threshold: float, *, quantile: float | None = None, calibrated: bool = False) -> None:
        if not threshold <= 0:
            raise ConfigError(
                f"threshold={threshold!r} must be a natural logarithm of a probability, zero or less: "
                "math.log(0.8) is -0.22",
                setting="threshold",
                value=threshold,
            )
        if quantile is not None and not 0 <= quantile <= 1:
            raise ConfigError(f"quantile={quantile!r} must be between 0 and 1", setting="quantile", value=quantile)
        self._threshold = threshold
        self._quantile = quantile
        self._calibrated = calibrated

    @property
    def wants_logprobs(self) -> bool:
        """See `Verifier`."""
        return True

    def check(self, task: Task, outcome: Outcome) -> Verdict:
        """See `Verifier`."""
        found = outcome.logprobs
        if not found:
            return self.abstain("the backend gave no log probabilities")
        if not all(map(math.isfinite, found)):
            return self.abstain("a log probability is not finite")
        if self._quantile is None:
            what, score = "mean", sum(found) / len(found)
        else:
            what, score = f"{self._quantile:g} quantile of the", _quantile(found, self._quantile)
        evidence = f"{what} log probability {score:.3f} of {len(found)} tokens"
        verdict = self.accept if score >= self._threshold else self.reject
        return verdict(evidence, score=score, threshold=self._threshold, calibrated=self._calibrated)


def _quantile(values: Sequence[float], q: float) -> float:
    """The quantile by linear interpolation between the two nearest ranks."""
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
