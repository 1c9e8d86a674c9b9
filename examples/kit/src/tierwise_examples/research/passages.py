"""Passages: a document in pieces that fit a small model's prompt, each sentence with its lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, replace
from itertools import groupby

__all__ = ["Passage", "Sentence", "place", "sentences_of", "split"]

_MOST_WORDS = 70
"""A passage is not made longer: five of them and their question are a prompt of 500 tokens."""

_HEADING = re.compile(r"#{1,6}\s+(?P<text>.*?)\s*#*")
_RULE = re.compile(r"\s*([-=*_|: ]{3,}|```.*)\s*")
_ITEM = re.compile(r"\s*(?:[-*+>]\s+|\d+[.)]\s+|\|\s*(?=\S.*\|))")
"""What opens an item of a list, a quoted line or a row of a table: each is a sentence of its own."""
_END = re.compile(r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bNo\.)(?<!\bca\.)[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, an item of a list or a row of a table, and where it stands."""

    text: str
    first: int
    """Its first line; the first line of a file is 1."""
    last: int


@dataclass(frozen=True, slots=True)
class Passage:
    """Sentences that stand together in a document."""

    id: int
    """Its place among the passages of its corpus, from 0 on."""
    file: str
    """The document's path within its folder."""
    sentences: tuple[Sentence, ...]
    _: KW_ONLY
    about: str = ""
    """The headings that it stands under."""

    @property
    def text(self) -> str:
        """Its sentences in one line."""
        *before, last = (sentence.text for sentence in self.sentences)
        return " ".join([*(text if text[-1] in ".!?:;" else f"{text};" for text in before), last])

    @property
    def first(self) -> int:
        """Its first line."""
        return self.sentences[0].first

    @property
    def last(self) -> int:
        """Its last line."""
        return self.sentences[-1].last

    @property
    def place(self) -> str:
        """Where it stands, as `file:first-last`."""
        return place(self.file, self.first, self.last)

    def only(self, sentences: Iterable[Sentence]) -> Passage:
        """The same passage with some of its sentences."""
        return replace(self, sentences=tuple(sentences))


def place(file: str, first: int, last: int) -> str:
    """Lines of a file, as a reader looks them up: `file:3` or `file:3-5`."""
    return f"{file}:{first}" if first == last else f"{file}:{first}-{last}"


def sentences_of(text: str) -> list[str]:
    """The sentences of a text; a line break ends one too."""
    return [piece.strip() for line in text.splitlines() for piece in _END.split(line) if piece.strip()]


def split(file: str, text: str) -> list[Passage]:
    """The passages of a document: what stands under one heading, in pieces of at most about 70 words.

    Args:
        file: The document's name.
        text: The document, in Markdown or plain text.
    """
    found: list[Passage] = []
    for about, sentences in groupby(_sentences(text), key=lambda pair: pair[0]):
        for piece in _pieces([sentence for _, sentence in sentences]):
            found.append(Passage(len(found), file, tuple(piece), about=about))
    return found


def _sentences(text: str) -> Iterator[tuple[str, Sentence]]:
    """Each sentence, with the headings that it stands under."""
    title = heading = ""
    block: list[tuple[int, str]] = []
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        headed = _HEADING.fullmatch(line.strip())
        if block and (headed or not line.strip() or _ITEM.match(line)):
            yield from ((_about(title, heading), sentence) for sentence in _of_block(block))
            block = []
        if headed:
            heading = headed["text"]
            title = title or heading
        elif line.strip() and not _RULE.fullmatch(line):
            block.append((number, _bare(line)))


def _bare(line: str) -> str:
    """A line without its marker; the cells of a table's row with commas between them."""
    text = " ".join(_ITEM.sub("", line, count=1).split()) if _ITEM.match(line) else " ".join(line.split())
    return text.removesuffix("|").rstrip().replace(" | ", ", ")


def _about(title: str, heading: str) -> str:
    return title if heading in ("", title) else f"{title}, {heading}"


def _of_block(block: list[tuple[int, str]]) -> Iterator[Sentence]:
    """The sentences of lines that belong together."""
    text = ""
    starts: list[tuple[int, int]] = []
    for number, line in block:
        starts.append((len(text), number))
        text += line + " "
    begin = 0
    for end in [*(match.end() for match in _END.finditer(text)), len(text)]:
        piece = text[begin:end].strip()
        if piece:
            yield Sentence(piece, _line(starts, begin), _line(starts, begin + len(text[begin:end].rstrip()) - 1))
        begin = end


def _line(starts: list[tuple[int, int]], position: int) -> int:
    return next(number for start, number in reversed(starts) if start <= position)


def _pieces(sentences: list[Sentence]) -> Iterator[list[Sentence]]:
    piece: list[Sentence] = []
    words = 0
    for sentence in sentences:
        count = len(sentence.text.split())
        if piece and words + count > _MOST_WORDS:
            yield piece
            piece, words = [], 0
        piece.append(sentence)
        words += count
    yield piece
