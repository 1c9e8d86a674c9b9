"""Puts functions that a model wrote in the place of those of the same name.

A small model writes a whole function far better than a diff: no line numbers, no context to repeat. A class counts as
its methods, so that one which holds only the corrected method leaves the others as they are.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tierwise_examples.coding.source import Definition, definitions, find, lines
from tierwise_examples.coding.workspace import Workspace, is_test

__all__ = ["Aim", "PatchError", "patched"]

_BLOCK = re.compile(r"```[\w+-]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_LONGEST = 20_000
"""Characters of an answer that are read."""


class Aim(Protocol):
    """A file and a function in it, as a plan names them."""

    @property
    def file(self) -> str: ...
    @property
    def function(self) -> str: ...


class PatchError(ValueError):
    """What a model wrote is no patch of this repository; the message says why, in words for the next one to try."""


@dataclass(frozen=True, slots=True)
class _Written:
    """A function that a model wrote."""

    name: str
    """With its class, where it was written within one."""
    text: str
    """From the first column on."""
    decorated: bool
    imports: tuple[str, ...]
    """Of the standard library, from the top of its block."""


def patched(workspace: Workspace, answer: str, aim: Aim | None = None) -> dict[str, str]:
    """The files that an answer changes, with their new texts.

    Args:
        workspace: The repository.
        answer: What a model wrote: functions, methods or classes, in a code block or alone.
        aim: Where a name is looked for first, as several files or classes may have it.

    Raises:
        PatchError: There is no function in it, one that the repository does not have, or nothing that differs; or it
            is one of the tests'.
    """
    texts = {name: workspace.read(name) for name in workspace.files()}
    changed = dict(texts)
    for written in _written(answer):
        name, definition = _target(written, changed, aim)
        changed[name] = _replaced(changed[name], definition, written)
    result = {name: text for name, text in changed.items() if text != texts[name]}
    if not result:
        raise PatchError("the code is the same as before")
    for name, text in result.items():
        _parsed(text, name)
    return result


def _written(answer: str) -> list[_Written]:
    """The functions and methods of an answer.

    Raises:
        PatchError: It has none, or does not parse.
    """
    wrong = PatchError("there is no function in the answer")
    found: list[_Written] = []
    for block in _BLOCK.findall(answer[:_LONGEST]) or [answer[:_LONGEST]]:
        code = textwrap.dedent(block).strip("\n") + "\n"
        try:
            tree = _parsed(code, "the answer")
        except PatchError as error:
            wrong = error
            continue
        imports = tuple(_imports(tree))
        found += [
            _Written(d.name, textwrap.dedent(d.text(code)).rstrip("\n"), bool(d.node.decorator_list), imports)
            for d in definitions(code)
            if not d.is_class
        ]
    if not found:
        raise wrong
    return found


def _target(written: _Written, texts: Mapping[str, str], aim: Aim | None) -> tuple[str, Definition]:
    """Where a function belongs.

    Raises:
        PatchError: Nowhere, in the tests, or in more than one place.
    """
    if aim is not None and aim.function.rpartition(".")[2] == written.name.rpartition(".")[2]:
        aimed = find(texts.get(aim.file, ""), aim.function)
        if aimed is not None and not aimed.is_class and not is_test(aim.file):
            return aim.file, aimed
    places = [(name, d) for name, text in texts.items() if (d := find(text, written.name)) and not d.is_class]
    if not places:
        raise PatchError(f"the repository has no function {written.name!r}")
    code = [place for place in places if not is_test(place[0])]
    if not code:
        raise PatchError(f"{written.name!r} belongs to the tests: change the code")
    first = [place for place in code if aim is not None and place[0] == aim.file] or code
    if len(first) > 1:
        raise PatchError(f"{written.name!r} is in {', '.join(name for name, _ in code)}: which one is meant?")
    return first[0]


def _replaced(source: str, definition: Definition, written: _Written) -> str:
    """The file with one function replaced. Decorators that the model left out stay."""
    first = definition.first if written.decorated else definition.node.lineno
    end = "\r\n" if "\r\n" in source else "\n"
    text = textwrap.indent(written.text, " " * definition.node.col_offset).replace("\n", end) + end
    before, after = lines(source)[: first - 1], lines(source)[definition.last :]
    return _with_imports("".join([*before, text, *after]), written.imports, end)


def _with_imports(source: str, wanted: Sequence[str], end: str) -> str:
    """The file with imports that it lacks, put after its first one, or after its docstring."""
    tree = _parsed(source, "the file with the answer in it")
    lacking = [line for line in wanted if line not in set(_imports(tree))]
    places = [node.end_lineno or 0 for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    heading = tree.body[0].end_lineno or 0 if ast.get_docstring(tree) is not None else 0
    at = places[0] if places else heading
    own = lines(source)
    return "".join([*own[:at], *(line + end for line in lacking), *own[at:]])


def _imports(tree: ast.Module) -> Iterator[str]:
    """The imports of the standard library, one name each: what a corrected function may need on top."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            names = [(alias, ast.Import([alias])) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [(ast.alias(node.module), ast.ImportFrom(node.module, [alias], 0)) for alias in node.names]
        else:
            continue
        for module, statement in names:
            if module.name.partition(".")[0] in sys.stdlib_module_names and module.name != "__future__":
                yield ast.unparse(statement)


def _parsed(code: str, what: str) -> ast.Module:
    """The code's syntax tree.

    Raises:
        PatchError: It is no Python.
    """
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise PatchError(f"{what} is no Python: {error}") from error
