"""What of a text counts when texts are compared: its words by their stems, its numbers, its names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, cast

from bm25s.stopwords import STOPWORDS_EN_PLUS  # pyright: ignore[reportMissingTypeStubs] - it has none

__all__ = ["content", "figures", "names", "stems", "tokens"]

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['\N{RIGHT SINGLE QUOTATION MARK}][^\W\d_]+)*")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")
_ASKING = """
    what which who whom whose when where why how many much often long do does did tell say says said
    get gets got may might can could would should must be been being
"""
_IGNORED = frozenset(STOPWORDS_EN_PLUS) | frozenset(_ASKING.split())
_SPELLED = {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    )
}


def tokens(text: str) -> list[str]:
    """The words and numbers of a text, in their order and as they are written."""
    return _TOKEN.findall(text)


def stems(text: str) -> list[str]:
    """The stems of a text's words, and its numbers, without words that every text holds.

    Stems are those of Snowball's English stemmer (Porter, 2001).
    """
    return [_stem(word) for word in map(_plain, tokens(text)) if word not in _IGNORED]


def content(text: str) -> frozenset[str]:
    """The stems of a text, each once."""
    return frozenset(stems(text))


def figures(text: str) -> frozenset[str]:
    """The numbers of a text: `1,200` is `1200`, `07` is `7`, `four` is `4`. `one` is left out: it is a pronoun too."""
    found = map(_plain, tokens(text))
    return frozenset(word for word in found if word[0].isdigit() and word != "1")


def names(text: str, known: Iterable[str] = ()) -> frozenset[str]:
    """The names in a sentence: words that begin with a capital letter. Its first word only if it is a known name.

    Args:
        text: A sentence.
        known: Names, in lower case.
    """
    first, *rest = tokens(text) or [""]
    found = {word.casefold() for word in rest if word[:1].isupper()}
    if first.casefold() in frozenset(known):
        found.add(first.casefold())
    return frozenset(name for name in found if name not in _IGNORED)


def _plain(word: str) -> str:
    """A word in lower case without its genitive; a number in figures, without what is only notation."""
    word = word.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").removesuffix("'s")
    word = _SPELLED.get(word, word)
    if _THOUSANDS.fullmatch(word):
        word = word.replace(",", "")
    return (word.lstrip("0") or "0") if word.isdigit() else word


@lru_cache(maxsize=16_384)
def _stem(word: str) -> str:
    return _stemmer().stemWord(word)


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    import Stemmer

    return cast("Any", Stemmer).Stemmer("english")
