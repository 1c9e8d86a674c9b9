"""What has worked for this job before? A table of mean outcomes by label."""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tierwise.context import Context, Decision
from tierwise.errors import ConfigError
from tierwise.fleet.price import Price
from tierwise.policies.base import Policy
from tierwise.policies.outcomes import Cell, cells_of, read_rows
from tierwise.task import Task

__all__ = ["LabelTable"]

_FORMAT = "tierwise label table 1"


class _Candidate(NamedTuple):
    cell: Cell
    score: float
    """The cell's mean, shrunk."""
    tier: str
    model: str | None
    rank: int


class LabelTable(Policy):
    """Sends a task to the cheapest tier whose mean outcome for the task's job is near the best.

    The job label is the strongest simple feature there is. Abstains where the task names no job, or one that is not in
    the table, and where none of the table's models may and can take the task.

    Means of few outcomes are shrunk towards the model's overall mean, as if `prior` outcomes more had scored that: the
    empirical-Bayes estimate for categories of Micci-Barreca, "A preprocessing scheme for high-cardinality categorical
    attributes", SIGKDD Explorations 3(1), 2001. Where the mean cost of a label's models is not known, the lower tier
    counts as the cheaper.

    Args:
        cells: A mean for each label and each tier, alias or model's id.
        tolerance: How far, in units of the score, a mean may lie below the best.
        quality: In place of a tolerance, a dial from 0 (cost alone) to 1 (score alone): the highest
            quality * score + (1 - quality) * (1 - cost) is taken, both scaled to run from 0 to 1. That is the dial of
            Avengers-Pro (arXiv:2508.12631), but scaled over the whole table: over one label's models alone, scaling
            blows up what may be noise among equals.
        prior: How many outcomes the overall mean counts for.

    Raises:
        ConfigError: There are no cells, two are for the same label and model, an argument is out of its range, or a
            dial is given and the cost of a cell is not known.
    """

    def __init__(
        self, cells: Iterable[Cell], *, tolerance: float = 0.02, quality: float | None = None, prior: float = 10.0
    ) -> None:
        self.cells = tuple(cells)
        self._tolerance = _within("tolerance", tolerance, math.inf)
        self._quality = None if quality is None else _within("quality", quality, 1)
        self._prior = _within("prior", prior, math.inf)
        self._labels = _by_label(self.cells, self._prior)
        self._scores = _ends([score for listed in self._labels.values() for _, score in listed])
        self._costs = _ends([c.cost for c in self.cells if c.cost is not None])
        uncosted = next((c for c in self.cells if c.cost is None), None)
        if quality is not None and uncosted is not None:
            raise ConfigError(
                f"quality={quality!r} weighs score against cost, and the cost of {uncosted.model!r} for "
                f"{uncosted.label!r} is not known: give prices, or use tolerance",
                setting="quality",
                value=quality,
            )

    @classmethod
    def fit(
        cls,
        rows: Iterable[Mapping[str, Any]] | str | Path,
        *,
        label: str = "task",
        prices: Mapping[str, Price] | None = None,
        names: Mapping[str, str] | None = None,
        output_tokens: int | None = None,
        **settings: Any,
    ) -> LabelTable:
        """Makes a table of outcomes in the wide form: `task`, `score__<model>`, `out_tokens__<model>`, and so on.

        Args:
            rows: One row for each query, or a CSV or JSONL file of them.
            label: The column that holds the label.
            prices: The models' prices, by their names in the table.
            names: The names in the table, and the tier or model of the fleet that each stands for.
            output_tokens: How many to assume where the table has no count; the cost is unknown there by default.
            **settings: Further arguments of `LabelTable`.

        Raises:
            ConfigError: A figure is not finite, or there are no outcomes.
        """
        read = read_rows(rows) if isinstance(rows, str | Path) else rows
        cells = cells_of(read, label=label, prices=prices, names=names, output_tokens=output_tokens)
        return cls(cells, **settings)

    @classmethod
    def load(cls, path: str | Path, *, on_error: Literal["raise", "warn"] = "raise", **settings: Any) -> LabelTable:
        """Reads a table that `save` wrote. It is plain JSON: nothing in it is run.

        Args:
            path: The file.
            on_error: What a file that is missing or not as it was saved means. `raise`: an error. `warn`: a warning is
                logged, and the table abstains on every task, so that the policy after it decides.
            **settings: Arguments of `LabelTable` that replace the file's.

        Raises:
            ConfigError: The file cannot be read, was changed after it was saved, or holds figures that cannot be.
        """
        if on_error not in ("raise", "warn"):
            raise ConfigError(f"on_error={on_error!r} must be 'raise' or 'warn'", setting="on_error", value=on_error)
        try:
            return cls(**(_read(path) | settings))
        except _UnreadError as error:
            if on_error == "raise":
                raise
            from logging import getLogger

            getLogger("tierwise.policies").warning("%s; the table abstains on every task", error)
            return _Unread()

    def save(self, path: str | Path) -> None:
        """Writes the table as JSON, whole or not at all."""
        content: dict[str, Any] = {
            "format": _FORMAT,
            "settings": {"tolerance": self._tolerance, "quality": self._quality, "prior": self._prior},
            "cells": [asdict(cell) for cell in self.cells],
        }
        content["sha256"] = _digest(content)
        beside = Path(f"{path}.{os.getpid()}.tmp")
        beside.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        beside.replace(path)

    def decide(self, task: Task, context: Context) -> Decision | None:
        """See `Policy`."""
        listed = self._labels.get(task.job) if task.job else None
        candidates = [c for cell, score in listed or () if (c := _candidate(cell, score, context)) is not None]
        if not candidates:
            return None
        best = max(c.score for c in candidates)
        chosen = self._near(candidates, best) if self._quality is None else self._dialled(candidates, self._quality)
        cell = chosen.cell
        return Decision(
            chosen.tier,
            rule="label table",
            reason=f"{cell.label}: {cell.model} scores {chosen.score:.3g} (n={cell.count}), the best {best:.3g}",
            model=chosen.model,
            scores={c.cell.model: c.score for c in candidates},
        )

    def model_refs(self) -> Iterable[str]:
        """See `Policy`."""
        return dict.fromkeys(cell.model for cell in self.cells)

    def _near(self, candidates: Sequence[_Candidate], best: float) -> _Candidate:
        near = [c for c in candidates if c.score >= best - self._tolerance]
        if all(c.cell.cost is not None for c in near):
            return min(near, key=lambda c: (c.cell.cost, c.rank, -c.score))
        return min(near, key=lambda c: (c.rank, -c.score))

    def _dialled(self, candidates: Sequence[_Candidate], quality: float) -> _Candidate:
        def worth(candidate: _Candidate) -> float:
            score = _share(candidate.score, self._scores)
            return quality * score + (1 - quality) * (1 - _share(candidate.cell.cost or 0.0, self._costs))

        return max(candidates, key=lambda c: (worth(c), -c.rank))


