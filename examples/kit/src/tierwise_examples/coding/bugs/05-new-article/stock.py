"""What lies in a warehouse, by article and shelf."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Shelf:
    """One shelf: articles, and how many pieces of each."""

    room: int
    """How many pieces fit."""
    pieces: dict[str, int] = field(default_factory=dict)

    @property
    def free(self) -> int:
        """How many more pieces fit."""
        return self.room - sum(self.pieces.values())

    def put(self, article: str, count: int) -> None:
        """Puts pieces of an article on the shelf.

        Raises:
            ValueError: They do not fit.
        """
        if count > self.free:
            raise ValueError(f"{count} pieces of {article} do not fit: room for {self.free}")
        self.pieces[article] += count

    def take(self, article: str, count: int) -> int:
        """Takes pieces from the shelf, as far as there are any; gives how many."""
        taken = min(count, self.pieces.get(article, 0))
        if taken:
            self.pieces[article] -= taken
        return taken


def total(shelves: list[Shelf], article: str) -> int:
    """How many pieces of an article there are on all shelves."""
    return sum(shelf.pieces.get(article, 0) for shelf in shelves)
