"""What a run gives back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from dataclasses import KW_ONLY, dataclass, field
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from tierwise.attempt import Chunk, Outcome
from tierwise.context import Decision
from tierwise.flow import Stated
from tierwise.ledger.receipt import Receipt
from tierwise.ledger.rows import Row
from tierwise.messages import ToolCall
from tierwise.values import quick

__all__ = ["AsyncReplyStream", "Reply", "ReplyStream", "Status"]

Status: TypeAlias = Literal["verified", "unverified", "rejected"]


@quick
@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """An answer, on what evidence it stands, and its bill."""

    text: str
    _: KW_ONLY
    output: Any = None
    """The typed answer, where the task has an output schema."""
    tool_calls: tuple[ToolCall, ...] = ()
    status: Status
    """`verified` on evidence, `unverified` where nothing spoke for or against it, `rejected` where something spoke
    against an answer that was out, live, by then. What is rejected unseen raises `RejectedError`."""
    decision: Decision
    receipt: Receipt
    run_id: str
    statements: tuple[Stated, ...] = ()
    """What the strategy had to say of the run, e.g. how a vote ended."""
    outcome: Outcome = field(repr=False)
    """The accepted answer as the backend gave it."""
    replayed: bool = False
    """It was given before, and kept under the task's `idempotency_key`: nothing was called now. `run_id`, receipt and
    cost are those of the run that gave it."""

    @property
    def attempts(self) -> tuple[Row, ...]:
        """One row for each call that was made or refused, in order."""
        return self.receipt.rows

    @property
    def cost(self) -> Decimal | None:
        """USD of all calls; `None` if the price of any is not known."""
        return self.receipt.cost

    @property
    def model(self) -> str:
        """The id of the model that answered."""
        return self.outcome.attempt.model.id

    @property
    def tier(self) -> str:
        """The tier that answered."""
        return self.outcome.attempt.tier

    @property
    def evidence(self) -> str:
        """What the status stands on, in words."""
        return self.outcome.verdict.summary if self.outcome.verdict else ""

    def as_metadata(self) -> dict[str, str | int | None]:
        """The decision and the bill in a few plain values, for the metadata of a framework's own answer.

        `cost` is USD for all calls of the run, as text; `None` if the price of any is not known.
        """
        return {
            "run_id": self.run_id,
            "tier": self.tier,
            "model": self.model,
            "status": self.status,
            "rule": self.decision.rule,
            "reason": self.decision.reason,
            "calls": len(self.attempts),
            "cost": None if self.cost is None else str(self.cost),
        }


class ReplyStream:
    """The chunks of an answer, as far as they may be shown. Iterate it; `reply` is there at the end."""

    def __init__(
        self, chunks: Generator[Chunk], reply: Callable[[], Reply | None], bill: Callable[[], Receipt]
    ) -> None:
        self._chunks = chunks
        self._reply = reply
        self._bill = bill

    def __iter__(self) -> Iterator[Chunk]:
        return self._chunks

    def close(self) -> None:
        """Closes the call; leaving the context of `Router.stream` does so."""
        self._chunks.close()

    @property
    def reply(self) -> Reply:
        """The whole answer with its receipt.

        Raises:
            RuntimeError: The stream has not come to its end.
        """
        return _finished(self._reply())

    @property
    def receipt(self) -> Receipt:
        """Every call so far, also after the consumer has left before the end."""
        return self._bill()


class AsyncReplyStream:
    """The async twin of `ReplyStream`."""

    def __init__(
        self, chunks: AsyncGenerator[Chunk], reply: Callable[[], Reply | None], bill: Callable[[], Receipt]
    ) -> None:
        self._chunks = chunks
        self._reply = reply
        self._bill = bill

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self._chunks

    async def aclose(self) -> None:
        """See `ReplyStream.close`."""
        await self._chunks.aclose()

    @property
    def reply(self) -> Reply:
        """See `ReplyStream.reply`."""
        return _finished(self._reply())

    @property
    def receipt(self) -> Receipt:
        """See `ReplyStream.receipt`."""
        return self._bill()


def _finished(reply: Reply | None) -> Reply:
    if reply is None:
        raise RuntimeError("the stream has not come to its end: iterate it to the end before you ask for the reply")
    return reply
