"""The steps of an agent under the default policy: who acts, who writes, what it costs, and what is seen of it."""

from __future__ import annotations

from typing import Any

import pytest
from tierwise import BestOf, Cascade, Message, Observe, Outcome, Single, Task, Tool, ToolCall, Vote
from tierwise.attempt import Attempt, Show
from tierwise.context import Decision
from tierwise.strategies import Strategy, act_only
from tierwise.testing import ScriptedBackend

from .driving import DOWN, Driver, every_driver, router

PROSE = "It is cold in Oslo, and it will go on like this."
LOOK = Tool("look", parameters={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
ANSWER = Tool("answer", parameters={"type": "object", "properties": {"city": {"type": "string"}}})
AFTER = Task(
    [
        Message("user", "How cold is it?"),
        Message("assistant", tool_calls=(ToolCall("look", {"n": 1}, id="1"),)),
        Message("tool", "-7", name="look", tool_call_id="1"),
    ],
    tools=[LOOK, ANSWER],
)


def yes(outcome: Outcome) -> bool:
    return True


def calls(*made: ToolCall) -> Any:
    """A backend's step: the model calls these tools."""

    def answer(attempt: Attempt) -> Outcome:
        return Outcome(attempt, tool_calls=made)

    return answer


STRATEGIES = pytest.mark.parametrize("strategy", [Cascade(yes), Single()], ids=["cascade", "single"])


@STRATEGIES
@every_driver
@pytest.mark.parametrize(
    "call", [ToolCall("look", {"n": 2}), ToolCall("answer", {"city": "Oslo"})], ids=["call", "typed"]
)
def test_a_further_valid_call_is_one_call(drive: Driver, strategy: Strategy, call: ToolCall) -> None:
    backend = ScriptedBackend({"small": calls(call), "*": "x"})
    got = drive(router(backend, strategy), AFTER)
    assert got.answer == ("", (call,), "verified", "small")
    assert [(r.purpose, r.tier, r.decision_rule) for r in got.rows] == [("answer", "small", "act step")]


@STRATEGIES
@every_driver
def test_prose_is_stopped_unseen_and_the_answering_tier_writes(drive: Driver, strategy: Strategy) -> None:
    backend = ScriptedBackend({"small": PROSE, "medium": "Minus seven.", "*": "x"})
    got = drive(router(backend, strategy), AFTER)
    assert got.answer is not None
    assert (got.answer[0], got.answer[3]) == ("Minus seven.", "medium")
    assert got.text in ("", "Minus seven.")
    draft, written = got.rows
    assert (draft.purpose, draft.tier, draft.finish_reason) == ("draft", "small", "aborted")
    assert written.reason == "escalation: the gate closed small"
    assert draft.usage is not None
    assert draft.usage.output_tokens == 1, "it is stopped as soon as it is prose"


@STRATEGIES
@every_driver
def test_the_jobs_own_tier_writes(drive: Driver, strategy: Strategy) -> None:
    backend = ScriptedBackend({"small": PROSE, "large": "Minus seven.", "*": "x"})
    got = drive(router(backend, strategy), Task.of(AFTER, job="review"))
    assert backend.asked == ["x:small", "x:large"]
    assert got.answer is not None
    assert got.answer[0] == "Minus seven."


@STRATEGIES
@every_driver
def test_a_tier_that_fails_to_act_is_fallen_back_from(drive: Driver, strategy: Strategy) -> None:
    backend = ScriptedBackend({"small": DOWN, "spare": DOWN, "medium": "Minus seven."})
    got = drive(router(backend, strategy), AFTER)
    assert backend.asked == ["x:small", "x:spare", "x:medium"]
    assert got.answer is not None


@STRATEGIES
@every_driver
def test_what_every_tier_failed_at_is_all_in_the_error(drive: Driver, strategy: Strategy) -> None:
    backend = ScriptedBackend({"small": PROSE, "*": DOWN})
    got = drive(router(backend, strategy), AFTER)
    assert got.error is not None
    assert "x:small: closed by its gate" in str(got.error)
    assert "x:large: UnavailableError" in str(got.error)


@STRATEGIES
@every_driver
@pytest.mark.parametrize("bound", [{"trust": "local"}, {"max_tier": "small"}], ids=str)
def test_where_the_small_tier_is_the_only_one_it_just_answers(
    drive: Driver, strategy: Strategy, bound: dict[str, Any]
) -> None:
    backend = ScriptedBackend({"*": PROSE})
    got = drive(router(backend, strategy), Task.of(AFTER, **bound))
    assert got.answer is not None
    assert got.answer[0] == PROSE
    assert backend.asked == ["x:small"]


@every_driver
def test_a_typed_answer_as_json_is_no_prose(drive: Driver) -> None:
    schema = {"type": "object", "properties": {"degrees": {"type": "integer"}}, "required": ["degrees"]}
    backend = ScriptedBackend({"small": '{"degrees": -7}', "*": "x"})
    got = drive(router(backend, Cascade()), Task.of(AFTER, output_schema=schema))
    assert [r.tier for r in got.rows] == ["small"]


@STRATEGIES
@every_driver
@pytest.mark.parametrize("text", ['{"degrees": -7}', '{"name": "look", "arguments": {"n": 2}}\n{"name": "invented"}'])
def test_what_looked_like_a_call_and_is_none_is_prose(drive: Driver, strategy: Strategy, text: str) -> None:
    backend = ScriptedBackend({"small": text, "*": "Minus seven."})
    got = drive(router(backend, strategy), AFTER)
    assert got.answer is not None
    assert got.answer[0] == "Minus seven."
    assert "degrees" not in got.text
    assert got.rows[1].reason == "escalation: the gate closed small"


@every_driver
def test_a_call_that_is_written_as_text_is_one_call(drive: Driver) -> None:
    backend = ScriptedBackend({"small": '{"name": "look", "arguments": {"n": 2}}', "*": "x"})
    got = drive(router(backend, Cascade()), AFTER)
    assert [c.name for c in got.tool_calls or (got.answer or ("", ()))[1]] == ["look"]
    assert [(r.tier, r.repaired) for r in got.rows] == [("small", True)]


@every_driver
def test_other_strategies_start_with_the_tier_that_answers(drive: Driver) -> None:
    backend = ScriptedBackend({"*": "Minus seven."})
    drive(router(backend, BestOf(2, verifier=yes)), AFTER)
    assert set(backend.asked) == {"x:medium"}


@pytest.mark.parametrize("member", [Single(), Cascade(yes)], ids=["single", "cascade"])
@every_driver
def test_a_gate_holds_inside_of_another_strategy_too(drive: Driver, member: Strategy) -> None:
    backend = ScriptedBackend({"small": PROSE, "*": "Minus seven."})
    got = drive(router(backend, Vote([member] * 3)), AFTER)
    assert got.answer is not None
    assert got.answer[0] == "Minus seven."
    assert all(attempt.show == Show.HOLD for attempt in backend.attempts)


@every_driver
def test_a_cascade_of_votes_acts_with_one_call(drive: Driver) -> None:
    backend = ScriptedBackend({"small": calls(ToolCall("look", {"n": 2})), "*": "Minus seven."})
    made = router(backend, Cascade(yes, each=Vote(["small"] * 3)))
    assert [r.tier for r in drive(made, AFTER).rows] == ["small"]
    backend.on("small", PROSE)
    assert [r.tier for r in drive(made, AFTER).rows][:1] == ["small"]


def test_a_decisions_gate_takes_the_place_of_the_cascades_own_at_the_first_tier() -> None:
    def shut(prefix: Any) -> Any:
        return "abort"

    backend = ScriptedBackend({"small": PROSE, "medium": PROSE, "large": "Minus seven."})
    made = router(backend, Cascade(yes, gate=shut))
    assert made.run(AFTER).tier == "large"
    assert [a.gate for a in backend.attempts] == [act_only(), shut, None]


def test_observing_changes_nothing() -> None:
    backend = ScriptedBackend({"*": PROSE})
    reply = router(backend, Observe()).run(AFTER)
    assert (reply.text, [a.tier for a in backend.attempts]) == (PROSE, ["large"])
    assert "would start at small" in reply.statements[0].text


@pytest.mark.parametrize(
    ("decision", "asked"),
    [
        (Decision("small", then="large"), ["small", "large"]),
        (Decision("small", then="small"), ["small", "medium", "large"]),
        (Decision("medium", then="small"), ["medium", "large"]),
        (Decision("small", then="code"), ["small", "code", "large"]),
        (Decision("large", then="medium", gate=act_only()), ["large"]),
        (Decision("medium", then="medium", gate=act_only()), ["medium", "large"]),
        (Decision("small", gate=act_only()), ["small", "medium", "large"]),
    ],
)
def test_a_decision_says_who_goes_on(decision: Decision, asked: list[str]) -> None:
    def never(outcome: Outcome) -> bool:
        return False

    def decide(task: Task) -> Decision:
        return decision

    backend = ScriptedBackend({"*": PROSE})
    made = router(backend, Cascade(never), policy=decide)
    made.run("q")
    assert [attempt.tier for attempt in backend.attempts] == asked
