from pricing import Line, discount, shipping, subtotal, total


def test_subtotal_counts_every_piece() -> None:
    assert subtotal([Line("cup", 900, 2), Line("plate", 1_500)]) == 3_300


def test_discount_is_rounded_down() -> None:
    assert discount(999, 10) == 99


def test_small_baskets_pay_for_shipping() -> None:
    assert shipping(4_999) == 490


def test_large_baskets_are_sent_free() -> None:
    assert shipping(7_500) == 0


def test_shipping_is_free_from_the_threshold_on() -> None:
    assert shipping(5_000) == 0


def test_discount_comes_before_shipping() -> None:
    assert total([Line("lamp", 5_200)], percent=10) == 4_680 + 490
