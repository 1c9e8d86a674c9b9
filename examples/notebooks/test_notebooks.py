"""The notebooks of the framework that is installed here, on real small models."""

# nbformat has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode, read

NOTEBOOKS = [p for p in sorted(Path(__file__).parent.glob("*.ipynb")) if find_spec(p.stem.replace("-", "_"))]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> NotebookNode:
    return read(request.param, as_version=4)


def results(notebook: NotebookNode) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def charts(notebook: NotebookNode) -> list[str]:
    return [output.data["image/png"] for output in results(notebook) if "image/png" in output.get("data", {})]


@pytest.mark.models
def test_it_runs_from_beginning_to_end(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    assert charts(notebook)


def test_what_it_shows_is_kept_with_it(notebook: NotebookNode) -> None:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(len(chart) < 80_000 for chart in charts(notebook))
    assert charts(notebook)


def test_what_it_shows_names_no_machine(notebook: NotebookNode) -> None:
    shown = str([{k: v for k, v in output.items() if k != "data"} for output in results(notebook)])
    shown += str([output.get("data", {}).get("text/plain") for output in results(notebook)])
    assert not [name for name in ("127.0.0.1", "localhost", "/home/", "/tmp/", str(Path.home())) if name in shown]
