import contextlib

import pytest
from pydantic import BaseModel
from tierwise import Always, Cascade, Router, Tool
from tierwise.attempt import Outcome
from tierwise.errors import AllModelsFailedError
from tierwise.strategies import Strategy
from tierwise.verifiers import ValidOutput
from tierwise_examples.scripted import Call, Reply, Scripted, scripted


class Plan(BaseModel):
    file: str


def accepted(outcome: Outcome) -> bool:
    return True


def router(script: Scripted, strategy: Strategy | None = None) -> Router:
    return Router(script.ladder.fleet(), policy=Always("small"), strategy=strategy or Cascade(ValidOutput()))


def test_a_stage_is_known_by_its_words_and_a_tier_may_have_its_own_answer() -> None:
    def right(outcome: Outcome) -> bool:
        return outcome.text == "right"

    with scripted({"Write": "right", ("Write", "code"): "wrong", ("Write", "small"): "bad"}) as script:
        reply = router(script, Cascade(right)).run("Please.\nWrite the patch for f.")
    assert reply.text == "right"
    assert script.tiers() == ["small", "code", "large"]


def test_the_latest_message_says_which_stage_it_is() -> None:
    with scripted({"Plan it": "planned", "Look": "looked"}) as script:
        history = [{"role": "user", "content": "Plan it"}, {"role": "assistant", "content": "x"}]
        reply = router(script, Cascade(accepted)).run([*history, {"role": "user", "content": "Look"}])
    assert reply.text == "looked"


def test_several_answers_are_given_in_order_and_the_last_again() -> None:
    with scripted({"Say": ["one", Reply(text="two")]}) as script:
        asked = router(script, Cascade(accepted))
        assert [asked.run("Say it").text for _ in range(3)] == ["one", "two", "two"]


def test_a_typed_answer_comes_as_json_or_as_a_call_of_the_tool_that_is_for_it() -> None:
    with scripted({"Plan": Plan(file="a.py")}) as script:
        assert router(script).run("Plan", output_schema=Plan).output == Plan(file="a.py")
        other = Tool("grep", "Search", {"type": "object", "properties": {"text": {"type": "string"}}})
        final = Tool("final_result", "The plan", Plan.model_json_schema())
        reply = router(script, Cascade(accepted)).run("Plan", tools=[other, final])
    assert [(call.name, dict(call.arguments)) for call in reply.tool_calls] == [("final_result", {"file": "a.py"})]


def test_a_call_is_a_call() -> None:
    look = Tool("look", "Look", {"type": "object", "properties": {"name": {"type": "string"}}})
    with scripted({"Look": Call("look", {"name": "f"})}, tiers=["small"]) as script:
        reply = router(script, Cascade(accepted)).run("Look", tools=[look])
    assert reply.tool_calls[0].name == "look"
    assert script.ladder.top == "small"


def sing() -> None:
    with scripted({"Plan": "x"}) as script, contextlib.suppress(AllModelsFailedError):
        router(script).run("Sing")


def test_a_prompt_that_no_answer_is_told_for_is_an_error_of_the_test() -> None:
    with pytest.raises(LookupError, match="no answer of small is told for"):
        sing()
