"""Text in columns."""

from tierwise.ledger.render.columns import columns


def test_cells_are_aligned_by_what_a_terminal_shows() -> None:
    assert columns([("agent", "job"), ("作家", "write"), ("a\x1b[31mb\nc", "")]) == "agent  job\n作家   write\nab c"
