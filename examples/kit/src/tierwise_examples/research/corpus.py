"""A corpus: the documents of a folder, in passages, and what finds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path

from tierwise.errors import ConfigError

from tierwise_examples.research.passages import Passage, split
from tierwise_examples.research.retrieval import Embed, Index
from tierwise_examples.research.words import content, tokens

__all__ = ["Corpus"]

_KINDS = frozenset({".md", ".markdown", ".rst", ".txt"})
_LARGEST = 1_000_000
"""Bytes of a document."""


class Corpus:
    """Documents that questions are answered from.

    Args:
        documents: Their texts, by file name.
        embed: Makes vectors of texts, which then rank passages beside their words.

    Raises:
        ConfigError: There is nothing to read in the documents.
    """

    def __init__(self, documents: Mapping[str, str], *, embed: Embed | None = None) -> None:
        pieces = [passage for file, text in sorted(documents.items()) for passage in split(file, text)]
        self.documents = dict(documents)
        self.passages = tuple(replace(passage, id=place) for place, passage in enumerate(pieces))
        if not self.passages:
            raise ConfigError(
                f"documents={sorted(documents)!r} hold no text: name a folder with .md or .txt files",
                setting="documents",
                value=sorted(documents),
            )
        self._index = Index(self.passages, embed)

    @classmethod
    def read(cls, folder: str | Path, *, embed: Embed | None = None) -> Corpus:
        """The texts of a folder and its folders: `.md`, `.markdown`, `.rst` and `.txt`, of at most a megabyte each.

        What a link leads to outside of the folder is not read.

        Raises:
            ConfigError: There is no such folder, or no text in it.
        """
        root = Path(folder)
        if not root.is_dir():
            raise ConfigError(f"docs={str(folder)!r} is no folder", setting="docs", value=str(folder))
        return cls(
            {str(path.relative_to(root)): path.read_text(encoding="utf-8", errors="replace") for path in _texts(root)},
            embed=embed,
        )

    @classmethod
    def shipped(cls, *, embed: Embed | None = None) -> Corpus:
        """The papers of an invented company that runs harbour sensors."""
        with as_file(files("tierwise_examples.research") / "harbour") as folder:
            return cls.read(folder, embed=embed)

    def search(self, queries: Sequence[str], limit: int = 5) -> list[Passage]:
        """The passages that have most to do with the queries, the best first."""
        return self._index.search(queries, limit)

    @cached_property
    def words(self) -> frozenset[str]:
        """The stems of every document."""
        return content("\n".join(self.documents.values()))

    @cached_property
    def names(self) -> frozenset[str]:
        """The words that are never written without a capital letter, in lower case."""
        written = {word for text in self.documents.values() for word in tokens(text)}
        plain = {word for word in written if not word[0].isupper()}
        return frozenset(word.casefold() for word in written - plain if word.casefold() not in plain)


def _texts(root: Path) -> Iterable[Path]:
    inside = root.resolve()
    for path in sorted(root.rglob("*")):
        real = path.resolve()
        kept = path.suffix.lower() in _KINDS and real.is_relative_to(inside) and real.is_file()
        if kept and real.stat().st_size <= _LARGEST:
            yield path
