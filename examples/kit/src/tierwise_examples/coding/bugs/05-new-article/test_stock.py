import pytest
from stock import Shelf, total


def test_room() -> None:
    assert Shelf(10, {"cup": 3}).free == 7


def test_more_of_an_article() -> None:
    shelf = Shelf(10, {"cup": 3})
    shelf.put("cup", 2)
    assert shelf.pieces == {"cup": 5}


def test_a_new_article() -> None:
    shelf = Shelf(10)
    shelf.put("cup", 3)
    shelf.put("plate", 2)
    assert shelf.pieces == {"cup": 3, "plate": 2}


def test_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="room for 7"):
        Shelf(10, {"cup": 3}).put("cup", 8)


def test_take_what_is_there() -> None:
    shelf = Shelf(10, {"cup": 3})
    assert shelf.take("cup", 5) == 3
    assert shelf.take("plate", 1) == 0


def test_total() -> None:
    assert total([Shelf(5, {"cup": 3}), Shelf(5, {"cup": 1, "plate": 2})], "cup") == 4
