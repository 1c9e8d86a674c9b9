import re

from hypothesis import given
from hypothesis import strategies as st
from tierwise_examples.research.passages import Sentence, sentences_of, split

TEXT = """# Gauges

A gauge reads
every 60 seconds. It raises an alarm.

## Care

- Cleaned
  each May.
- Floats lie in store 3, e.g. Green ones.

| gauge | level |
| --- | --- |
| TG-01 | 2.40 m |
"""


def test_sentences_keep_their_lines_and_headings() -> None:
    first, care = split("gauges.md", TEXT)
    assert first.about == "Gauges"
    assert first.sentences == (
        Sentence("A gauge reads every 60 seconds.", 3, 4),
        Sentence("It raises an alarm.", 4, 4),
    )
    assert (first.place, first.first, first.last) == ("gauges.md:3-4", 3, 4)
    assert care.about == "Gauges, Care"
    assert [s.text for s in care.sentences] == [
        "Cleaned each May.",
        "Floats lie in store 3, e.g. Green ones.",
        "gauge, level",
        "TG-01, 2.40 m",
    ]
    assert (care.sentences[0].first, care.sentences[0].last) == (8, 9)
    assert care.sentences[-1].first == 14


def test_one_line_is_named_once() -> None:
    assert split("a.txt", "\nOne sentence.\n")[0].place == "a.txt:2"


def test_long_texts_come_in_pieces_that_a_prompt_holds() -> None:
    pieces = split("a.txt", "This sentence has six words altogether. " * 40)
    assert sum(len(p.sentences) for p in pieces) == 40
    assert all(len(p.text.split()) <= 70 for p in pieces)


def test_a_document_without_words_has_no_passages() -> None:
    assert split("a.md", "# Only a heading\n\n---\n```\n") == []


def test_a_line_break_ends_a_sentence_of_an_answer() -> None:
    assert sentences_of("One. Two\nThree") == ["One.", "Two", "Three"]


@given(st.text(alphabet="ab1.#-| \n!", max_size=200))
def test_every_sentence_stands_in_its_lines(text: str) -> None:
    lines = text.split("\n")
    for passage in split("a.md", text):
        for sentence in passage.sentences:
            there = " ".join(lines[sentence.first - 1 : sentence.last])
            assert set(re.findall(r"\w", sentence.text)) <= set(re.findall(r"\w", there))


@given(st.text(max_size=300))
def test_any_text_can_be_split(text: str) -> None:
    for passage in split("a.md", text):
        assert passage.text.strip()
        assert 1 <= passage.first <= passage.last <= text.count("\n") + 1
