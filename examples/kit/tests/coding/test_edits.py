import ast
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise_examples.coding.edits import PatchError, patched
from tierwise_examples.coding.prompts import Plan
from tierwise_examples.coding.sandbox import Sandbox
from tierwise_examples.coding.source import find, lines
from tierwise_examples.coding.workspace import Workspace

Make: TypeAlias = Callable[[Mapping[str, str]], Path]

SHOP = '''
"""A shop."""

import os


def total(prices):
    return sum(prices)


class Cart:
    """What a customer takes."""

    def __init__(self):
        self.prices = []

    @property
    def count(self):
        return len(self.prices) + 1

    def total(self):
        return total(self.prices)


class Bill:
    def total(self):
        return 0
'''.lstrip()
STORE = "def total(prices):\n    return 0\n\n\ndef weight(pieces):\n    return 1\n"
TESTS = "def test_total():\n    assert False\n\n\ndef helper():\n    return 1\n"


class Untested(Sandbox):
    """For what runs no tests: it is never asked."""

    isolated = True

    def _place(self, folder: Path) -> object:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise AssertionError("nothing is to be run")


@pytest.fixture
def workspace(make: Make):
    folder = make({"shop.py": SHOP, "store.py": STORE, "test_shop.py": TESTS})
    with Workspace.copy(folder, Untested()) as copy:
        yield copy


def block(code: str) -> str:
    return f"Here it is:\n\n```python\n{code}\n```\nIt works now."


def aim(file: str, function: str) -> Plan:
    return Plan(file=file, function=function, cause="")


def test_a_function_is_replaced_whole(workspace: Workspace) -> None:
    changed = patched(workspace, block("def weight(pieces):\n    # each\n    return len(pieces)"))
    assert changed == {"store.py": STORE.replace("    return 1", "    # each\n    return len(pieces)")}


def test_code_without_a_block_will_do(workspace: Workspace) -> None:
    assert list(patched(workspace, "def weight(pieces):\n    return 2\n")) == ["store.py"]


def test_a_block_that_was_cut_off_will_do_if_it_is_python(workspace: Workspace) -> None:
    assert list(patched(workspace, "```python\ndef weight(pieces):\n    return 2")) == ["store.py"]


def test_the_plan_says_which_of_several_is_meant(workspace: Workspace) -> None:
    code = block("def total(prices):\n    return 3")
    assert list(patched(workspace, code, aim("store.py", "total"))) == ["store.py"]
    assert list(patched(workspace, code, aim("shop.py", "total"))) == ["shop.py"]
    with pytest.raises(PatchError, match=r"'total' is in shop\.py, store\.py: which one is meant\?"):
        patched(workspace, code)


def test_a_method_that_is_written_alone_goes_to_its_class(workspace: Workspace) -> None:
    changed = patched(workspace, block("def total(self):\n    return 5"), aim("shop.py", "Cart.total"))
    assert changed["shop.py"] == SHOP.replace("        return total(self.prices)", "        return 5")


def test_a_class_with_one_method_leaves_the_others(workspace: Workspace) -> None:
    changed = patched(workspace, block("class Bill:\n    def total(self):\n        return 5"))
    assert changed["shop.py"] == SHOP.replace("        return 0", "        return 5")


def test_decorators_that_were_left_out_stay(workspace: Workspace) -> None:
    changed = patched(workspace, block("def count(self):\n    return len(self.prices)"))
    assert changed["shop.py"] == SHOP.replace("len(self.prices) + 1", "len(self.prices)")


def test_two_functions_in_two_files(workspace: Workspace) -> None:
    changed = patched(
        workspace, block("def weight(pieces):\n    return 9") + block("def count(self):\n    return len(self.prices)")
    )
    assert sorted(changed) == ["shop.py", "store.py"]


def test_imports_of_the_standard_library_come_along(workspace: Workspace) -> None:
    code = "import math\nimport os\nfrom shop import Cart\n\ndef total(prices):\n    return math.fsum(prices)"
    text = patched(workspace, block(code), aim("shop.py", "total"))["shop.py"]
    assert text.startswith('"""A shop."""\n\nimport os\nimport math\n\n\ndef total')
    assert "from shop" not in text


def test_line_ends_are_the_files_own(make: Make) -> None:
    folder = make({})
    folder.mkdir()
    (folder / "a.py").write_bytes(STORE.replace("\n", "\r\n").encode())
    with Workspace.copy(folder, Untested()) as copy:
        text = patched(copy, block("import math\ndef weight(pieces):\n    x = 2\n    return x"))["a.py"]
    assert "\n" not in text.replace("\r\n", "")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "there is no function in the answer"),
        ("I am sorry.", "the answer is no Python"),
        ("```python\nprint('hello')\n```", "there is no function in the answer"),
        (block("def total(prices:\n    return"), "the answer is no Python"),
        (block("def unknown():\n    return 1"), "the repository has no function 'unknown'"),
        (block("def test_total():\n    assert True"), "'test_total' belongs to the tests"),
        (block("def weight(p):\n    return 2\n\ndef helper():\n    return 2"), "'helper' belongs to the tests"),
        (block("def weight(pieces):\n    return 1"), "the code is the same as before"),
    ],
)
def test_what_is_no_patch_says_why(workspace: Workspace, answer: str, why: str) -> None:
    with pytest.raises(PatchError, match=why):
        patched(workspace, answer)


def test_a_plan_that_names_a_test_does_not_open_it(workspace: Workspace) -> None:
    with pytest.raises(PatchError, match="'helper' belongs to the tests"):
        patched(workspace, block("def helper():\n    return 2"), aim("test_shop.py", "helper"))


@given(st.text())
def test_whatever_a_model_writes_is_a_patch_or_says_why(text: str) -> None:
    class Folder(Workspace):
        def files(self, *, tests: bool = True) -> list[str]:
            return ["shop.py"]

        def read(self, file: str) -> str:
            return SHOP

    try:
        changed = patched(Folder(Path(), Path(), Untested()), text)
    except PatchError:
        return
    assert all(ast.parse(new) for new in changed.values())


def test_definitions_are_found_by_their_names() -> None:
    found = find(SHOP, "Cart.count")
    assert found is not None
    assert found.text(SHOP) == "    @property\n    def count(self):\n        return len(self.prices) + 1\n"
    assert [d and d.name for d in (find(SHOP, "count"), find(SHOP, "Cart.count()"))] == ["Cart.count"] * 2
    assert find(SHOP, "Bill.count") is None
    assert find(SHOP, "total") is not None
    assert find("def broken(:", "broken") is None


def test_lines_are_those_of_python() -> None:
    source = "a = 'x\x0cy\u2028z'\r\ndef f():\r    return 1\n"
    assert lines(source) == ["a = 'x\x0cy\u2028z'\r\n", "def f():\r", "    return 1\n"]
