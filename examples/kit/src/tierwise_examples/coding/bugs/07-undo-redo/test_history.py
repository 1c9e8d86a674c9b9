from history import History


def test_letters_in_a_row_are_one_step() -> None:
    field = History()
    field.type("a")
    field.type("b")
    field.undo()
    assert field.text == ""


def test_undo_and_redo() -> None:
    field = History("old")
    field.replace("new")
    assert field.undo()
    assert field.text == "old"
    assert field.redo()
    assert field.text == "new"


def test_nothing_to_take_back() -> None:
    assert not History("old").undo()


def test_steps_are_forgotten_beyond_the_depth() -> None:
    field = History(depth=2)
    for text in ("a", "b", "c"):
        field.replace(text)
    while field.undo():
        pass
    assert field.text == "a"


def test_a_change_after_undo_ends_redo() -> None:
    field = History()
    field.replace("one")
    field.undo()
    field.replace("two")
    assert not field.redo()
    assert field.text == "two"


def test_typing_after_undo_is_a_step_of_its_own() -> None:
    field = History()
    field.type("a")
    field.undo()
    field.type("b")
    assert field.text == "b"
    assert field.undo()
    assert field.text == ""
    assert field.redo()
    assert field.text == "b"
