"""What the provider does: it answers most requests, and fails the others in every way that it knows."""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping

from tierwise.testing.provider import Reply, Request

__all__ = ["END", "UNSURE", "Weather", "number_of"]

END = "That is all."
"""How a whole answer ends: one without it was cut off."""

UNSURE = "I am not sure"
"""What a weak answer says; a verifier rejects it."""

_QUESTION = re.compile(r"question (\d+)")
_UNSURE_SHARE = 0.1

Fault = Callable[[random.Random, str], Reply]

FAULTS: Mapping[str, Fault] = {
    "429, Retry-After in seconds": lambda dice, text: Reply(status=429, retry_after=1),
    "429, retry-after-ms": lambda dice, text: Reply(status=429, retry_after_ms=dice.randint(20, 150)),
    "429": lambda dice, text: Reply(status=429),
    "500": lambda dice, text: Reply(status=500),
    "503": lambda dice, text: Reply(status=503),
    "cut off": lambda dice, text: Reply(text=text, disconnect_after=dice.randint(0, 6)),
    "slow first token": lambda dice, text: Reply(text=text, first_token_delay=dice.uniform(0.1, 0.6)),
    "never answers": lambda dice, text: Reply(stall=True),
    "falls silent": lambda dice, text: Reply(text=text, stall_after=dice.randint(0, 6)),
    "error inside a stream": lambda dice, text: Reply(text=text, error_after=dice.randint(0, 6)),
    "malformed": lambda dice, text: Reply(text=text, corrupt="malformed"),
    "truncated": lambda dice, text: Reply(text=text, corrupt="truncated"),
    "empty body": lambda dice, text: Reply(text=text, corrupt="empty"),
    "empty answer": lambda dice, text: Reply(text=""),
    "connection reset": lambda dice, text: Reply(refuse=True),
}

_RARE = {"429, Retry-After in seconds": 0.1}
"""How often a fault is chosen, next to 1 for the others. For a whole second the model is not asked at all."""


def number_of(request: Request) -> int:
    """The number of the question that a request asks."""
    found = _QUESTION.search(str(request.messages[-1]["content"]))
    assert found is not None
    return int(found[1])


class Weather:
    """A reply function. What a request gets depends on the seed, its question, its model and which try it is.

    So a seed gives the same faults again, in whatever order requests arrive.

    Args:
        seed: What the dice begin with.
        share: The share of requests that fail, from 0 to 1.
    """

    def __init__(self, seed: int, share: float) -> None:
        self.counts: Counter[str] = Counter()
        self._seed = seed
        self._share = share
        self._tries: Counter[tuple[int, str]] = Counter()
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Reply:
        number, model = number_of(request), request.model
        with self._lock:
            self._tries[number, model] += 1
            tries = self._tries[number, model]
        dice = random.Random(f"{self._seed} {number} {model} {tries}")
        fails = dice.random() < self._share
        kind = dice.choices(list(FAULTS), [_RARE.get(kind, 1.0) for kind in FAULTS])[0] if fails else "answered"
        with self._lock:
            self.counts[kind] += 1
        text = _answer(dice, number, model)
        return FAULTS[kind](dice, text) if kind in FAULTS else Reply(text=text)


def _answer(dice: random.Random, number: int, model: str) -> str:
    if model != "large" and dice.random() < _UNSURE_SHARE:
        return f"{UNSURE} about question {number} . {END}"
    return f"To question {number} : {'so ' * dice.randint(3, 30)}it is. {END}"
