"""The commands, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from tierwise.cli.ask import ask
from tierwise.cli.audit import audit
from tierwise.cli.exits import Exit, exit_of
from tierwise.cli.init import init
from tierwise.cli.ledger import ledger
from tierwise.cli.models import models
from tierwise.cli.receipt import receipt
from tierwise.cli.screen import out, say
from tierwise.errors import TierwiseError

__all__ = ["app", "run"]

_EXIT_CODES = (
    "Exit codes: 0 done; 1 the run failed or its answer was rejected; 2 wrong usage or setting; 3 refused before any "
    "call (trust, capabilities, a limit); 4 out of reach; 5 the ledger cannot be read or written; 70 a defect of "
    "Tierwise; 130 interrupted."
)

app = App(
    name="tierwise",
    help="Send each step of an AI agent to the smallest model that can do it, prove that it did, and show the bill.",
    help_epilogue=_EXIT_CODES,
    help_format="plaintext",
    version=lambda: version("tierwise"),
)
app.command(init)
app.command(models)
app.command(ask)
app.command(receipt)
app.command(ledger)
app.command(audit)


@app.command
def demo(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Where the receipt is saved as a page.")] = Path(
        "tierwise-receipt.html"
    ),
) -> int:
    """Answer a handful of tasks on real local models, and show the bill."""
    from tierwise.cli.demo import run_demo

    run_demo(out(), output)
    return Exit.DONE


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    debug: Annotated[bool, Parameter(help="Show the traceback of an error.", negative="")] = False,
) -> int:
    try:
        command, bound, _ = app.parse_args(tokens, print_error=False, exit_on_error=False)
        return int(command(*bound.args, **bound.kwargs) or 0)
    except BrokenPipeError:
        # Who reads has read enough (`| head`). What Python would still flush at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last line: whatever it is becomes one line
        if debug:
            traceback.print_exception(error)
        else:
            say(f"tierwise: {_told(error)}")
        return Exit.USAGE if isinstance(error, CycloptsError) else exit_of(error)


def run(argv: Sequence[str]) -> int:
    """Runs a command.

    Args:
        argv: Its arguments.

    Returns:
        The exit code.
    """
    try:
        return int(app.meta(list(argv), print_error=False, exit_on_error=False, result_action="return_value") or 0)
    except CycloptsError as error:
        say(f"tierwise: {_told(error)}")
        return Exit.USAGE
    except SystemExit as left:  # help and version
        return left.code if isinstance(left.code, int) else Exit.DONE


def _told(error: BaseException) -> str:
    match error:
        case KeyboardInterrupt():
            return "interrupted"
        case CycloptsError():
            return f"{_one_line(str(error))} (see tierwise --help)"
        case TierwiseError():
            return str(error)
        case OSError():
            return str(error)
        case _:
            return f"a defect: {type(error).__name__}: {error} (--debug shows where)"


def _one_line(text: str) -> str:
    return " ".join(text.split())
