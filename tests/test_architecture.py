"""Arrows point one way: the rooms of the core, the core and the packages, and the only caller of a backend."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "packages" / "tierwise" / "src" / "tierwise"

# A room may import those before it and itself. Values come first; then what judges, who tries first, in what shape,
# what may go, who calls, what is kept; the driver and the router stand on all of them.
ORDER = [
    {"errors", "ids", "lazy", "values"},
    {"database", "figures", "functions", "jsontext", "patterns"},
    {"messages", "verdict"},
    {"task"},
    {"fleet"},
    {"attempt", "state", "schema", "quoting"},
    {"flow"},
    {"context"},
    {"verifiers"},
    {"gates"},
    {"policies"},
    {"strategies"},
    {"limits", "effects", "deadline"},
    {"admission"},
    {"backends"},
    {"ledger"},
    {"audit"},
    {"observer"},
    {"counts", "record"},
    {"run", "steps"},
    {"passage"},
    {"drive"},
    {"reply"},
    {"idempotency"},
    {"answering", "given"},
    {"router"},
    {"telemetry"},
    {"config"},
    {"testing"},
    {"cli"},
]
PLACE = {room: place for place, rooms in enumerate(ORDER) for room in rooms}
FRAMEWORKS = {"langchain", "langchain_core", "langgraph", "crewai", "pydantic_ai", "litellm", "ollama"}


def room_of(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def imports(path: Path, *, runtime_only: bool) -> list[str]:
    """The modules that a file imports at its top level; with `runtime_only`, not those for type checking."""
    found: list[str] = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and runtime_only:
            continue
        for inner in ast.walk(node) if not isinstance(node, ast.FunctionDef | ast.ClassDef) else ():
            if isinstance(inner, ast.Import):
                found += [alias.name for alias in inner.names]
            elif isinstance(inner, ast.ImportFrom) and inner.module:
                found += [inner.module, *(f"{inner.module}.{a.name}" for a in inner.names)]
    return found


FILES = sorted(CORE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(CORE)))
def test_rooms_import_only_rooms_before_them(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    assert room in PLACE, f"{room} is a new room: give it a place in ORDER"
    for name in imports(path, runtime_only=True):
        parts = name.split(".")
        if parts[0] != "tierwise" or len(parts) == 1:
            continue
        other = parts[1]
        if other in PLACE and other != room:
            assert PLACE[other] < PLACE[room], f"{path.relative_to(CORE)} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(CORE)))
def test_the_core_imports_no_framework(path: Path) -> None:
    used = {name.split(".")[0] for name in imports(path, runtime_only=False)}
    assert not used & FRAMEWORKS
    assert not any(name.startswith("tierwise_") for name in used)


def test_only_the_drivers_call_a_backend() -> None:
    callers: set[str] = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("call", "acall", "open", "aopen"):
                owner = node.value
                if isinstance(owner, ast.Attribute) and owner.attr == "backend":
                    callers.add(str(path.relative_to(CORE)))
    assert callers == {"drive.py"}


def test_adapters_and_backends_do_not_import_each_other() -> None:
    for package in (ROOT / "packages").iterdir():
        own = package.name.replace("-", "_")
        for path in (package / "src").rglob("*.py"):
            used = {name.split(".")[0] for name in imports(path, runtime_only=False)}
            others = {name for name in used if name.startswith("tierwise_")} - {own}
            assert not others, f"{path} imports {others}"


HEAVY = {
    "asyncio",
    *FRAMEWORKS,
    "httpx",
    "numpy",
    "opentelemetry",
    "pydantic",
    "rich",
    "cyclopts",
    "jsonschema",
    "genai_prices",
    "sqlite3",
    "redis",
}


UNUSED = {
    "backends.failures",
    "backends.native",
    "backends.repair",
    "fleet.discovery",
    "idempotency",
    "ledger.recall",
    "limits.budget",
    "limits.circuit",
    "limits.rate",
    "limits.retry",
    "limits.scope",
    "state.memory",
    "state.rules",
}
"""What a run needs only if somebody asks for it, and pays for then."""


def test_importing_the_core_loads_nothing_heavy() -> None:
    code = "import sys, json, tierwise; print(json.dumps(sorted(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(json.loads(shown))
    assert not HEAVY & {name.partition(".")[0] for name in loaded}
    assert not {f"tierwise.{name}" for name in UNUSED} & loaded
