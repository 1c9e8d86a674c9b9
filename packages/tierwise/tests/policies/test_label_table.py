from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise import Always, Fleet, ModelSpec, Price, Router, Tier
from tierwise.context import Context
from tierwise.errors import ConfigError, UnknownNameError
from tierwise.policies import Cell, LabelTable
from tierwise.state import MemoryState
from tierwise.task import Task

CELLS = [
    Cell("code", "small", 0.50, 1000, 0.001),
    Cell("code", "medium", 0.79, 1000, 0.010),
    Cell("code", "large", 0.80, 1000, 0.100),
    Cell("chat", "small", 0.90, 1000, 0.001),
    Cell("chat", "medium", 0.91, 1000, 0.010),
    Cell("chat", "large", 0.90, 1000, 0.100),
]


def table(*cells: Cell, **settings: Any) -> LabelTable:
    return LabelTable(cells or CELLS, **settings)


@pytest.mark.parametrize(
    ("settings", "code", "chat"),
    [
        ({}, "medium", "small"),
        ({"tolerance": 0}, "large", "medium"),
        ({"tolerance": 0.5}, "small", "small"),
        ({"quality": 1.0}, "large", "medium"),
        ({"quality": 0.5}, "medium", "small"),
        ({"quality": 0.0}, "small", "small"),
    ],
)
def test_the_cheapest_that_is_near_the_best(bench: Any, settings: dict[str, Any], code: str, chat: str) -> None:
    policy = table(**settings)
    assert bench.tier(policy, Task("q", job="code")) == code
    assert bench.tier(policy, Task("q", job="chat")) == chat


@pytest.mark.parametrize("job", [None, "knit"])
def test_a_label_that_is_missing_or_new_abstains(bench: Any, job: str | None) -> None:
    assert bench.tier(table(), Task("q", job=job)) is None
    assert bench.tier(table() | Always("large"), Task("q", job=job)) == "large"


def test_the_decision_shows_its_figures(bench: Any) -> None:
    decision = bench.decide(table(prior=0), Task("q", job="code"))
    assert decision.scores == {"small": 0.50, "medium": 0.79, "large": 0.80}
    assert decision.reason == "code: medium scores 0.79 (n=1000), the best 0.8"
    assert decision.rule == "label table"


def test_two_lucky_outcomes_do_not_beat_a_thousand(bench: Any) -> None:
    cells = [
        Cell("rare", "small", 1.0, 2),
        Cell("rare", "large", 0.8, 500),
        Cell("common", "small", 0.3, 1000),
        Cell("common", "large", 0.8, 1000),
    ]
    assert bench.tier(table(*cells), Task("q", job="rare")) == "large"
    assert bench.tier(table(*cells, prior=0), Task("q", job="rare")) == "small"
    shrunk = bench.decide(table(*cells, prior=10), Task("q", job="rare")).scores["small"]
    assert shrunk == pytest.approx((2 * 1.0 + 10 * (2 + 300) / 1002) / 12)


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0, 100))
def test_a_shrunk_mean_lies_between_the_mean_and_the_overall_mean(count: int, mean: float, prior: float) -> None:
    cells = [Cell("x", "small", mean, count), Cell("y", "small", 0.5, 100)]
    overall = (mean * count + 50) / (count + 100)
    task = Task("q", job="x")
    fleet = Fleet([Tier("small", "x:s")])
    decision = LabelTable(cells, prior=prior).decide(task, Context.of(fleet, task, MemoryState()))
    assert decision is not None
    assert min(mean, overall) - 1e-9 <= decision.scores["small"] <= max(mean, overall) + 1e-9


def test_where_costs_are_unknown_the_lower_tier_is_the_cheaper(bench: Any) -> None:
    cells = [Cell("x", "large", 0.8, 100, 0.001), Cell("x", "medium", 0.8, 100)]
    assert bench.tier(table(*cells), Task("q", job="x")) == "medium"


def test_models_may_be_named_in_place_of_tiers(bench: Any) -> None:
    fleet = Fleet([Tier("small", ["x:a", "x:b"]), Tier("large", ModelSpec("x:c", alias="sea"))])
    cells = [Cell("x", "x:b", 0.8, 100), Cell("x", "x:a", 0.2, 100), Cell("y", "sea", 0.8, 100)]
    policy = table(*cells)
    decision = bench.decide(policy, Task("q", job="x"), fleet=fleet)
    assert (decision.tier, decision.model) == ("small", "x:b")
    assert bench.decide(policy, Task("q", job="y"), fleet=fleet).model == "sea"
    assert list(policy.model_refs()) == ["x:b", "x:a", "sea"]
    router = Router(fleet, policy=policy, backends={"x": repr})
    assert router.decide("q", job="x").model == "x:b"
    with pytest.raises(UnknownNameError, match="unknown tier or model 'x:d'"):
        Router(fleet, policy=table(Cell("x", "x:d", 0.5, 1)))


