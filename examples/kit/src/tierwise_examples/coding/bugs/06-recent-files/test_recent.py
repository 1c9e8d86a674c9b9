import pytest
from recent import RecentFiles


def test_the_latest_comes_first() -> None:
    assert RecentFiles(paths=["a.txt", "b.txt"]).menu() == ["b.txt", "a.txt"]


def test_old_files_are_dropped() -> None:
    assert RecentFiles(limit=2, paths=["a.txt", "b.txt", "c.txt"]).menu() == ["c.txt", "b.txt"]


def test_a_file_that_is_opened_again_comes_first_again() -> None:
    recent = RecentFiles(paths=["a.txt", "b.txt", "c.txt"])
    recent.opened("a.txt")
    assert recent.menu() == ["a.txt", "c.txt", "b.txt"]


def test_pinned_files_stay() -> None:
    recent = RecentFiles(limit=1, paths=["a.txt"])
    recent.pin("a.txt")
    recent.opened("b.txt")
    recent.opened("c.txt")
    assert recent.menu() == ["a.txt", "c.txt"]


def test_unpinned_files_are_dropped() -> None:
    recent = RecentFiles(limit=1, paths=["a.txt"])
    recent.pin("a.txt")
    recent.opened("b.txt")
    recent.unpin("a.txt")
    assert recent.menu() == ["b.txt"]


def test_only_what_is_listed_can_be_pinned() -> None:
    with pytest.raises(KeyError):
        RecentFiles().pin("a.txt")
