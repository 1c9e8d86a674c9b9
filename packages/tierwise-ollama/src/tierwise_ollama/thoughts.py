"""Thoughts that stand in the answer itself: servers that do not know a model's tags leave them there."""

from __future__ import annotations

__all__ = ["Thoughts"]

_OPEN, _CLOSE = "<think>", "</think>"


class Thoughts:
    """Parts an answer that begins with `<think>` into thoughts and answer, piece by piece.

    A tag further inside the text is text.
    """

    def __init__(self) -> None:
        self._state = "start"
        self._held = ""

    def feed(self, text: str) -> tuple[str, str]:
        """Takes a piece of the text; gives what is answer and what is thought, as far as that is certain."""
        if self._state == "answer":
            return text, ""
        self._held += text
        if self._state == "start":
            head = self._held.lstrip()
            if head.startswith(_OPEN):
                self._state, self._held = "thinking", head[len(_OPEN) :]
            elif _OPEN.startswith(head):
                return "", ""
            else:
                return self._answer(self._held), ""
        return self._thought()

    def end(self) -> tuple[str, str]:
        """What was held back to the end."""
        held, self._held = self._held, ""
        return ("", held) if self._state == "thinking" else (held, "")

    def _thought(self) -> tuple[str, str]:
        thought, mark, answer = self._held.partition(_CLOSE)
        if mark:
            return self._answer(answer.lstrip()), thought
        keep = next((n for n in range(len(_CLOSE) - 1, 0, -1) if self._held.endswith(_CLOSE[:n])), 0)
        cut = len(self._held) - keep
        thought, self._held = self._held[:cut], self._held[cut:]
        return "", thought

    def _answer(self, text: str) -> str:
        self._state, self._held = "answer", ""
        return text