class _Unread(LabelTable):
    """A table that could not be read: it abstains."""

    def __init__(self) -> None:
        self.cells = ()

    def decide(self, task: Task, context: Context) -> Decision | None:
        """See `Policy`."""
        return None


class _UnreadError(ConfigError):
    """The file is no table as it was saved."""


def _read(path: str | Path) -> dict[str, Any]:
    """The arguments that a file holds.

    Raises:
        _UnreadError: It cannot be read, was changed after it was saved, or holds figures that cannot be.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        stated = content.pop("sha256")
        if content["format"] != _FORMAT or stated != _digest(content):
            raise ValueError("it is not as it was saved: fit the table again, or make it with LabelTable(cells)")
        return {"cells": [Cell(**cell) for cell in content["cells"]], **content["settings"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, ConfigError) as error:
        raise _UnreadError(f"{path} is no saved label table: {error}", setting="path", value=str(path)) from error


def _by_label(cells: Sequence[Cell], prior: float) -> dict[str, list[tuple[Cell, float]]]:
    if not cells:
        raise ConfigError("a label table needs at least one outcome with a label", setting="cells", value=())
    by_model: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_model[cell.model].append(cell)
    overall = {m: math.fsum(c.mean * c.count for c in of) / sum(c.count for c in of) for m, of in by_model.items()}
    labels: dict[str, list[tuple[Cell, float]]] = defaultdict(list)
    for cell in cells:
        if any(other.model == cell.model for other, _ in labels[cell.label]):
            raise ConfigError(
                f"two cells are for {cell.label!r} and {cell.model!r}", setting="cells", value=(cell.label, cell.model)
            )
        shrunk = (cell.count * cell.mean + prior * overall[cell.model]) / (cell.count + prior)
        labels[cell.label].append((cell, shrunk))
    return labels


def _candidate(cell: Cell, score: float, context: Context) -> _Candidate | None:
    """The cell, if its tier or model may and can take the task."""
    for tier in (*context.ladder, *context.specialists):
        if tier.name == cell.model:
            return _Candidate(cell, score, tier.name, None, context.fleet.rank(tier.name))
    for tier in (*context.ladder, *context.specialists):
        for model in tier.models:
            if cell.model in (model.key, model.id):
                return _Candidate(cell, score, tier.name, model.key, context.fleet.rank(tier.name))
    return None


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values, default=0.0), max(values, default=0.0)


def _share(value: float, ends: tuple[float, float]) -> float:
    low, high = ends
    return (value - low) / (high - low) if high > low else 0.0


def _within(setting: str, value: Any, high: float) -> float:
    if not (isinstance(value, int | float) and 0 <= value <= high and math.isfinite(value)):
        bound = "zero or more" if high == math.inf else f"between 0 and {high:g}"
        raise ConfigError(f"{setting}={value!r} must be {bound}", setting=setting, value=value)
    return float(value)


def _digest(content: Mapping[str, Any]) -> str:
    from hashlib import sha256

    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no figure")