def test_what_may_not_take_the_task_is_no_candidate(bench: Any) -> None:
    fleet = Fleet([Tier("small", ModelSpec("x:s", trust="local")), Tier("medium", "x:m"), Tier("large", "x:l")])
    assert bench.tier(table(), Task("q", job="code", trust="local"), fleet=fleet) == "small"
    assert bench.tier(table(CELLS[2]), Task("q", job="code", trust="local"), fleet=fleet) is None


def test_it_is_fitted_from_outcomes(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.csv"
    rows = [f"code,1000,0,100,1,100\nchat,1000,{i % 2},100,{i % 2},100" for i in range(50)]
    path.write_text("task,in_tokens,score__s,out_tokens__s,score__l,out_tokens__l\n" + "\n".join(rows))
    policy = LabelTable.fit(
        path, names={"s": "small", "l": "large"}, prices={"s": Price(1, 1), "l": Price(9, 9)}, quality=0.9
    )
    assert bench.tier(policy, Task("q", job="code")) == "large"
    assert [(c.label, c.model, c.mean, c.count, c.cost) for c in policy.cells] == [
        ("code", "small", 0.0, 50, pytest.approx(0.0011)),
        ("code", "large", 1.0, 50, pytest.approx(0.0099)),
        ("chat", "small", 0.5, 50, pytest.approx(0.0011)),
        ("chat", "large", 0.5, 50, pytest.approx(0.0099)),
    ]


def test_what_is_saved_is_loaded(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    table(quality=0.5, prior=3).save(path)
    loaded = LabelTable.load(path)
    assert loaded.cells == tuple(CELLS)
    task = Task("q", job="code")
    assert bench.decide(loaded, task) == bench.decide(table(quality=0.5, prior=3), task)
    assert bench.tier(LabelTable.load(path, quality=1.0), task) == "large"
    assert [p.name for p in tmp_path.iterdir()] == ["table.json"]


def change(content: dict[str, Any], what: str) -> str:
    match what:
        case "mean":
            content["cells"][0]["mean"] = 0.99
        case "nan":
            content["cells"][0]["mean"] = float("nan")
        case "huge":
            return json.dumps(content).replace("0.5,", "1e999,", 1)
        case "settings":
            content["settings"]["tolerance"] = 1
        case "extra":
            content["cells"][0]["tier"] = "large"
        case "row":
            del content["cells"][0]
        case "format":
            content["format"] = "other"
        case "sha256":
            del content["sha256"]
        case "list":
            return "[]"
        case _:
            return "{"
    return json.dumps(content)


@pytest.mark.parametrize(
    "what", ["mean", "nan", "huge", "settings", "extra", "row", "format", "sha256", "list", "cut off"]
)
def test_a_file_that_was_changed_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "table.json"
    table().save(path)
    path.write_text(change(json.loads(path.read_text()), what))
    with pytest.raises(ConfigError, match=r"table\.json"):
        LabelTable.load(path)


def test_a_file_that_is_not_there_or_a_pickle_is_refused_and_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "table.json"
    with pytest.raises(ConfigError, match="No such file"):
        LabelTable.load(path)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ConfigError, match="no saved label table"):
        LabelTable.load(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("cells", "settings", "words"),
    [
        ([], {}, "at least one outcome"),
        ([CELLS[0], CELLS[0]], {}, "two cells are for 'code' and 'small'"),
        (CELLS, {"tolerance": -1}, "tolerance=-1 must be zero or more"),
        (CELLS, {"tolerance": float("nan")}, "tolerance=nan"),
        (CELLS, {"quality": 2}, "quality=2 must be between 0 and 1"),
        (CELLS, {"prior": float("inf")}, "prior=inf"),
        ([Cell("x", "a", 0.5, 1)], {"quality": 0.5}, "the cost of 'a' for 'x' is not known"),
    ],
)
def test_settings_that_cannot_be(cells: list[Cell], settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LabelTable(cells, **settings)
