"""The functions and classes of a Python file, and where they stand."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Definition", "constants", "definitions", "find", "lines"]

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Definition:
    """A function, a method or a class."""

    name: str
    """With its class, where it is a method: `Cart.total`."""
    first: int
    """The line that it begins on, counted from 1, decorators included."""
    last: int
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

    @property
    def is_class(self) -> bool:
        """True for a class."""
        return isinstance(self.node, ast.ClassDef)

    def text(self, source: str) -> str:
        """Its own lines, with their indentation."""
        return "".join(lines(source)[self.first - 1 : self.last])


def lines(source: str) -> list[str]:
    """The lines of a file as Python counts them, with their ends."""
    return io.StringIO(source, newline="").readlines()


def definitions(source: str) -> list[Definition]:
    """The functions, classes and methods of a file, as they stand in it; none where it does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return []
    return list(_within(tree.body, ""))


def find(source: str, name: str) -> Definition | None:
    """The definition of that name. `total` finds the method `Cart.total` too, where no other is named so."""
    wanted = name.removesuffix("()").strip()
    found = definitions(source)
    exact = [d for d in found if d.name == wanted]
    loose = [d for d in found if d.name.rpartition(".")[2] == wanted.rpartition(".")[2] and "." in d.name]
    if exact:
        return exact[0]
    return loose[0] if len(loose) == 1 and "." not in wanted else None


def constants(source: str, code: str) -> str:
    """The assignments of a file's top level to names that a piece of its code uses."""
    used = set(_WORD.findall(code))
    return "\n".join(
        ast.get_source_segment(source, node) or ""
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and any(name in used for name in _names(node))
    )


def _names(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _within(body: Sequence[ast.stmt], prefix: str) -> Iterator[Definition]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = prefix + node.name
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            yield Definition(name, first, node.end_lineno or node.lineno, node)
            if isinstance(node, ast.ClassDef):
                yield from _within(node.body, f"{name}.")
