"""OpenTelemetry is imported by those who ask for it, and is not needed by anyone else."""

from __future__ import annotations

import subprocess
import sys

import pytest

FLEET = """
import sys
from tierwise import Fleet, ModelSpec, Router, Tier
fleet = Fleet([Tier("small", ModelSpec("mine:small", trust="local"))])
backends = {"mine": lambda attempt: "Yes."}
"""
WITHOUT = "import sys; sys.modules['opentelemetry'] = None\n"


def ran(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("telemetry", ["", ", telemetry=None"])
def test_a_router_without_telemetry_imports_none_of_it(telemetry: str) -> None:
    code = f"{FLEET}Router(fleet, backends=backends{telemetry}).run('Is it?')\n"
    shown = ran(code + "print([name for name in sys.modules if name.startswith(('opentelemetry', 'tierwise.tele'))])")
    assert shown.strip() == "[]"


def test_the_name_alone_imports_none_of_it() -> None:
    shown = ran("import sys; from tierwise import Telemetry; print('opentelemetry' in sys.modules)")
    assert shown.strip() == "False"


def test_the_api_is_enough() -> None:
    code = f"{FLEET}from tierwise import Telemetry\nRouter(fleet, backends=backends, telemetry=Telemetry()).run('?')\n"
    assert ran(code + "print('opentelemetry.sdk' in sys.modules)").strip() == "False"


def test_without_opentelemetry_the_error_names_the_extra() -> None:
    asking = "from tierwise import Telemetry\ntry:\n    Telemetry()\nexcept ImportError as error:\n    print(error)"
    code = f"{WITHOUT}{asking}"
    assert ran(code).strip() == 'telemetry needs tierwise[otel]: pip install "tierwise[otel]"'


def test_without_opentelemetry_a_router_works() -> None:
    code = f"{WITHOUT}{FLEET}print(Router(fleet, backends=backends).run('Is it?').text)"
    assert ran(code).strip() == "Yes."
