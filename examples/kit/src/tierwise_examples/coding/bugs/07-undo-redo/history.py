"""Undo and redo of a text field."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class History:
    """What was typed, and what can be taken back.

    Several letters in a row are one step; any other change begins a new one. At most `depth` steps are kept.
    """

    text: str = ""
    depth: int = 100
    _undo: list[str] = field(default_factory=list)
    _redo: list[str] = field(default_factory=list)
    _typing: bool = False

    def type(self, letters: str) -> None:
        """Letters are added at the end."""
        if not self._typing:
            self._remember()
        self.text += letters
        self._typing = True

    def replace(self, text: str) -> None:
        """The whole text is replaced, e.g. by pasting over it."""
        self._remember()
        self.text = text
        self._typing = False

    def undo(self) -> bool:
        """Takes the latest step back; gives whether there was one."""
        if not self._undo:
            return False
        self._redo.append(self.text)
        self.text = self._undo.pop()
        return True

    def redo(self) -> bool:
        """Makes a step again that was taken back; gives whether there was one."""
        if not self._redo:
            return False
        self._undo.append(self.text)
        self.text = self._redo.pop()
        return True

    def _remember(self) -> None:
        self._undo.append(self.text)
        del self._undo[: -self.depth]
