"""What is said of a run and its calls, as attributes. What is not known is left out; no text of anybody is in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias
from urllib.parse import urlsplit

from tierwise.attempt import WORK, Attempt
from tierwise.context import Context, Decision
from tierwise.fleet.price import Usage
from tierwise.flow import Moved
from tierwise.ledger.rows import Row
from tierwise.observer import Ending
from tierwise.task import Task
from tierwise.telemetry import names

__all__ = [
    "Attributes",
    "call_labels",
    "decision",
    "ending",
    "error",
    "inference",
    "moved",
    "request",
    "response",
    "run",
    "run_labels",
    "unsent",
    "unsent_labels",
]

Value: TypeAlias = "str | bool | int | float | Sequence[str]"
Attributes: TypeAlias = dict[str, Value]

_PORTS = {"http": 80, "https": 443}

_ENDED_EARLY = {"aborted", "interrupted"}
"""Finish reasons of ours, which no provider gave."""


def run(task: Task, run_id: str) -> Attributes:
    """What is known before anything is decided."""
    return _known(
        {
            names.RUN_ID: run_id,
            names.CONVERSATION: task.session,
            names.JOB: task.job,
            names.ROLE: task.role,
            names.NODE: task.node,
            names.TRUST: task.trust,
        }
    )


def decision(made: Decision, context: Context | None) -> Attributes:
    """Who tries first, why, and from whom they were chosen."""
    known: dict[str, Value | None] = {
        names.DECISION_TIER: made.tier,
        names.DECISION_RULE: made.rule,
        names.DECISION_REASON: made.reason or None,
        names.DECISION_MODEL: made.model,
        names.DECISION_ADJUSTED: made.adjusted or None,
    }
    known |= {f"{names.DECISION_SCORE}.{name}": score for name, score in made.scores.items()}
    if context is not None:
        tiers = (*context.ladder, *context.specialists)
        known[names.DECISION_CANDIDATES] = tuple(model.key for tier in tiers for model in tier.models)
    return _known(known)


def inference(attempt: Attempt, server: str | None) -> Attributes:
    """Whose inference it is: what a sampler sees, and what metrics are told apart by."""
    model = attempt.model
    known: dict[str, Value | None] = {
        names.OPERATION: "chat",
        names.PROVIDER: names.PROVIDERS.get(model.provider, model.provider),
        names.REQUEST_MODEL: model.name,
    }
    parts = urlsplit(server or "")
    if parts.hostname:
        known[names.SERVER_ADDRESS] = parts.hostname
        known[names.SERVER_PORT] = parts.port or _PORTS.get(parts.scheme)
    return _known(known)


def request(attempt: Attempt, *, streamed: bool) -> Attributes:
    """The settings of a call, and why it is made."""
    model, task = attempt.model, attempt.task
    if model.id == WORK.id:
        return _purpose(attempt)
    settings: dict[str, Value | None] = {
        names.CONVERSATION: task.session,
        names.REQUEST_MAX_TOKENS: attempt.setting("max_output_tokens"),
        names.REQUEST_TEMPERATURE: attempt.setting("temperature"),
        names.REQUEST_TOP_P: model.top_p,
        names.REQUEST_SEED: attempt.setting("seed"),
        names.REQUEST_REASONING: model.reasoning_effort,
        names.REQUEST_STREAM: streamed or None,
        names.OUTPUT_TYPE: None if task.output_schema is None else "json",
    }
    return _known(settings) | _purpose(attempt)


def _purpose(attempt: Attempt) -> Attributes:
    return _known(
        {
            names.ATTEMPT_TIER: attempt.tier or None,
            names.ATTEMPT_PURPOSE: attempt.purpose,
            names.ATTEMPT_REASON: attempt.reason or None,
        }
    )


def response(row: Row, number: int, *, content: bool) -> Attributes:
    """What came of a call, and what it cost.

    Args:
        row: The call, as it stands at the run's end.
        number: Its place in the receipt, from 1.
        content: Whether evidence may quote.
    """
    finish = row.finish_reason
    early = finish if finish in _ENDED_EARLY else None
    ended = "error" if row.error_type is not None or early else finish
    known: dict[str, Value | None] = {
        names.RESPONSE_MODEL: row.answered_by,
        names.RESPONSE_FINISH: None if ended is None else (ended,),
        names.RESPONSE_FIRST_CHUNK: row.first_token,
        names.ATTEMPT_NUMBER: number,
        names.ATTEMPT_PURPOSE: row.purpose,
        names.ATTEMPT_ENDED: early,
        names.ATTEMPT_COST: None if row.cost is None else float(row.cost),
        names.ATTEMPT_COST_SOURCE: row.cost_source,
        names.ERROR_TYPE: row.error_type,
    }
    return _known(known) | _usage(row.usage) | _verdict(row, content)


def _usage(usage: Usage | None) -> Attributes:
    if usage is None:
        return {}
    return _known(
        {
            names.INPUT_TOKENS: usage.input_tokens,
            names.OUTPUT_TOKENS: usage.output_tokens,
            names.CACHE_READ_TOKENS: usage.cached_tokens or None,
            names.CACHE_WRITE_TOKENS: usage.cache_write_tokens or None,
            names.REASONING_TOKENS: usage.reasoning_tokens or None,
            names.ATTEMPT_ESTIMATED: usage.estimated or None,
        }
    )


def _verdict(row: Row, content: bool) -> Attributes:
    if row.verdict is None:
        return {}
    return _known(
        {
            names.ATTEMPT_VERDICT: row.verdict,
            names.ATTEMPT_VERIFIER: row.verifier or None,
            names.ATTEMPT_SCORE: row.score,
            names.ATTEMPT_THRESHOLD: row.threshold,
            names.ATTEMPT_CALIBRATED: row.calibrated,
            names.ATTEMPT_EVIDENCE: row.evidence if row.evidence and (content or not row.quotes) else None,
        }
    )


def unsent(row: Row) -> Attributes:
    """A call that was never sent."""
    return unsent_labels(row) | _known({names.ATTEMPT_REASON: row.reason or None})


def unsent_labels(row: Row) -> Attributes:
    """What calls that were never sent are counted by."""
    return _labels(row) | _known({names.ERROR_TYPE: row.error_type})


def ending(made: Ending) -> Attributes:
    """What came of a run."""
    receipt, reply = made.receipt, made.reply
    known: dict[str, Value | None] = {
        names.STATUS: _status(made),
        names.COST: None if receipt.cost is None else float(receipt.cost),
    }
    if made.error is None and reply is not None:
        known |= {names.ANSWER_TIER: reply.tier, names.ANSWER_MODEL: reply.model}
    saving = receipt.saving
    if saving is not None and saving.usd is not None:
        known |= {names.SAVING: float(saving.usd), names.SAVING_BASELINE: saving.baseline}
    return _known(known) | error(made.error)


def _status(made: Ending) -> str | None:
    if isinstance(made.error, GeneratorExit):
        return "interrupted"
    return made.reply.status if made.error is None and made.reply is not None else None


def error(raised: BaseException | None) -> Attributes:
    """The class of an error, never its text; a consumer that leaves a stream early makes none."""
    if raised is None or isinstance(raised, GeneratorExit):
        return {}
    return {names.ERROR_TYPE: type(raised).__name__}


def moved(note: Moved) -> Attributes:
    """From where to where a flow goes on."""
    return {names.MOVE_SOURCE: note.source, names.MOVE_TARGET: note.target}


def _labels(row: Row) -> Attributes:
    provider, _, name = row.model.partition(":")
    return _known(
        {
            names.PROVIDER: names.PROVIDERS.get(provider, provider),
            names.REQUEST_MODEL: name,
            names.ATTEMPT_TIER: row.tier or None,
            names.ATTEMPT_PURPOSE: row.purpose,
        }
    )


def call_labels(row: Row) -> Attributes:
    """What calls are counted by: whose they are, where the price came from, what was said, what went wrong."""
    return _labels(row) | _known(
        {
            names.ATTEMPT_COST_SOURCE: row.cost_source,
            names.ATTEMPT_VERDICT: row.verdict,
            names.ERROR_TYPE: row.error_type,
        }
    )


def run_labels(job: str | None, made: Ending) -> Attributes:
    """What runs are counted by."""
    return _known({names.JOB: job, names.STATUS: _status(made)}) | error(made.error)


def _known(values: Mapping[str, Value | None]) -> Attributes:
    return {
        name: value if isinstance(value, _NUMBERS) else _clean(value)
        for name, value in values.items()
        if value is not None
    }


_NUMBERS = (bool, int, float)


def _clean(value: str | Sequence[str]) -> str | Sequence[str]:
    """The value as an exporter can write it: a lone surrogate in one text would lose it a whole batch of spans."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    return tuple(str(_clean(item)) for item in value)
