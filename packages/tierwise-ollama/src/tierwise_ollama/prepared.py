"""A call that is ready to be sent, and whether its prompt fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tierwise.attempt import Attempt
from tierwise.errors import ContextOverflowError
from tierwise.fleet.price import Usage

from tierwise_ollama.facts import ModelFacts, ServerFacts
from tierwise_ollama.window import estimated_tokens, most_tokens

__all__ = ["Prepared"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call with its body.

    Servers since 0.12.6 refuse a prompt that does not fit, since the body says so. Older ones cut it without a word, so
    that estimates have to do: one before the call, and one that the server's own count is held against after it.
    """

    attempt: Attempt
    body: dict[str, Any]
    server: ServerFacts
    facts: ModelFacts
    fitted: bool
    """True if `num_ctx` was chosen to fit, and may be chosen again."""

    @property
    def num_ctx(self) -> int:
        """The context that the model will run with, in tokens."""
        return self.body["options"]["num_ctx"]

    def check_size(self) -> None:
        """Raises ContextOverflowError before a call whose prompt an old server would cut."""
        if self.server.guards_context:
            return
        estimate = estimated_tokens(self.body)
        if estimate > self.num_ctx:
            raise self._too_long(f"the prompt has about {estimate} tokens (estimated)")

    def check_count(self, usage: Usage | None) -> None:
        """Raises ContextOverflowError after a call whose prompt an old server has cut, as far as its count tells.

        A low count alone proves nothing, as old servers leave cached tokens out of it: it counts where the prompt may
        not have fitted.
        """
        counted = None if usage is None else usage.input_tokens
        if self.server.guards_context or counted is None or most_tokens(self.body) <= self.num_ctx:
            return
        estimate = estimated_tokens(self.body)
        if counted < estimate * 3 // 4:
            raise self._too_long(f"the server read {counted} tokens of a prompt of about {estimate}, and cut the rest")

    def overflow(self, error: ContextOverflowError) -> ContextOverflowError:
        """The server's own error, with the mend."""
        return ContextOverflowError(f"{error}; {self._mend()}", status=error.status)

    def _too_long(self, what: str) -> ContextOverflowError:
        name = self.attempt.model.name
        return ContextOverflowError(f"{what}; {name!r} runs with num_ctx={self.num_ctx}; {self._mend()}")

    def _mend(self) -> str:
        window = self.facts.window
        if not self.fitted and (window is None or self.num_ctx < window):
            trained = "" if window is None else f" (the model was trained for {window})"
            return f"set a larger num_ctx{trained}, or shorten the prompt"
        return "shorten the prompt, or use a model with a larger window"
