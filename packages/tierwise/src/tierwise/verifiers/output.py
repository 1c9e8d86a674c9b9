"""Does the answer have the shape that was asked for? Typed output, a pattern, tool calls."""

from __future__ import annotations

import re
from typing import Any

from tierwise.context import Context
from tierwise.errors import ConfigError
from tierwise.flow import Flow, Outcome, Verdict
from tierwise.schema import parse_output, schema_errors
from tierwise.task import Task, ToolCall
from tierwise.verifiers.base import Verifier

__all__ = ["ValidOutput", "ValidToolCalls"]


class ValidOutput(Verifier):
    """Accepts, conclusively, an answer that fits the schema, and rejects, conclusively, one that does not.

    Abstains where the task asks for no shape, and on turns that call tools.

    Args:
        schema: A JSON schema, a pydantic model or any type that pydantic understands; the task's own if not given.
        pattern: A regular expression that the whole answer must match, in place of a schema.
    """

    def __init__(self, schema: Any = None, *, pattern: str | None = None) -> None:
        self._schema = schema
        try:
            self._pattern = re.compile(pattern) if pattern is not None else None
        except re.error as error:
            raise ConfigError(
                f"pattern {pattern!r} is no regular expression: {error}", setting="pattern", value=pattern
            ) from error

    def check(self, task: Task, outcome: Outcome) -> Verdict:
        """See `Verifier`."""
        if outcome.tool_calls:
            return self.abstain("a turn that calls tools", quotes=False)
        if self._pattern is not None:
            if self._pattern.fullmatch(outcome.text.strip()):
                return self.accept(f"matches {self._pattern.pattern!r}", conclusive=True, quotes=False)
            return self.reject(f"does not match {self._pattern.pattern!r}", conclusive=True, quotes=False)
        schema = self._schema if self._schema is not None else task.output_schema
        if schema is None:
            return self.abstain("no schema", quotes=False)
        try:
            parse_output(schema, outcome.text)
        except ValueError as error:
            cut = " (cut off at the output limit)" if outcome.finish_reason == "length" else ""
            return self.reject(f"does not fit the schema{cut}: {_short(error)}", conclusive=True)
        if task.stakes == "high":
            return self.accept("fits the schema; high stakes ask for more", quotes=False)
        return self.accept("fits the schema", conclusive=True, quotes=False)


class ValidToolCalls(Verifier):
    """Accepts, conclusively, a turn whose tool calls all name a known tool with arguments that fit its schema.

    Rejects, conclusively, a turn with any call that does not. Abstains on turns that call none. Below the top tier it
    also abstains where the stakes are high, of the task or of a tool that is called: the shape of a call proves
    nothing about its wisdom.
    """

    def check(self, task: Task, outcome: Outcome) -> Verdict:
        """See `Verifier`."""
        if not outcome.tool_calls:
            return self.abstain("no tool call", quotes=False)
        for call in outcome.tool_calls:
            wrong = tool_call_error(task, call)
            if wrong:
                return self.reject(wrong, conclusive=True)
        names = ", ".join(c.name for c in outcome.tool_calls)
        how = "valid, repaired from text" if outcome.repaired else "valid"
        return self.accept(f"{names}: {how}", conclusive=True, quotes=False)

    def flow(self, task: Task, outcome: Outcome, context: Context) -> Flow[Verdict]:
        """See `Verifier`."""
        verdict = self.check(task, outcome)
        high = task.stakes == "high" or any(t.stakes == "high" for t in _called(task, outcome))
        if verdict.accepted and high and outcome.attempt.tier != context.reach[-1].name:
            return self.abstain(f"{verdict.evidence}, but the stakes are high", quotes=False)
        return verdict
        yield ()


def tool_call_error(task: Task, call: ToolCall) -> str:
    """What is wrong with a tool call; empty if nothing is."""
    tool = task.tool(call.name)
    if tool is None:
        return f"unknown tool {call.name!r}"
    if call.malformed is not None:
        return f"{call.name}: the arguments are no JSON object"
    wrong = schema_errors(tool.parameters, dict(call.arguments))
    return f"{call.name}: {wrong}" if wrong else ""


def _called(task: Task, outcome: Outcome) -> list[Any]:
    return [tool for call in outcome.tool_calls if (tool := task.tool(call.name)) is not None]


def _short(error: ValueError, limit: int = 200) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
