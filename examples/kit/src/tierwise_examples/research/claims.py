"""Claims: the sentences of an answer, what each cites, and what of it stands there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, TypeAlias

from tierwise_examples.research.passages import Passage, Sentence, place, sentences_of
from tierwise_examples.research.quoting import as_data
from tierwise_examples.research.words import content, figures, names

__all__ = ["NOT_TOLD", "Claim", "Lines", "Reader", "Standing", "is_not_told"]

NOT_TOLD = "The documents do not tell."
"""What a model is asked to say, and a report says, where there is no answer in the documents."""

Standing: TypeAlias = Literal["supported", "open", "unsupported"]
"""What the words alone say: the cited lines hold the claim, may hold it, or do not."""

_NOT_TOLD = re.compile(r"(?i)\b(?:documents?|passages?) (?:do|does)(?: not|n't) (?:tell|say|mention|specify|state)")
_CITED = re.compile(r"\[\s*\d{1,4}(?:\s*[,;]\s*\d{1,4})*\s*\]|\(\d{1,4}\)(?=[\s.!?]*$)")
"""`[1]`, `[1, 2]`, and at the end of a sentence `(1)`."""
_LATE = re.compile(r"([.!?])((?:\s*(?:\[[\d\s,;]+\]|\(\d+\)))+)")
_ASIDE = re.compile(r"\([^()]*\)")
"""A sentence in brackets: models name a document so."""
_NOT = frozenset({"not", "no", "never", "none", "nobody", "without", "cannot"})
_MUCH, _LITTLE = 0.75, 0.35
"""Shares of a claim's words that stand in what it cites: from the first on it is supported, below the second not."""
_MOST_SENTENCES = 3


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of a document that a claim stands on."""

    file: str
    first: int
    last: int
    text: str

    def __str__(self) -> str:
        return place(self.file, self.first, self.last)


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence of an answer."""

    number: int
    """Its place in the answer, from 1 on."""
    text: str
    """Without its citations."""
    passages: tuple[Passage, ...]
    """What it cites of what was given."""
    lines: tuple[Lines, ...]
    """The cited lines that have most to do with it."""
    _: KW_ONLY
    standing: Standing
    reason: str = ""
    """Why it is not supported, or why that is open."""
    against: Lines | None = None
    """A line of what was given that says much the same with other figures."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads answers to a question."""

    question: str
    known_names: Set[str] = field(default_factory=frozenset[str], repr=False)
    """In lower case; a sentence that begins with another word is not taken to begin with a name."""

    def claims(self, text: str, passages: Sequence[Passage]) -> list[Claim]:
        """The claims of an answer; a sentence that says that the documents do not tell is none.

        Args:
            text: The answer, with numbers in brackets.
            passages: What was given: `[1]` cites the first sentence of the first.
        """
        numbered = dict(enumerate((p for p in passages for _ in p.sentences), start=1))
        said = [(bare, cited) for bare, cited in _cited(text) if not is_not_told(bare)]
        return [self._claim(number, bare, cited, numbered) for number, (bare, cited) in enumerate(said, start=1)]

    def _claim(self, number: int, text: str, cited: Sequence[int], numbered: Mapping[int, Passage]) -> Claim:
        given = list(dict.fromkeys(numbered.values()))
        named = list(dict.fromkeys(numbered[n] for n in cited if n in numbered))
        for passage in named:
            text = text.removeprefix(f"{as_data(passage.about)}: ")
        passages = tuple(named or ([] if cited else self._quoted(text, given)))
        if not passages:
            reason = f"cites {cited}, which was not given" if cited else "cites nothing"
            return Claim(number, text, (), (), standing="unsupported", reason=reason)
        lines = tuple(_lines(text, passages))
        standing, reason = self._standing(text, passages, lines)
        against = _against(text, lines, given)
        return Claim(number, text, passages, lines, standing=standing, reason=reason, against=against)

    def _quoted(self, text: str, given: Sequence[Passage]) -> Sequence[Passage]:
        """What a sentence repeats that cites nothing: small models copy a line and leave out its number."""
        for passages in [*([passage] for passage in given), given]:
            standing, _ = self._standing(text, passages, list(_lines(text, passages)))
            if standing == "supported":
                return passages
        return []

    def _standing(self, text: str, passages: Sequence[Passage], lines: Sequence[Lines]) -> tuple[Standing, str]:
        there = "\n".join(f"{p.about}\n{p.text}" for p in passages)
        words, asked = content(there), content(self.question)
        strange = figures(text) - figures(there)
        if strange - figures(self.question):
            return "unsupported", f"{_listed(strange)} stands in no cited line"
        called = frozenset(name for name in names(text, self.known_names) if not content(name) <= words | asked)
        if called:
            return "unsupported", f"{_listed(called)} stands in no cited line"
        said = content(text)
        share = len(said & words) / len(said) if said else 0.0
        if share < _LITTLE:
            return "unsupported", f"{share:.0%} of its words stand in the cited lines"
        if strange:
            return "open", f"{_listed(strange)} stands in the question only"
        if _denies(text) != any(_denies(line.text) for line in lines):
            return "open", "one of claim and lines denies something"
        if share < _MUCH:
            return "open", f"{share:.0%} of its words stand in the cited lines"
        return "supported", ""


