"""Thoughts that stand in the answer itself: servers that do not know a model's tags leave them there."""

from __future__ import annotations

__all__ = ["Thoughts"]

_OPEN, _CLOSE = "<think>", "</think>"


class Thoughts:
    """Parts an answer that begins with `<think>` into thoughts and answer, piece by piece.

    A tag further inside the text is text.
    """

    def __init__(self) -> None:
        self._read = self._start
        self._held = ""

    def feed(self, text: str) -> tuple[str, str]:
        """Takes a piece of the text; gives what is answer and what is thought, as far as that is certain."""
        self._held += text
        return self._read()

    def end(self) -> tuple[str, str]:
        """What was held back to the end."""
        held, self._held = self._held, ""
        return ("", held) if self._read == self._thought else (held, "")

    def _start(self) -> tuple[str, str]:
        head = self._held.lstrip()
        if head.startswith(_OPEN):
            self._held, self._read = head[len(_OPEN) :], self._thought
            return self._read()
        if _OPEN.startswith(head):
            return "", ""
        self._read = self._answer
        return self._read()

    def _thought(self) -> tuple[str, str]:
        thought, mark, rest = self._held.partition(_CLOSE)
        if mark:
            self._held, self._read = rest, self._gap
            return self._read()[0], thought
        keep = next((n for n in range(len(_CLOSE) - 1, 0, -1) if thought.endswith(_CLOSE[:n])), 0)
        cut = len(thought) - keep
        self._held = thought[cut:]
        return "", thought[:cut]

    def _gap(self) -> tuple[str, str]:
        self._held = self._held.lstrip()
        if self._held:
            self._read = self._answer
        return self._answer()

    def _answer(self) -> tuple[str, str]:
        text, self._held = self._held, ""
        return text, ""
