"""The code of pages: found, run, and held to what it says it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tierwise import Router
from tierwise.testing.documents import Block, blocks, plausible
from tierwise.testing.provider import Call, LoopbackProvider, Request

PAGE = """
# A page

```python
import json.decoder
x = 1
print(x, "and more")
#> 1 and more
```

```toml
x = 2
```

- in a list:

  ```python title="y.py"
  from wave_like import y
  ```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    return path


def block(source: str) -> Block:
    return Block(Path("page.md"), 7, source)


def test_blocks_are_found_with_their_line_and_without_their_indentation(page: Path) -> None:
    first, second = blocks(page)
    assert (str(first), first.imports, first.line) == ("page.md:4", {"json"}, 4)
    assert (second.source, second.line) == ("from wave_like import y", 17)
    assert [b.source for b in blocks(page, language="toml")] == ["x = 2"]
    assert blocks(page, importing=["wave", "nothing"]) == [second]


def test_a_block_runs_as_a_program_and_gives_its_names(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = blocks(page)[0].run()
    assert (names["x"], names["__name__"]) == (1, "__main__")
    assert capsys.readouterr().out == "1 and more\n"


@pytest.mark.parametrize("source", ["print(1)\n#> 2", "print(1)\nprint(2)\n#> 2\n#> 1", "#> 1"])
def test_what_it_does_not_print_fails_it(source: str) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:7: '\d' was not printed"):
        block(source).run()


def test_an_error_names_the_pages_own_line() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        block("x = 1\nx / 0").run()
    assert caught.traceback[-1].lineno == 8  # counted from 0: the ninth line


TYPED = {
    "type": "object",
    "properties": {
        "name": {"$ref": "#/$defs/Name"},
        "kind": {"enum": ["city", "town"]},
        "people": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "left out": {"type": "string"},
    },
    "required": ["name", "kind", "people", "tags"],
    "$defs": {"Name": {"type": "object", "properties": {"first": {"type": "string"}}}},
}


def asked(**fields: Any) -> Request:
    return Request(dialect="ollama", path="/api/chat", **fields)


def test_a_plausible_answer_fits_what_is_asked_for() -> None:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = {"function": {"name": "weather", "parameters": parameters}}
    user, result = {"role": "user", "content": "?"}, {"role": "tool", "content": "12"}
    city = {"name": {"first": "Oslo"}, "kind": "city", "people": 9, "tags": ["Oslo"]}
    assert plausible(asked(messages=[user], schema=TYPED)).json == city
    assert plausible(asked(messages=[user], tools=[tool])).tool_calls == [Call("weather", {"city": "Oslo"})]
    assert "Oslo" in plausible(asked(messages=[user, result], tools=[tool])).text


def test_the_fixture_stands_for_ollama_and_for_openai(tierwise_provider: LoopbackProvider) -> None:
    tierwise_provider.on("*", plausible)
    router = Router.simple(small="ollama:small", large="ollama:large")
    assert router.run("How warm is it?").text == "It is 12 degrees in Oslo."
    assert [c.model for c in tierwise_provider.calls] == ["small", "large"]  # the large one judges
