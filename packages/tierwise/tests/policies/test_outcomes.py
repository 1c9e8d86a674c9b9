from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise import Price
from tierwise.errors import ConfigError
from tierwise.policies import Cell
from tierwise.policies.outcomes import cells_of, read_rows

CSV = """id,task,in_tokens,score__a,out_tokens__a,score__b,cost_usd__b
1,code,1000,1,500,1,0.01
2,code,3000,0,100,1,0.03
3,,10,1,1,1,0.5
4,chat,100,,,0.5,
"""
JSONL = """{"task": "code", "in_tokens": 1000, "score__a": 1, "out_tokens__a": 500, "score__b": 1, "cost_usd__b": 0.01}
{"task": "code", "in_tokens": 3000, "score__a": 0, "out_tokens__a": 100, "score__b": 1, "cost_usd__b": 0.03}

{"task": null, "score__a": 1}
{"task": "chat", "in_tokens": 100, "score__a": null, "score__b": 0.5}
"""


@pytest.mark.parametrize(("name", "text"), [("o.csv", CSV), ("o.jsonl", JSONL)])
def test_a_wide_table_becomes_means_by_label_and_model(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert cells_of(read_rows(path), prices={"a": Price(1, 10)}) == [
        Cell("code", "a", 0.5, 2, 0.005),
        Cell("code", "b", 1.0, 2, 0.02),
        Cell("chat", "b", 0.5, 1, None),
    ]


def test_without_a_price_the_cost_is_unknown_and_not_zero(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    path.write_text(CSV, encoding="utf-8")
    assert cells_of(read_rows(path))[0].cost is None


def test_output_tokens_may_be_assumed_where_there_is_no_count() -> None:
    rows = [{"task": "x", "in_tokens": 1000, "score__a": 1}, {"task": "y", "score__a": 1}]
    assert [c.cost for c in cells_of(rows, prices={"a": Price(1, 10)}, output_tokens=200)] == [0.003, None]


def test_names_choose_and_translate() -> None:
    rows = [{"kind": "x", "score__a": 1, "score__b": 0}]
    assert cells_of(rows, label="kind", names={"b": "small"}) == [Cell("x", "small", 0.0, 1)]


@pytest.mark.parametrize("score", ["nan", "inf", "-Infinity", math.nan, math.inf, "good", [1]])
def test_a_score_that_is_no_figure_is_refused_with_its_place(score: Any) -> None:
    with pytest.raises(ConfigError, match=r"row 2: score__a=.* must be a finite number"):
        cells_of([{"task": "x", "score__a": 1}, {"task": "x", "score__a": score}])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must be a \.csv or a \.jsonl file"):
        list(read_rows("outcomes.parquet"))
    path = tmp_path / "o.jsonl"
    for line, words in (("{", "line 2: no JSON"), ("[1]", "line 2: must be a JSON object")):
        path.write_text(f"{{}}\n{line}\n")
        with pytest.raises(ConfigError, match=words):
            list(read_rows(path))


@pytest.mark.parametrize(
    "fields",
    [
        {"mean": math.nan},
        {"mean": math.inf},
        {"mean": "1"},
        {"mean": True},
        {"count": 0},
        {"count": 1.5},
        {"count": True},
        {"cost": -1},
        {"cost": math.nan},
        {"label": ""},
        {"model": 3},
    ],
)
def test_a_cell_with_a_figure_that_cannot_be(fields: dict[str, Any]) -> None:
    given: dict[str, Any] = {"label": "x", "model": "a", "mean": 0.5, "count": 3}
    with pytest.raises(ConfigError):
        Cell(**(given | fields))


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.floats(0, 1)), min_size=1))
def test_no_outcome_is_lost_or_counted_twice(outcomes: list[tuple[str, float]]) -> None:
    cells = cells_of({"task": label, "score__a": score} for label, score in outcomes)
    assert sum(c.count for c in cells) == len(outcomes)
    assert math.fsum(c.mean * c.count for c in cells) == pytest.approx(math.fsum(s for _, s in outcomes))
