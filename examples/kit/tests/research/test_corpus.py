from pathlib import Path

import pytest
from tierwise.errors import ConfigError
from tierwise_examples.research import Corpus


def test_texts_of_a_folder_and_its_folders_are_read(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.txt").write_bytes(b"Caf\xe9 opens.")
    (tmp_path / "a.md").write_text("The boat.")
    (tmp_path / "c.py").write_text("print()")
    corpus = Corpus.read(tmp_path)
    assert list(corpus.documents) == ["a.md", "deep/b.txt"]
    assert [p.id for p in corpus.passages] == [0, 1]


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (tmp_path / "secret.md").write_text("The key is 1234.")
    (docs / "a.md").write_text("The boat.")
    (docs / "link.md").symlink_to(tmp_path / "secret.md")
    (docs / "up").symlink_to(tmp_path)
    (docs / "gone.md").symlink_to(tmp_path / "gone")
    assert list(Corpus.read(docs).documents) == ["a.md"]


def test_very_large_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("The boat.")
    (tmp_path / "dump.txt").write_text("x" * 1_000_001)
    assert list(Corpus.read(tmp_path).documents) == ["a.md"]


@pytest.mark.parametrize("text", ["", "# Heading only\n", "\n\n"])
def test_a_folder_without_text_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.md").write_text(text)
    with pytest.raises(ConfigError, match=r"hold no text: name a folder with \.md or \.txt"):
        Corpus.read(tmp_path)


def test_what_is_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no folder"):
        Corpus.read(tmp_path / "none")


def test_names_are_words_that_are_never_written_small() -> None:
    corpus = Corpus({"a.md": "Idris cleans. He cleans the Dabchick, and he rests. Boats rest. All boats."})
    assert {"idris", "dabchick"} <= corpus.names
    assert not {"he", "boats"} & corpus.names


def test_the_shipped_papers_are_a_few_dozen_short_texts(shipped: Corpus) -> None:
    lengths = {file: text.count("\n") for file, text in shipped.documents.items()}
    assert 30 <= len(lengths) <= 40
    assert max(lengths.values()) <= 60
    assert max(len(line) for text in shipped.documents.values() for line in text.split("\n")) <= 120
