"""What of a streamed call is shown. Nothing in here calls a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tierwise.attempt import INTERRUPTED, Chunk, Outcome, Prefix, Show
from tierwise.backends.base import replay
from tierwise.counts import estimated
from tierwise.errors import DeadlineError, StreamBrokenError
from tierwise.fleet.price import Usage
from tierwise.run import Run, Ticket
from tierwise.values import evolve

__all__ = ["Passage"]


class Passage:
    """Decides what of a streamed call is shown, and puts its outcome together.

    Args:
        ticket: The call.
        run: The run that it belongs to.
        shown: Whether there is a consumer. Without one, a gated call is read in the same way and nothing is final
            before its end.
    """

    def __init__(self, ticket: Ticket, run: Run, *, shown: bool) -> None:
        self.aborted = False
        self._ticket = ticket
        self._run = run
        self._shown = shown
        self._gate = ticket.attempt.gate if ticket.attempt.show == Show.GATED else None
        self._open = self._gate is None
        self._visible = False
        self._first: float | None = None
        self._withheld: list[Chunk] = []
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[Any] = []
        self._logprobs: list[float] = []
        self._raw: list[Any] = []
        self._whole: Any = None
        self._usage: Usage | None = None
        self._finish: str | None = None
        self._model: str | None = None
        self._response_id: str | None = None

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        """Takes a chunk; gives those that may be shown now.

        Raises:
            DeadlineError: The deadline has passed.
        """
        self._collect(chunk)
        self._run.remaining()
        if self._visible:
            return (chunk,)
        if chunk.is_visible and self._first is None:
            self._first = self._run.now() - self._ticket.started
        if not self._open:
            self._ask(done=False)
        if self.aborted:
            return ()
        self._withheld.append(chunk)
        if not self._open or self._nothing_to_see():
            return ()
        return self._shown_now()

    def end(self) -> tuple[Sequence[Chunk], Outcome]:
        """The stream came to its end: the chunks that may still be shown, and the outcome."""
        if not self._open and not self.aborted:
            self._ask(done=True)
        before = self._visible
        rest: Sequence[Chunk] = ()
        if self._open and any(c.is_visible for c in self._withheld):
            rest = self._shown_now()
        outcome = self._settle(self._outcome(estimate=self.aborted))
        if outcome.repaired and outcome.committed:
            # The text held tool calls: they are shown in its place, or after what of it was shown already.
            calls = Chunk(tool_calls=outcome.tool_calls, whole=outcome.raw)
            return ((*rest, calls) if before else (replay(outcome),)), outcome
        return rest, outcome

    def broken(self, error: BaseException) -> Outcome:
        """The stream died.

        Raises:
            StreamBrokenError: Something had been shown, so that nothing else can be tried.
        """
        partial = self._outcome(estimate=bool(self._usage or any(self._text) or self._calls))
        outcome = self._settle(evolve(partial, error=error, committed=False))
        ticket = self._ticket
        if isinstance(error, DeadlineError) or not isinstance(error, Exception) or not ticket.backend.is_failure(error):
            raise error
        self._run.check_deadline(error)
        if self._visible and self._shown:
            raise StreamBrokenError(ticket.attempt.model.id, outcome.text, error) from error
        return outcome

    def left(self) -> None:
        """The consumer left before the end: what was streamed is settled as an estimate."""
        self._settle(evolve(self._outcome(estimate=True), finish_reason=INTERRUPTED))

    def _nothing_to_see(self) -> bool:
        """True while nothing can be shown: all is blank so far, or may be a tool call that the model writes as text."""
        if self._first is None:
            return True
        return bool(self._ticket.attempt.task.tools) and not self._calls and self._prefix(done=False).may_be_call

    def _shown_now(self) -> Sequence[Chunk]:
        self._visible = True
        ready, self._withheld = self._withheld, []
        return ready

    def _ask(self, *, done: bool) -> None:
        assert self._gate is not None  # noqa: S101 - asked only while a gate holds the call
        answer = self._gate(self._prefix(done=done))
        self._open = answer == "commit"
        self.aborted = answer == "abort"

    def _prefix(self, *, done: bool) -> Prefix:
        task = self._ticket.attempt.task
        # A gate asks at each chunk: what was joined once is not joined again, piece by piece.
        self._text = ["".join(self._text)]
        return Prefix(self._text[0], tuple(self._calls), tuple(self._logprobs), done, task)

    def _collect(self, chunk: Chunk) -> None:
        self._text.append(chunk.text)
        if chunk.thinking:
            self._thinking.append(chunk.thinking)
        if chunk.tool_calls:
            self._calls.extend(chunk.tool_calls)
        if chunk.logprobs:
            self._logprobs.extend(chunk.logprobs)
        if chunk.raw is not None:
            self._raw.append(chunk.raw)
        if chunk.whole is not None:
            self._whole = chunk.whole
        self._usage = chunk.usage or self._usage
        self._finish = chunk.finish_reason or self._finish
        self._model = chunk.model or self._model
        self._response_id = chunk.response_id or self._response_id

    def _outcome(self, *, estimate: bool) -> Outcome:
        outcome = Outcome(
            self._ticket.attempt,
            text="".join(self._text),
            thinking="".join(self._thinking),
            tool_calls=tuple(self._calls),
            logprobs=tuple(self._logprobs) or None,
            usage=self._usage,
            model=self._model,
            response_id=self._response_id,
            finish_reason=self._finish,
            committed=self._visible and self._open,
            aborted=self.aborted,
            raw=self._whole if self._whole is not None else tuple(self._raw) or None,
        )
        # Counts that came before the end are the provider's last word only if they came with it.
        final = self._usage is not None and self._finish is not None
        return evolve(outcome, usage=estimated(outcome)) if estimate and not final else outcome

    def _settle(self, outcome: Outcome) -> Outcome:
        return self._run.settle(self._ticket, outcome, first_token=self._first)
