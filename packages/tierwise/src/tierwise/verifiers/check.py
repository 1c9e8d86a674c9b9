"""Evidence from outside: a test run, a compiler, a look-up."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from tierwise.attempt import WORK, Attempt, Outcome
from tierwise.context import Context
from tierwise.errors import ConfigError
from tierwise.figures import check_figure
from tierwise.flow import Flow, call
from tierwise.task import Task
from tierwise.verdict import Verdict
from tierwise.verifiers.base import Expense, FunctionVerifier, Verifier
from tierwise.verifiers.command import Ran, run_command

__all__ = ["Check"]

Tested: TypeAlias = "Callable[..., bool | Verdict | None] | Sequence[str]"


class Check(Verifier):
    """Runs a function or a command over the answer. What it finds is conclusive.

    It runs where calls run, away from the flow's own thread, so a slow one holds up nothing else, and has a row of its
    own in the receipt. A command that ends with exit code 0 accepts. Any other code rejects, with the tail of the
    output as evidence; so does running out of time. A command runs without a shell, and is told where things are on
    this machine and none of this process's other environment variables, so no keys. The answer reaches it on standard
    input, or in a file whose path takes the place of the argument `"{file}"`; nothing in it is read as a command or a
    path.

    **What a command does with the answer is its own business. A test run that executes code which a model wrote lets
    that code do whatever you may do: run it in a sandbox.**

    On turns that call tools a command abstains; a function sees them.

    Args:
        test: A function of the outcome (or of task and outcome) that gives `True`, `False`, `None` to abstain, or a
            verdict; or a command as a list of arguments.
        timeout: Seconds after which a command is ended, with all that it started. A function has to end by itself.
        extract: What of the answer's text a command is given; all of it by default.
        cwd: Where a command runs; here by default.
        env: Further environment variables for a command.
        suffix: The ending of the file's name, e.g. `.py`.

    Raises:
        ConfigError: The program is not found, the command is a string, or the timeout is not above zero.
    """

    expense = Expense.LOCAL

    def __init__(
        self,
        test: Tested,
        *,
        timeout: float = 60.0,
        extract: Callable[[str], str] | None = None,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        suffix: str = "",
    ) -> None:
        check_figure("timeout", timeout)
        self._function = FunctionVerifier(test) if callable(test) else None
        self._command: tuple[str, ...] = () if callable(test) else _command(test, cwd)
        self._timeout = timeout
        self._extract = extract
        self._options: dict[str, Any] = {"cwd": cwd, "env": env, "suffix": suffix}

    @property
    def name(self) -> str:
        """See `Verifier`."""
        return f"Check {self._function.name}" if self._function else f"Check {Path(self._command[0]).stem}"

    def flow(self, task: Task, outcome: Outcome, context: Context) -> Flow[Verdict]:
        """See `Verifier`."""
        if self._function is not None:
            work: Callable[[], Any] = partial(self._function.ask, task, outcome)
        elif outcome.tool_calls:
            return self.abstain("a turn that calls tools", quotes=False)
        else:
            work = partial(self._run, task, outcome)
        done = yield from call(Attempt(task, WORK, purpose="check", reason=self.name, work=work))
        if not done.ok:
            return self.abstain(f"was not run: {type(done.error).__name__}", quotes=False)
        return self._said(done.value) if self._function is not None else self._ended(done.value, task)

    def _run(self, task: Task, outcome: Outcome) -> Ran:
        text = outcome.text if self._extract is None else self._extract(outcome.text)
        return run_command(self._command, text, timeout=self._seconds(task), **self._options)

    def _seconds(self, task: Task) -> float:
        return self._timeout if task.deadline is None else min(self._timeout, task.deadline)

    def _ended(self, ran: Ran, task: Task) -> Verdict:
        if ran.code == 0:
            return self.accept("exit code 0", conclusive=True, quotes=False)
        how = f"not done after {self._seconds(task):g} s" if ran.code is None else f"exit code {ran.code}"
        return self.reject(f"{how}: {_last(ran.output)}" if ran.output else how, conclusive=True)

    def _said(self, answer: Any) -> Verdict:
        assert self._function is not None  # noqa: S101 - a command gives a `Ran`
        verdict = self._function.verdict(answer)
        if isinstance(answer, bool):
            return replace(verdict, verifier=self.name, conclusive=True)
        return verdict


def _command(command: Any, cwd: str | Path | None) -> tuple[str, ...]:
    """The command with the whole path of its program.

    Raises:
        ConfigError: It is none, or its program is not found.
    """
    from shutil import which

    if isinstance(command, str):
        raise ConfigError(
            f"command {command!r} must be a list of arguments, as no shell is there to take it apart: "
            f"{command.split()!r}",
            setting="test",
            value=command,
        )
    arguments = tuple(map(str, command))
    if not arguments:
        raise ConfigError("the command is empty: give a program and its arguments", setting="test", value=command)
    program = arguments[0]
    if os.path.dirname(program):
        program = os.path.abspath(os.path.join(cwd or ".", program))
    found = which(program)
    if found is None:
        raise ConfigError(
            f"program {arguments[0]!r} is not found: install it, or give its path", setting="test", value=arguments[0]
        )
    return (found, *arguments[1:])


def _last(output: str, limit: int = 500) -> str:
    return output if len(output) <= limit else "…" + output[1 - limit :]
