"""Tables of outcomes: what each model scored on each query, and what that cost."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tierwise.errors import ConfigError
from tierwise.fleet.price import Price, Usage

__all__ = ["Cell", "cells_of", "read_rows"]

_SCORE, _COST, _TOKENS = "score__", "cost_usd__", "out_tokens__"


@dataclass(frozen=True, slots=True)
class Cell:
    """How well a model, or a tier, did on one label.

    Raises:
        ConfigError: A figure is not finite, a count is no whole number above zero, or a name is empty.
    """

    label: str
    """The job that a task names."""
    model: str
    """A tier's name, an alias or a model's id."""
    mean: float
    """The mean score."""
    count: int
    """How many outcomes the mean stands on."""
    cost: float | None = None
    """The mean USD of a call; `None` if it is not known."""

    def __post_init__(self) -> None:
        where = f"{self.label!r}, {self.model!r}"
        for setting in ("label", "model"):
            value = getattr(self, setting)
            if not (isinstance(value, str) and value):
                raise ConfigError(f"{where}: {setting}={value!r} must be a name", setting=setting, value=value)
        if not _is_number(self.mean):
            raise ConfigError(f"{where}: mean={self.mean!r} must be a finite number", setting="mean", value=self.mean)
        if type(self.count) is not int or self.count < 1:
            raise ConfigError(
                f"{where}: count={self.count!r} must be a whole number above zero", setting="count", value=self.count
            )
        if self.cost is not None and not (_is_number(self.cost) and self.cost >= 0):
            raise ConfigError(f"{where}: cost={self.cost!r} must be USD, zero or more", setting="cost", value=self.cost)


def read_rows(path: str | Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a CSV or JSONL file.

    Raises:
        ConfigError: The file's name ends in neither, or a line is no JSON object.
    """
    path = Path(path)
    if path.suffix not in (".csv", ".jsonl"):
        raise ConfigError(f"{path} must be a .csv or a .jsonl file", setting="path", value=str(path))
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            import csv

            yield from csv.DictReader(file)
            return
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _parsed(line, f"{path}, line {number}")


def cells_of(
    rows: Iterable[Mapping[str, Any]],
    *,
    label: str = "task",
    prices: Mapping[str, Price] | None = None,
    names: Mapping[str, str] | None = None,
    output_tokens: int | None = None,
) -> list[Cell]:
    """Adds up outcomes, one row for each query, to one cell for each label and model.

    A row has a label in the column `label`, and for each model `score__<model>`; for its cost `cost_usd__<model>`, or
    `in_tokens` and `out_tokens__<model>` with a price. A row without a label and a score that is empty are left out. A
    cell's cost is known if the cost of each of its outcomes is.

    Args:
        rows: The rows; texts are read as numbers.
        label: The column that holds the label.
        prices: The models' prices, by their names in the table.
        names: The names in the table, and the tier or model of the fleet that each stands for; models that are not
            among them are left out. By default the names are the fleet's own.
        output_tokens: The output tokens to assume where the table has no count; the cost is unknown there by default.

    Raises:
        ConfigError: A score or a count is no finite number; the message names row and column.
    """
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    costs: dict[tuple[str, str], list[float | None]] = defaultdict(list)
    for number, row in enumerate(rows, 1):
        if not row.get(label):
            continue
        for model in [column.removeprefix(_SCORE) for column in row if column.startswith(_SCORE)]:
            name = model if names is None else names.get(model)
            score = _number(row, _SCORE + model, number)
            if name is None or score is None:
                continue
            key = (str(row[label]), name)
            scores[key].append(score)
            costs[key].append(_cost(row, model, number, (prices or {}).get(model), output_tokens))
    return [
        Cell(at, model, math.fsum(found) / len(found), len(found), _mean(costs[at, model]))
        for (at, model), found in scores.items()
    ]


def _cost(row: Mapping[str, Any], model: str, number: int, price: Price | None, assumed: int | None) -> float | None:
    stated = _number(row, _COST + model, number)
    if stated is not None or price is None:
        return stated
    tokens_in, tokens_out = _number(row, "in_tokens", number), _number(row, _TOKENS + model, number)
    tokens_out = assumed if tokens_out is None else tokens_out
    if tokens_in is None or tokens_out is None:
        return None
    usd = price.cost(Usage(round(tokens_in), round(tokens_out))).usd
    return None if usd is None else float(usd)


def _number(row: Mapping[str, Any], column: str, number: int) -> float | None:
    value = row.get(column)
    if value is None or value == "":
        return None
    try:
        figure = float(value)
    except (TypeError, ValueError):
        figure = math.nan
    if not math.isfinite(figure):
        raise ConfigError(f"row {number}: {column}={value!r} must be a finite number", setting=column, value=value)
    return figure


def _mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return math.fsum(known) / len(known) if len(known) == len(values) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _parsed(line: str, where: str) -> Mapping[str, Any]:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{where}: no JSON: {error}", setting="path", value=where) from error
    if not isinstance(row, dict):
        raise ConfigError(f"{where}: must be a JSON object", setting="path", value=where)
    return cast("Mapping[str, Any]", row)
