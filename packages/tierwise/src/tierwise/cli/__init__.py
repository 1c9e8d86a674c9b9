"""The command line.

Exit codes, which scripts may rely on:

| code | meaning |
|---|---|
| 0 | done |
| 1 | the run failed, or its answer was rejected |
| 2 | wrong usage, or a wrong setting |
| 3 | refused before any call: trust, capabilities, a limit |
| 4 | nothing that was needed can be reached |
| 5 | the ledger cannot be read or written |
| 70 | a defect of Tierwise |
| 130 | interrupted |

What is asked for goes to standard output; everything else, errors included, to standard error. Where that is no
terminal, there are no colours, no progress bars and no other signs of life.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import TextIOWrapper

__all__ = ["main"]

_EXTRA = {"cyclopts", "rich"}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs a command and leaves with its exit code.

    Args:
        argv: The arguments; the process's own if not given.

    Raises:
        SystemExit: Always.
    """
    try:
        from tierwise.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        from tierwise.errors import MissingExtraError

        print(f"tierwise: {MissingExtraError('the command line', 'tierwise[cli]')}", file=sys.stderr)
        raise SystemExit(2) from None
    out: object = sys.stdout
    if isinstance(out, TextIOWrapper):
        # An answer may hold what this encoding, or any, cannot express.
        out.reconfigure(errors="replace")
    raise SystemExit(run(sys.argv[1:] if argv is None else argv))
