"""Small repositories."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

CODE = '''
def double(number: int) -> int:
    """Twice the number."""
    return number + 2
'''.lstrip()
TESTS = """
from code_ import double


def test_two() -> None:
    assert double(2) == 4


def test_three() -> None:
    assert double(3) == 6
""".lstrip()

Make = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a repository."""

    def written(files: Mapping[str, str]) -> Path:
        folder = tmp_path / "repository"
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return folder

    return written


@pytest.fixture
def repository(make: Make) -> Path:
    """One function, a test that passes and one that fails."""
    return make({"code_.py": CODE, "test_code.py": TESTS})
