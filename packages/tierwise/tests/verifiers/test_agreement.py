from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from tierwise import Cascade, Router
from tierwise.attempt import Attempt, Outcome
from tierwise.errors import ConfigError, UnavailableError, UnknownNameError
from tierwise.fleet import Fleet, ModelSpec, Tier
from tierwise.messages import Tool, ToolCall
from tierwise.task import Task
from tierwise.verifiers import Agreement, last_number

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}


def always(answer: Any) -> Callable[[Attempt], Any]:
    def answers(attempt: Attempt) -> Any:
        return answer

    return answers


def script(*texts: Any) -> Callable[[Attempt], Any]:
    given = iter(texts)

    def answers(attempt: Attempt) -> Any:
        return next(given)

    return answers


@pytest.mark.parametrize(
    ("own", "others", "share"),
    [
        ("42", ("42", "42"), 1.0),
        ("42", ("42.0", "41"), 0.5),
        ("1,000", ("1000", "$1,000.00"), 1.0),
        ("-3", ("\N{MINUS SIGN}3", "3"), 0.5),
        ("3,5", ("35", "3,5"), 0.5),
        ("Paris.", ("paris", "**Paris**"), 1.0),
        ("C", ("C++", "C#"), 0.0),
        ("Paris", ("London", "It is Paris, I would think, or Lyon."), 0.0),
        ('{"a": 1, "b": 2}', ('{"b":2,"a":1}', '```json\n{"a": 1, "b": 3}\n```'), 0.5),
    ],
)
def test_the_share_of_further_samples_that_agree(bench: Any, own: str, others: tuple[str, ...], share: float) -> None:
    judged = bench.judge(Agreement(n=3), bench.answer(own), script(*others))
    assert judged.verdict.score == share
    assert judged.verdict.result == ("accept" if share >= 0.5 else "reject")
    assert (judged.verdict.threshold, judged.verdict.calibrated) == (0.5, False)


def test_samples_are_of_the_same_model_at_a_temperature(bench: Any) -> None:
    judged = bench.judge(Agreement(n=4, temperature=0.9), bench.answer("1"), always("1"))
    assert [(a.model.id, a.tier, a.purpose, a.temperature) for a in judged.asked] == [
        ("x:small", "small", "sample", 0.9)
    ] * 3


def test_a_fixed_seed_does_not_make_all_samples_the_same(bench: Any) -> None:
    outcome = Outcome(Attempt(Task("q"), ModelSpec("x:small", seed=7), "small"), text="1")
    judged = bench.judge(Agreement(n=3), outcome, always("1"))
    assert [a.setting("seed") for a in judged.asked] == [8, 9]


def test_prose_cannot_be_compared_and_costs_nothing(bench: Any) -> None:
    judged = bench.judge(Agreement(), bench.answer("The war began because the harvest of 1788 had failed."))
    assert (judged.verdict.result, judged.asked) == ("abstain", [])


def test_a_normaliser_makes_prose_comparable(bench: Any) -> None:
    own = bench.answer("Two and two make 4, so the answer is 4.")
    judged = bench.judge(Agreement(normalise=last_number), own, script("It is 4", "= 5"))
    assert judged.verdict.score == 0.5
    assert bench.judge(Agreement(normalise=last_number), bench.answer("no figure")).verdict.result == "abstain"


@pytest.mark.parametrize(
    ("text", "number"),
    [("so 1,234.50 in all", "1234.5"), ("x = \N{MINUS SIGN}2.", "-2"), ("1e3", "1000"), ("none", None)],
)
def test_the_last_number_of_a_text(text: str, number: str | None) -> None:
    assert last_number(text) == (None if number is None else Decimal(number))


def test_tool_calls_agree_by_name_and_arguments(bench: Any) -> None:
    task = Task("q", tools=[Tool("f")])
    own = bench.answer(task=task, tool_calls=(ToolCall("f", {"a": 1, "b": 2}, id="1"),))

    def answers(attempt: Attempt) -> Outcome:
        return Outcome(attempt, tool_calls=(ToolCall("f", {"b": 2, "a": 1}, id="other"),))

    assert bench.judge(Agreement(), own, answers).verdict.score == 1.0


def test_output_that_breaks_its_schema_does_not_agree(bench: Any) -> None:
    task = Task("q", output_schema=SCHEMA)
    judged = bench.judge(Agreement(), bench.answer('{"a": 1}', task=task), script('{"a": "1"}', '{"a": 1}'))
    assert judged.verdict.score == 0.5


def test_a_failed_call_is_no_voice(bench: Any) -> None:
    judged = bench.judge(Agreement(), bench.answer("1"), script(UnavailableError("down"), "1"))
    assert (judged.verdict.score, judged.verdict.evidence) == (1.0, "1 of 1 further samples agree")
    failed = bench.judge(Agreement(), bench.answer("1"), always(UnavailableError("down")))
    assert failed.verdict.result == "abstain"


def test_peers_are_asked_once_each_and_never_the_model_itself(bench: Any) -> None:
    def split(attempt: Attempt) -> str:
        return "1" if attempt.model.name == "medium" else "2"

    verifier = Agreement(with_=["small", "medium", "x:large", "large"], threshold=1.0)
    judged = bench.judge(verifier, bench.answer("1"), split)
    assert [(a.model.id, a.purpose, a.temperature) for a in judged.asked] == [
        ("x:medium", "vote", None),
        ("x:large", "vote", None),
    ]
    assert (judged.verdict.result, judged.verdict.evidence) == ("reject", "1 of 2 peers agree")


def test_a_peer_that_may_not_see_the_task_is_not_asked(bench: Any) -> None:
    own = bench.answer("1", task=Task("q", trust="approved"))
    assert [a.model.id for a in bench.judge(Agreement(with_=["medium", "large"]), own, always("1")).asked] == [
        "x:medium"
    ]
    local = bench.answer("1", task=Task("q", trust="local"))
    assert bench.judge(Agreement(with_="large"), local).verdict.result == "abstain"


@pytest.mark.parametrize("options", [{"n": 1}, {"threshold": 0}, {"threshold": 1.1}, {"with_": []}])
def test_settings_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Agreement(**options)


def test_a_peer_that_does_not_exist_is_found_at_start_up() -> None:
    fleet = Fleet([Tier("small", "x:small"), Tier("large", "x:large")])
    with pytest.raises(UnknownNameError, match="did you mean 'large'"):
        Router(fleet, strategy=Cascade(Agreement(with_="larg")))


async def test_samples_are_on_the_bill_and_run_side_by_side() -> None:
    router = Router.simple(
        small="x:small", large="x:large", backends={"x": always("7")}, strategy=Cascade(Agreement(n=3))
    )
    reply = await router.arun("q")
    assert [(r.purpose, r.tier) for r in reply.attempts] == [
        ("answer", "small"),
        ("sample", "small"),
        ("sample", "small"),
    ]
    assert (reply.status, reply.evidence) == ("verified", "Agreement: 2 of 2 further samples agree")
    assert router.run("q").text == reply.text
