from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise_ollama.thoughts import Thoughts


def read(pieces: Sequence[str]) -> tuple[str, str]:
    thoughts = Thoughts()
    parts = [*map(thoughts.feed, pieces), thoughts.end()]
    return "".join(answer for answer, _ in parts), "".join(thought for _, thought in parts)


@pytest.mark.parametrize(
    ("text", "answer", "thought"),
    [
        ("<think>Hm.</think>Four.", "Four.", "Hm."),
        ("\n<think>\nHm.\n</think>\n\nFour.", "Four.", "\nHm.\n"),
        ("<think></think>\n", "", ""),
        ("<think>Never ends", "", "Never ends"),
        ("<think>a </thin b</think>c", "c", "a </thin b"),
        ("Four. <think>is a tag</think>", "Four. <think>is a tag</think>", ""),
        ("<thin ice", "<thin ice", ""),
        ("<thi", "<thi", ""),
        ("  Four.", "  Four.", ""),
        ("", "", ""),
    ],
)
def test_what_is_answer_and_what_is_thought(text: str, answer: str, thought: str) -> None:
    assert read([text]) == (answer, thought)
    assert read(list(text)) == (answer, thought)


@given(st.text("<>/think a\n", max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_how_a_text_is_cut_into_pieces_changes_nothing(text: str, cuts: list[int]) -> None:
    text = "<think>" + text
    edges = sorted({0, len(text), *(min(c, len(text)) for c in cuts)})
    assert read([text[a:b] for a, b in pairwise(edges)]) == read([text])