def is_not_told(text: str) -> bool:
    """True if the text says that the documents do not tell."""
    return _NOT_TOLD.search(text) is not None


def _cited(text: str) -> Iterator[tuple[str, list[int]]]:
    """Each sentence without its citations, and the numbers that it cites.

    A citation behind the full stop belongs to the sentence before it. One that opens a line holds for all sentences of
    the line that have none of their own: small models copy a document with its number in front.
    """
    for line in text.splitlines():
        opening = _CITED.match(line.lstrip(" -*\t"))
        opened = _numbers(opening[0]) if opening else []
        for sentence in sentences_of(_LATE.sub(r"\2\1", line) if not opening else line):
            numbers = _numbers(sentence) or opened
            bare = re.sub(r"\s+([.,;:!?])", r"\1", " ".join(_CITED.sub(" ", sentence).split()))
            if content(bare) and not _ASIDE.fullmatch(bare):
                yield "".join(filter(str.isprintable, bare)), numbers


def _numbers(text: str) -> list[int]:
    return [int(n) for match in _CITED.finditer(text) for n in re.findall(r"\d+", match[0])]


def _lines(text: str, passages: Iterable[Passage]) -> Iterator[Lines]:
    """The sentences of the passages that hold most of the claim's words: each adds some that those before it lack."""
    wanted = set(content(text)) | set(figures(text))
    pool = [(passage, sentence) for passage in passages for sentence in passage.sentences]
    chosen: list[tuple[Passage, Sentence]] = []
    while pool and len(chosen) < _MOST_SENTENCES:
        best = max(pool, key=lambda pair: len(_held(pair[1]) & wanted))
        held = _held(best[1]) & wanted
        if chosen and len(held) < 2 and not held & figures(text):
            break
        pool.remove(best)
        chosen.append(best)
        wanted -= held
    for passage, sentence in sorted(chosen, key=lambda pair: (pair[0].id, pair[1].first)):
        yield Lines(passage.file, sentence.first, sentence.last, sentence.text)


def _against(text: str, lines: Sequence[Lines], given: Iterable[Passage]) -> Lines | None:
    """A line that the claim does not stand on, and that says much the same with other figures."""
    counted = figures(text)
    words = content(text) - counted
    if not counted or not words:
        return None
    own = {(line.file, line.first) for line in lines}
    for passage in given:
        for sentence in passage.sentences:
            other = (passage.file, sentence.first) not in own and figures(sentence.text)
            if other and not other & counted and len(words & content(sentence.text)) / len(words) >= _MUCH:
                return Lines(passage.file, sentence.first, sentence.last, sentence.text)
    return None


def _held(sentence: Sentence) -> Set[str]:
    return content(sentence.text) | figures(sentence.text)


def _denies(text: str) -> bool:
    words = text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split()
    return any(word.strip(".,;:!?") in _NOT or "n't" in word for word in words)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))
