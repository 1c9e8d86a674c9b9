from __future__ import annotations

from typing import Any

import pytest
from tierwise import Always, Router, Single
from tierwise.attempt import Attempt, Outcome
from tierwise.errors import ConfigError
from tierwise.messages import Tool, ToolCall
from tierwise.task import Task
from tierwise.verdict import Verdict
from tierwise.verifiers import ValidOutput, ValidToolCalls

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
PAY = Tool("pay", parameters=SCHEMA, stakes="high")
LOOK = Tool("look", parameters=SCHEMA)


def kind(verdict: Verdict) -> str:
    return verdict.result + "!" * verdict.conclusive


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"n": 1}', "accept!"),
        ('```json\n{"n": 1}\n```', "accept!"),
        ('{"n": "one"}', "reject!"),
        ("one", "reject!"),
        ("", "reject!"),
    ],
)
def test_a_typed_output_fits_or_it_does_not(bench: Any, text: str, wanted: str) -> None:
    task = Task("q", output_schema=SCHEMA)
    assert kind(bench.judge(ValidOutput(), bench.answer(text, task=task)).verdict) == wanted


def test_prose_and_tool_turns_have_no_shape(bench: Any) -> None:
    assert kind(bench.judge(ValidOutput(), bench.answer("x")).verdict) == "abstain"
    task = Task("q", tools=[LOOK], output_schema=SCHEMA)
    turn = bench.answer(task=task, tool_calls=(ToolCall("look", {"n": 1}),))
    assert kind(bench.judge(ValidOutput(), turn).verdict) == "abstain"


def test_an_output_that_was_cut_off_is_named_as_such(bench: Any) -> None:
    outcome = bench.answer('{"n": ', task=Task("q", output_schema=SCHEMA), finish_reason="length")
    assert "cut off at the output limit" in bench.judge(ValidOutput(), outcome).verdict.evidence


def test_a_pattern_has_to_match_all_of_the_answer(bench: Any) -> None:
    verifier = ValidOutput(pattern="yes|no")
    assert kind(bench.judge(verifier, bench.answer(" yes\n")).verdict) == "accept!"
    assert kind(bench.judge(verifier, bench.answer("yes, but")).verdict) == "reject!"


@pytest.mark.parametrize("verifier", [ValidOutput(SCHEMA), ValidOutput(pattern=".*1.*")])
def test_high_stakes_ask_for_more_than_a_shape(bench: Any, verifier: ValidOutput) -> None:
    outcome = bench.answer('{"n": 1}', task=Task("q", stakes="high"))
    assert kind(bench.judge(verifier, outcome).verdict) == "accept"


def test_a_shape_may_be_one_of_several_conditions(bench: Any) -> None:
    def lucky(outcome: Outcome) -> bool:
        return "7" in outcome.text

    verifier = ValidOutput(SCHEMA, conclusive=False) & lucky
    assert bench.judge(verifier, bench.answer('{"n": 1}')).verdict.rejected
    assert bench.judge(verifier, bench.answer('{"n": 7}')).verdict.accepted


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="no regular expression"):
        ValidOutput(pattern="(")
    with pytest.raises(ConfigError, match="not both"):
        ValidOutput(SCHEMA, pattern="a")


@pytest.mark.parametrize(
    ("calls", "wanted", "evidence"),
    [
        ([], "abstain", "no tool call"),
        ([ToolCall("look", {"n": 1})], "accept!", "look: valid"),
        ([ToolCall("look", {"n": 1}, repaired=True)], "accept!", "repaired from text"),
        ([ToolCall("look", {"n": "1"})], "reject!", "look: n: '1' is not of type 'integer'"),
        ([ToolCall("lok", {"n": 1})], "reject!", "unknown tool 'lok'"),
        ([ToolCall("look", malformed="{")], "reject!", "no JSON object"),
        ([ToolCall("look", {"n": 1}), ToolCall("look", {})], "reject!", "'n' is a required property"),
    ],
)
def test_every_tool_call_of_a_turn_has_to_be_valid(
    bench: Any, calls: list[ToolCall], wanted: str, evidence: str
) -> None:
    outcome = bench.answer(task=Task("q", tools=[LOOK, PAY]), tool_calls=tuple(calls))
    verdict = bench.judge(ValidToolCalls(), outcome).verdict
    assert kind(verdict) == wanted
    assert evidence in verdict.evidence
    assert ValidToolCalls().check(outcome.attempt.task, outcome) == verdict


@pytest.mark.parametrize(
    ("tool", "stakes", "tier", "wanted"),
    [
        ("pay", "normal", "small", "abstain"),
        ("pay", "normal", "medium", "abstain"),
        ("pay", "normal", "large", "accept!"),
        ("look", "normal", "small", "accept!"),
        ("look", "high", "small", "abstain"),
        ("look", "high", "large", "accept!"),
    ],
)
def test_high_stakes_below_the_top_are_not_settled_by_the_shape_of_a_call(
    bench: Any, tool: str, stakes: Any, tier: str, wanted: str
) -> None:
    task = Task("q", tools=[LOOK, PAY], stakes=stakes)
    outcome = bench.answer(task=task, tier=tier, tool_calls=(ToolCall(tool, {"n": 1}),))
    assert kind(bench.judge(ValidToolCalls(), outcome).verdict) == wanted


def paying(attempt: Attempt) -> Outcome:
    return Outcome(attempt, tool_calls=(ToolCall("pay", {"n": 1}),))


@pytest.mark.parametrize(("tier", "status"), [("small", "unverified"), ("large", "verified")])
def test_a_small_tier_that_pays_unjudged_is_not_reported_as_verified(tier: str, status: str) -> None:
    router = Router.simple(
        small="x:small", large="x:large", backends={"x": paying}, strategy=Single(), policy=Always(tier)
    )
    assert router.run("pay 1", tools=[PAY]).status == status


def test_a_high_stakes_call_of_the_small_tier_goes_up() -> None:
    router = Router.simple(small="x:small", large="x:large", backends={"x": paying})
    reply = router.run("pay 1", tools=[PAY])
    assert (reply.tier, len(reply.attempts)) == ("large", 2)
    assert router.decide("pay 1", tools=[PAY]).tier == "small"
