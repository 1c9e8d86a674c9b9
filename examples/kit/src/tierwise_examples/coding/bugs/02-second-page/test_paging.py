from paging import footer, neighbours, page_count, page_items

LETTERS = list("abcdefg")


def test_a_page_that_is_not_full_counts() -> None:
    assert page_count(7, 3) == 3


def test_an_empty_list_has_one_page() -> None:
    assert page_count(0, 10) == 1


def test_the_first_page_begins_with_the_first_entry() -> None:
    assert page_items(LETTERS, 1, 3) == ["a", "b", "c"]


def test_behind_the_last_page_there_is_nothing() -> None:
    assert page_items(LETTERS, 9, 3) == []


def test_links_stop_at_both_ends() -> None:
    assert neighbours(1, 4) == [1, 2, 3]
    assert neighbours(4, 4) == [2, 3, 4]


def test_footer() -> None:
    assert footer(2, 7, 3) == "Page 2 of 3"
