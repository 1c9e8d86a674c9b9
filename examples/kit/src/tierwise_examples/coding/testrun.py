"""What a run of a repository's tests came to."""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass

from tierwise_examples.coding.bounded import Ran

__all__ = ["Failure", "TestRun"]

_SUMMARY = re.compile(r"^=*\s*(\d+ (?:passed|failed|error|errors|skipped|xfailed|xpassed|deselected)\b.*?)\s*=*$")
_COUNT = re.compile(r"(\d+) (passed|failed|error|skipped|xfailed|xpassed)")
_SECTION = re.compile(r"^_+ (\S.*?) _+$", re.MULTILINE)
_FRAME = re.compile(r"^(\S+\.py):(\d+): in \S+\n {4}(.+)$", re.MULTILINE)
_ERROR = re.compile(r"^E {3}(?! |[-+?] |$)(.+)$", re.MULTILINE)
"""What is wrong; lines of a diff or of an explanation are indented further."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A test that failed."""

    test: str
    """The test function's name."""
    file: str
    line: int
    statement: str
    """The line of the test at which it failed."""
    error: str
    """How, e.g. `assert 490 == 0`, or `KeyError: 'the'`."""

    def __str__(self) -> str:
        # Nothing of the code itself: a small model copies the line that is quoted.
        return f"`{self.statement}` fails with `{self.error}`."


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
    red: int = 0
    """How many failed."""

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
        return cls(passed, ran.output.strip(), summary, green=green, red=counts.get("failed", 0))

    @classmethod
    def refused(cls, why: str) -> TestRun:
        """A run that was not made, because there was nothing to run."""
        return cls(False, why, why)

    def proves(self, before: TestRun) -> bool:
        """Whether this run shows that what failed before is mended: no test fails, and none of those before is gone."""
        return self.passed and self.green >= before.green + max(1, before.red)

    @property
    def failures(self) -> list[Failure]:
        """The tests that failed, as far as the output tells them; none of those that could not even be imported."""
        names = _SECTION.split(self.output)[1:]
        return [f for name, text in zip(names[::2], names[1::2], strict=True) if (f := _failure(name, text))]

    def excerpt(self, most: int = 600) -> str:
        """What failed, in few words.

        Args:
            most: Characters.
        """
        text = "\n".join(map(str, self.failures)) or self.output or self.summary
        return text if len(text) <= most else text[:most].rsplit("\n", 1)[0]


def _failure(name: str, text: str) -> Failure | None:
    frame, error = _FRAME.search(text), _ERROR.search(text)
    if frame is None or error is None:
        return None
    return Failure(name.partition("[")[0], frame[1], int(frame[2]), frame[3].strip(), error[1])
