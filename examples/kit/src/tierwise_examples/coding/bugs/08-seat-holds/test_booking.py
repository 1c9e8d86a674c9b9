import pytest
from booking import Performance, SoldError
from holds import HOLD


def performance() -> Performance:
    return Performance(["A1", "A2", "A3"])


def test_a_held_seat_is_not_free() -> None:
    show = performance()
    assert show.hold("A1", "kim", now=0)
    assert show.free(now=1) == 2


def test_nobody_else_can_hold_it() -> None:
    show = performance()
    show.hold("A1", "kim", now=0)
    assert not show.hold("A1", "lee", now=10)
    assert show.hold("A1", "kim", now=10)


def test_who_holds_a_seat_can_buy_it() -> None:
    show = performance()
    show.hold("A1", "kim", now=0)
    show.buy("A1", "kim", now=30)
    assert show.owner("A1") == "kim"


def test_a_hold_ends() -> None:
    show = performance()
    show.hold("A1", "kim", now=0)
    assert show.hold("A1", "lee", now=HOLD)
    with pytest.raises(SoldError):
        show.buy("A1", "kim", now=HOLD + 1)


def test_a_sold_seat_is_counted_once() -> None:
    show = performance()
    show.hold("A1", "kim", now=0)
    show.buy("A1", "kim", now=30)
    assert show.free(now=31) == 2


def test_a_sold_seat_cannot_be_held() -> None:
    show = performance()
    show.hold("A1", "kim", now=0)
    show.buy("A1", "kim", now=30)
    assert not show.hold("A1", "kim", now=40)
