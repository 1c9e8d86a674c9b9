"""What a run of a repository's tests came to."""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass

from tierwise_examples.coding.bounded import Ran

__all__ = ["TestRun"]

_SUMMARY = re.compile(r"^=*\s*(\d+ (?:passed|failed|error|errors|skipped|xfailed|xpassed|deselected)\b.*?)\s*=*$")
_COUNT = re.compile(r"(\d+) (passed|failed|error|skipped|xfailed|xpassed)")
_ASSERTION = re.compile(r"^(?:[E>] .*|_+ \S+ _+|\S+\.py:\d+: .*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TestRun:
    """What a run of a repository's tests came to."""

    __test__ = False  # no class of tests itself

    passed: bool
    """Every test ran and none failed."""
    output: str
    """The tail of what was printed."""
    summary: str
    """One line, e.g. `1 failed, 3 passed in 0.02s`, or why the run was ended."""
    _: KW_ONLY
    green: int = 0
    """How many tests passed."""

    @classmethod
    def of(cls, ran: Ran) -> TestRun:
        """Reads pytest's output.

        A run counts as passed if pytest ended by itself with exit code 0 and says that tests passed: a program that
        leaves early proves nothing.
        """
        lines = ran.output.strip().splitlines()
        found = next((m[1] for line in reversed(lines) if (m := _SUMMARY.match(line))), "")
        counts = {name: int(number) for number, name in _COUNT.findall(found)}
        green = counts.get("passed", 0)
        passed = ran.code == 0 and green > 0 and not counts.keys() & {"failed", "error"}
        summary = ran.ended or found or (lines[-1] if lines else f"no output, exit code {ran.code}")
        return cls(passed, ran.output.strip(), summary, green=green)

    @classmethod
    def refused(cls, why: str) -> TestRun:
        """A run that was not made, because there was nothing to run."""
        return cls(False, why, why)

    def proves(self, before: TestRun) -> bool:
        """Whether this run shows that what failed before is mended: all pass, and no test that passed is gone."""
        return self.passed and self.green > before.green

    def excerpt(self, most: int = 700) -> str:
        """The lines that say what failed, as a prompt can hold them: source, values, place.

        Args:
            most: Characters.
        """
        text = "\n".join(_ASSERTION.findall(self.output)) or self.output or self.summary
        return text if len(text) <= most else text[:most].rsplit("\n", 1)[0]
