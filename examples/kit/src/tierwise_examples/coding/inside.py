"""What runs first inside the sandbox: takes a copy of the copy, binds itself to the limits, and becomes the test run.

It is run as a script by a bare Python (`-I -S`), so it imports the standard library alone. Its one argument is a JSON
object: `source`, `target`, `uid` (or null), `wrap`, `limits` by name of the `RLIMIT_` constant, and `command`.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from typing import Any


def main(order: dict[str, Any]) -> None:
    """Does not return: the command takes this process's place."""
    if order["uid"] is not None:
        # The count of processes binds every user but root.
        os.setgroups([])
        os.setresgid(order["uid"], order["uid"], order["uid"])
        os.setresuid(order["uid"], order["uid"], order["uid"])
    shutil.copytree(order["source"], order["target"], symlinks=True)
    os.chdir(order["target"])
    for name, most in order["limits"].items():
        number = getattr(resource, name)
        _, hard = resource.getrlimit(number)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(number, (allowed, allowed))
    # Where the wrap does not work, user namespaces cannot be made, and there is nothing that it would have to forbid.
    command: list[str] = order["command"]
    wrap: list[str] = order["wrap"]
    full = [*wrap, *command] if _works(wrap) else command
    os.execv(full[0], full)


def _works(wrap: list[str]) -> bool:
    return bool(wrap) and subprocess.run([*wrap, "/usr/bin/env"], capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
