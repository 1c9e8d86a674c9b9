"""What runs first inside the sandbox: takes a copy of the copy, binds itself to the limits, and becomes the test run.

It is run as a script by a bare Python (`-I -S`), so it imports the standard library alone. Its one argument is a JSON
object: `source`, `target`, `uid` (or null), `limits` by name of the `RLIMIT_` constant, and `command`.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
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
    os.execv(order["command"][0], order["command"])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
