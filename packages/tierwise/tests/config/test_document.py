"""Where a setting stands in its file, and how it is read."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise.config.document import Document
from tierwise.errors import ConfigFileError

names = st.sampled_from(["a", "b", "ab", "a-b", "small", "1"])
"""Few, and alike, so that the same name stands in many places."""
bodies = st.dictionaries(names, st.one_of(st.integers(0, 2), names), max_size=4)
blanks = st.lists(st.sampled_from(["", "# a comment: a = 1", "  "]), max_size=2)


def document(text: str) -> Document:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tierwise.toml"
        path.write_text(text, encoding="utf-8")
        return Document(path)


def written(value: int | str) -> str:
    return str(value) if isinstance(value, int) else f'"{value}"'


@given(st.dictionaries(names, bodies, max_size=3), st.lists(bodies, max_size=3), blanks)
def test_every_setting_is_found_on_its_own_line(
    tables: dict[str, dict[str, int | str]], listed: list[dict[str, int | str]], blank: list[str]
) -> None:
    lines: list[str] = []
    places: dict[tuple[str | int, ...], int] = {}
    for name, body in tables.items():
        lines += [*blank, f"[{name}]"]
        places[(name,)] = len(lines)
        for key, value in body.items():
            lines += [*blank, f"{key} = {written(value)}"]
            places[(name, key)] = len(lines)
    for i, body in enumerate(listed):
        lines += [*blank, "[[many]]"]
        for key, value in body.items():
            lines += [*blank, f"{key} = {written(value)}"]
            places[("many", i, key)] = len(lines)
    found = document("\n".join(lines))
    assert {place: found.line(place) for place in places} == places


def test_a_setting_within_a_statement_of_several_lines() -> None:
    text = 'x = [\n  { a = 1, b = 2 },\n  { a = 1 },\n  "a",\n]\n"x.y" = { a = 1 }\nz.a = 3\n'
    found = document(text)
    assert found.line(("x", 0, "b")) == 2
    assert found.line(("x", 1, "a")) == 3
    assert found.line(("x", 2)) == 4
    assert found.line(("x.y", "a")) == 6
    assert found.line(("z", "a")) == 7


def test_what_is_not_there_stands_where_it_would_be() -> None:
    found = document("\n[t]\na = 1\n")
    assert found.line(("t", "missing")) == 2
    assert found.line(("missing",)) == 1


def test_a_text_over_several_lines_is_no_setting() -> None:
    assert document('a = """\nb = 1\n"""\nb = 1\n').line(("b",)) == 4


def test_a_key_that_is_written_otherwise_is_looked_for_no_further_than_its_table() -> None:
    assert document('[t]\n"\\u0061" = 1\n').line(("t", "a")) == 1


def test_a_byte_that_is_no_text_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tierwise.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigFileError, match=r"tierwise\.toml: .*decode") as caught:
        Document(path)
    assert caught.value.line is None
