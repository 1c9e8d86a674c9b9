"""Does the answer have the shape that was asked for? Typed output, a pattern, tool calls."""

from __future__ import annotations

from typing import Any

from tierwise.attempt import Outcome
from tierwise.context import Context
from tierwise.errors import ConfigError
from tierwise.flow import Flow
from tierwise.messages import ToolCall
from tierwise.patterns import compiled
from tierwise.schema import parse_output, schema_errors
from tierwise.task import Task
from tierwise.verdict import Verdict
from tierwise.verifiers.base import Verifier

__all__ = ["ValidOutput", "ValidToolCalls"]


class ValidOutput(Verifier):
    """Accepts, conclusively, an answer that fits the schema, and rejects, conclusively, one that does not.

    Abstains where the task asks for no shape, and on turns that call tools. Where the stakes are high, what fits is
    accepted, but not conclusively.

    Args:
        schema: A JSON schema, a pydantic model or any type that pydantic understands; the task's own if not given.
        pattern: A regular expression that the whole answer must match, in place of a schema.
        conclusive: Whether an answer that fits ends the matter, so that no model is asked about it. `False` where more
            has to hold than its shape: `ValidOutput(conclusive=False) & Judge()`.

    Raises:
        ConfigError: The pattern is no regular expression, or both a schema and a pattern are given.
    """

    def __init__(self, schema: Any = None, *, pattern: str | None = None, conclusive: bool = True) -> None:
        if schema is not None and pattern is not None:
            raise ConfigError(f"give a schema or pattern={pattern!r}, not both", setting="pattern", value=pattern)
        self._schema = schema
        self._conclusive = conclusive
        self._pattern = compiled(pattern)

    def check(self, task: Task, outcome: Outcome) -> Verdict:
        """See `Verifier`."""
        if outcome.tool_calls:
            return self.abstain("a turn that calls tools", quotes=False)
        if self._pattern is not None:
            if self._pattern.fullmatch(outcome.text.strip()):
                return self._fits(task, f"matches {self._pattern.pattern!r}")
            return self.reject(f"does not match {self._pattern.pattern!r}", conclusive=True, quotes=False)
        schema = self._schema if self._schema is not None else task.output_schema
        if schema is None:
            return self.abstain("no schema", quotes=False)
        try:
            parse_output(schema, outcome.text)
        except ValueError as error:
            cut = " (cut off at the output limit)" if outcome.finish_reason == "length" else ""
            return self.reject(f"does not fit the schema{cut}: {_short(error)}", conclusive=True)
        return self._fits(task, "fits the schema")

    def _fits(self, task: Task, evidence: str) -> Verdict:
        if task.stakes == "high":
            return self.accept(f"{evidence}; high stakes ask for more", quotes=False)
        return self.accept(evidence, conclusive=self._conclusive, quotes=False)


class ValidToolCalls(Verifier):
    """Accepts, conclusively, a turn whose tool calls all name a known tool with arguments that fit its schema.

    Rejects, conclusively, a turn with any call that does not, and a turn that calls none where the task requires a
    call. Abstains on other turns that call none. Below the top tier it also abstains where the stakes are high, of the
    task or of a tool that is called: the shape of a call proves nothing about its wisdom. `check`, which cannot know
    the tiers, abstains there whoever answered.
    """

    def check(self, task: Task, outcome: Outcome) -> Verdict:
        """See `Verifier`."""
        return self._cautious(self._shape(task, outcome), task, outcome)

    def flow(self, task: Task, outcome: Outcome, context: Context) -> Flow[Verdict]:
        """See `Verifier`."""
        verdict = self._shape(task, outcome)
        top = outcome.attempt.tier == context.reach[-1].name
        return verdict if top else self._cautious(verdict, task, outcome)
        yield ()

    def _shape(self, task: Task, outcome: Outcome) -> Verdict:
        if not outcome.tool_calls:
            if task.tools_required:
                return self.reject("no tool call where one is required", conclusive=True)
            return self.abstain("no tool call", quotes=False)
        for call in outcome.tool_calls:
            wrong = tool_call_error(task, call)
            if wrong:
                return self.reject(wrong, conclusive=True)
        names = ", ".join(c.name for c in outcome.tool_calls)
        how = "valid, repaired from text" if outcome.repaired else "valid"
        return self.accept(f"{names}: {how}", conclusive=True, quotes=False)

    def _cautious(self, verdict: Verdict, task: Task, outcome: Outcome) -> Verdict:
        if not verdict.accepted:
            return verdict
        called = [task.tool(call.name) for call in outcome.tool_calls]
        if task.stakes != "high" and not any(tool is not None and tool.stakes == "high" for tool in called):
            return verdict
        return self.abstain(f"{verdict.evidence}, but the stakes are high", quotes=False)


def tool_call_error(task: Task, call: ToolCall) -> str:
    """What is wrong with a tool call; empty if nothing is."""
    tool = task.tool(call.name)
    if tool is None:
        return f"unknown tool {call.name!r}"
    if call.malformed is not None:
        return f"{call.name}: the arguments are no JSON object"
    wrong = schema_errors(tool.parameters, dict(call.arguments))
    return f"{call.name}: {wrong}" if wrong else ""


def _short(error: ValueError, limit: int = 200) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
