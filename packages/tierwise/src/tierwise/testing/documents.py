"""The code in documents, run as it stands there: a README or a page whose code has stopped working is a defect.

@pytest.mark.parametrize("block", blocks(README), ids=str)
def test_the_code_runs(block: Block, tierwise_provider: LoopbackProvider) -> None:
    block.run()
"""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import reduce
from inspect import cleandoc
from operator import getitem
from pathlib import Path
from typing import Any

from tierwise.testing.provider.script import Call, Reply, Request

__all__ = ["Block", "blocks", "plausible"]

_FENCE = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_PRINTED = re.compile(r"^\s*#> ?(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of code in a Markdown page."""

    page: Path
    line: int
    """The line of its first fence, from 1."""
    source: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def imports(self) -> frozenset[str]:
        """The top-level packages that it imports."""
        found: set[str] = set()
        for node in ast.walk(ast.parse(self.source)):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
        return frozenset(found)

    def run(self) -> dict[str, Any]:
        """Runs it as a program, and gives the names that it has defined.

        Raises:
            AssertionError: What stands behind `#>` was not printed, in that order.
        """
        names: dict[str, Any] = {"__name__": "__main__"}
        out = io.StringIO()
        # With the lines before it, an error names the page's own line.
        program = compile("\n" * self.line + self.source, str(self.page), "exec", dont_inherit=True)
        with redirect_stdout(out):
            exec(program, names)  # noqa: S102 - the page's own code
        printed = out.getvalue()
        print(printed, end="")
        lines = iter(printed.splitlines())
        for expected in _PRINTED.findall(self.source):
            if not any(line.rstrip() == expected.rstrip() for line in lines):
                raise AssertionError(f"{self}: {expected!r} was not printed")
        return names


def blocks(*pages: Path, language: str = "python", importing: Iterable[str] | None = None) -> list[Block]:
    """The blocks of a language, in the order of the pages.

    Args:
        *pages: Markdown files.
        language: The word behind the fence.
        importing: Only blocks of Python that import a package whose name begins with one of these.
    """
    found = [block for page in pages for block in _blocks(page, language)]
    if importing is None:
        return found
    prefixes = tuple(importing)
    return [block for block in found if any(name.startswith(prefixes) for name in block.imports)]


def _blocks(page: Path, language: str) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        if match[2] == language:
            yield Block(page, text.count("\n", 0, match.start()) + 1, cleandoc(match[3]))


def plausible(request: Request) -> Reply:
    """An answer that any example can go on with.

    A typed answer fits its schema, and a score is the best. Where tools are offered and none has answered, the first is
    called; otherwise the answer is a sentence.
    """
    if request.schema is not None:
        return Reply(json=_instance(request.schema, request.schema))
    if request.tools and not any(message["role"] == "tool" for message in request.messages):
        function = request.tools[0]["function"]
        schema = function["parameters"]
        return Reply(tool_calls=[Call(function["name"], _instance(schema, schema))])
    return Reply(text="It is 12 degrees in Oslo.")


_VALUES: Mapping[str, Any] = {"string": "Oslo", "integer": 9, "number": 9.0, "boolean": True, "null": None}


def _instance(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """A value that fits a schema: the first of several choices, and of an object the fields that it requires."""
    if "$ref" in schema:
        return _instance(reduce(getitem, schema["$ref"].split("/")[1:], root), root)
    if "anyOf" in schema:
        return _instance(schema["anyOf"][0], root)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "array":
        return [_instance(schema.get("items", {"type": "string"}), root)]
    if kind != "object":
        return _VALUES[kind]
    properties: Mapping[str, Any] = schema.get("properties", {})
    return {name: _instance(properties[name], root) for name in schema.get("required", properties)}
