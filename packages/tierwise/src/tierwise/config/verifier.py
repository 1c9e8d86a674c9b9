"""What judges an answer: `judge`, `agreement` and `logprob` of a `[strategy]`."""

from __future__ import annotations

from functools import reduce

from tierwise.config.document import Table
from tierwise.config.names import member, members
from tierwise.fleet.fleet import Fleet
from tierwise.verifiers.agreement import Agreement
from tierwise.verifiers.base import Verifier
from tierwise.verifiers.default import free_verifier
from tierwise.verifiers.judge import Judge
from tierwise.verifiers.logprob import Logprob

__all__ = ["VERIFIER_KEYS", "read_verifier"]

VERIFIER_KEYS = ("judge", "agreement", "logprob")


def read_verifier(table: Table, fleet: Fleet) -> Verifier | None:
    """The shape of an answer, and then what the file names: the cheapest first, until one accepts.

    `None` if the file names nothing; the shape alone if it says `judge = false`.

    Raises:
        ConfigFileError: A setting is wrong.
    """
    unwanted = table.as_dict().get("judge") is False
    asked = [
        verifier
        for verifier in (_logprob(table), _agreement(table, fleet), None if unwanted else _judge(table, fleet))
        if verifier is not None
    ]
    if asked:
        return free_verifier() & reduce(lambda a, b: a | b, asked)
    return free_verifier() if unwanted else None


def _judge(table: Table, fleet: Fleet) -> Verifier | None:
    """A tier or a model, or a table."""
    items = table.items("judge")
    if not items:
        return None
    first = items[0]
    if isinstance(first, str):
        return Judge(member(table, "judge", fleet))
    first.only(["model", "rubric", "threshold", "calibrated", "max_output_tokens"])
    return first.build(
        Judge,
        member(first, "model", fleet),
        rubric=first.get("rubric", str),
        threshold=first.get("threshold", float),
        calibrated=first.get("calibrated", bool),
        max_output_tokens=first.get("max_output_tokens", int),
    )


def _agreement(table: Table, fleet: Fleet) -> Verifier | None:
    inner = table.table("agreement")
    if inner is None:
        return None
    inner.only(["n", "with", "threshold", "temperature", "calibrated"])
    return inner.build(
        Agreement,
        n=inner.get("n", int),
        with_=members(inner, "with", fleet),
        threshold=inner.get("threshold", float),
        temperature=inner.get("temperature", float),
        calibrated=inner.get("calibrated", bool),
    )


def _logprob(table: Table) -> Verifier | None:
    inner = table.table("logprob")
    if inner is None:
        return None
    inner.only(["threshold", "quantile", "calibrated"])
    return inner.build(
        Logprob,
        inner.need("threshold", float),
        quantile=inner.get("quantile", float),
        calibrated=inner.get("calibrated", bool),
    )
