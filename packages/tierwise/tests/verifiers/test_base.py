from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise.attempt import Outcome
from tierwise.errors import ConfigError
from tierwise.task import Task
from tierwise.verdict import Verdict
from tierwise.verifiers import Expense, Verifier, as_verifier

KINDS = ["accept", "accept!", "reject", "reject!", "abstain"]


class Says(Verifier):
    """Says what it is told to, and counts how often it was asked. `!` is conclusive."""

    quotes = False

    def __init__(self, kind: str, name: str = "", expense: Expense = Expense.FREE, logprobs: bool = False) -> None:
        self.kind = kind
        self.asked = 0
        self.expense = expense
        self._name = name
        self._logprobs = logprobs

    @property
    def name(self) -> str:
        return self._name or self.kind

    @property
    def wants_logprobs(self) -> bool:
        return self._logprobs

    def refs(self) -> list[str]:
        return [self.name]

    def check(self, task: Task, outcome: Outcome) -> Verdict:
        self.asked += 1
        result: Any = self.kind.rstrip("!")
        return Verdict(result, self.name, verifier=self.name, conclusive=self.kind.endswith("!"), quotes=False)


def both(a: str, b: str) -> tuple[str, bool]:
    """`A & B` of what calls no model, as the docstring's table says, and whether B is asked."""
    if a.startswith("reject"):
        return a, False
    if b == "abstain" or (a == "accept!" and b == "accept"):
        return a, True
    return b, True


def either(a: str, b: str) -> tuple[str, bool]:
    """`A | B`, as the docstring's table says, and whether B is asked."""
    if a.endswith("!") or a == "accept":
        return a, False
    if b == "abstain":
        return a, True
    return b, True


def kind(verdict: Verdict) -> str:
    return verdict.result + "!" * verdict.conclusive


@pytest.mark.parametrize(("a", "b"), list(product(KINDS, KINDS)))
@pytest.mark.parametrize("sign", ["&", "|"])
def test_the_truth_table(bench: Any, sign: str, a: str, b: str) -> None:
    first, second = Says(a), Says(b)
    verifier = first & second if sign == "&" else first | second
    wanted, asks = both(a, b) if sign == "&" else either(a, b)
    outcome = bench.answer("x")

    assert kind(verifier.check(outcome.attempt.task, outcome)) == wanted
    assert kind(bench.judge(verifier, outcome).verdict) == wanted
    assert (first.asked, second.asked) == (2, 2 * asks)


@pytest.mark.parametrize(("a", "b"), list(product(KINDS, KINDS)))
def test_the_result_of_and_does_not_depend_on_the_order(bench: Any, a: str, b: str) -> None:
    outcome = bench.answer("x")
    forth = bench.judge(Says(a) & Says(b), outcome).verdict.result
    assert forth == bench.judge(Says(b) & Says(a), outcome).verdict.result


@pytest.mark.parametrize("kind_of_b", KINDS)
@pytest.mark.parametrize(("expense", "asked"), [(Expense.FREE, 1), (Expense.LOCAL, 1), (Expense.MODEL, 0)])
def test_a_conclusive_acceptance_spares_what_calls_a_model_and_nothing_else(
    bench: Any, kind_of_b: str, expense: Expense, asked: int
) -> None:
    other = Says(kind_of_b, expense=expense)
    verdict = bench.judge(Says("accept!") & other, bench.answer("x")).verdict
    assert other.asked == asked
    assert verdict.rejected == (asked == 1 and kind_of_b.startswith("reject"))


Tree = st.recursive(
    st.sampled_from(KINDS),
    lambda inner: st.tuples(st.sampled_from("&|"), inner, inner),
    max_leaves=8,
)


def built(tree: Any) -> Verifier:
    if isinstance(tree, str):
        return Says(tree)
    sign, a, b = tree
    return built(a) & built(b) if sign == "&" else built(a) | built(b)


def expected(tree: Any) -> str:
    if isinstance(tree, str):
        return tree
    sign, a, b = tree
    return (both if sign == "&" else either)(expected(a), expected(b))[0]


@given(Tree)
def test_any_composition_follows_the_table_in_check_as_in_flow(tree: Any) -> None:
    verifier, task = built(tree), Task("q")
    outcome: Any = None
    context: Any = None
    checked = verifier.check(task, outcome)
    flow = verifier.flow(task, outcome, context)
    with pytest.raises(StopIteration) as stop:
        next(flow)
    assert stop.value.value == checked
    assert kind(checked) == expected(tree)


def test_what_costs_nothing_is_asked_first(bench: Any) -> None:
    order: list[str] = []

    class Noted(Says):
        def check(self, task: Task, outcome: Outcome) -> Verdict:
            order.append(self.name)
            return super().check(task, outcome)

    dear, run, free = (
        Noted("abstain", "dear", Expense.MODEL),
        Noted("abstain", "run", Expense.LOCAL),
        Noted("abstain", "free"),
    )
    verifier = dear & run & free
    bench.judge(verifier, bench.answer("x"))
    assert order == ["free", "run", "dear"]
    assert verifier.expense is Expense.MODEL


def test_a_conclusive_accept_saves_the_judge(bench: Any) -> None:
    judge = Says("reject", expense=Expense.MODEL)
    assert bench.judge(judge & Says("accept!"), bench.answer("x")).verdict.accepted
    assert judge.asked == 0


def test_the_verdict_is_that_of_the_verifier_that_decided_and_keeps_the_others_as_parts(bench: Any) -> None:
    verdict = bench.judge(Says("abstain", "a") & Says("accept", "b"), bench.answer("x")).verdict
    assert (verdict.verifier, [p.verifier for p in verdict.parts]) == ("b", ["a", "b"])


def test_when_all_abstain_the_evidence_names_each(bench: Any) -> None:
    verdict = bench.judge(
        Says("abstain", "a") & (Says("abstain", "b") | Says("abstain", "c")), bench.answer("x")
    ).verdict
    assert verdict.result == "abstain"
    assert all(name in verdict.evidence for name in "abc")


def test_compositions_pass_on_names_and_wishes() -> None:
    verifier = Says("abstain", "a") & (Says("abstain", "b") | Says("abstain", "c", logprobs=True))
    assert list(verifier.refs()) == ["a", "b", "c"]
    assert verifier.wants_logprobs
    assert not (Says("abstain") & Says("abstain")).wants_logprobs


@pytest.mark.parametrize(("said", "wanted"), [(True, "accept"), (False, "reject"), (None, "abstain")])
def test_a_plain_function_is_a_verifier(bench: Any, said: bool | None, wanted: str) -> None:
    def polite(outcome: Outcome) -> bool | None:
        return said

    verdict = bench.judge(as_verifier(polite), bench.answer("x")).verdict
    assert (verdict.result, verdict.verifier, verdict.conclusive) == (wanted, "polite", False)


def test_a_function_may_take_the_task_and_a_default_of_its_own_is_left_alone(bench: Any) -> None:
    def of_both(task: Task, outcome: Outcome) -> bool:
        return task.latest_request == "q" and outcome.text == "x"

    def of_one(outcome: Outcome, least: int = 1) -> bool:
        return len(outcome.text) >= least

    assert bench.judge(as_verifier(of_both), bench.answer("x")).verdict.accepted
    assert bench.judge(as_verifier(of_one), bench.answer("x")).verdict.accepted


def test_functions_compose_with_verifiers_on_either_side(bench: Any) -> None:
    def yes(outcome: Outcome) -> bool:
        return True

    def no(outcome: Outcome) -> bool:
        return False

    assert bench.judge(yes & Says("reject"), bench.answer("x")).verdict.rejected
    assert bench.judge(no | Says("accept"), bench.answer("x")).verdict.accepted
    assert bench.judge(Says("abstain") & yes, bench.answer("x")).verdict.accepted


def test_what_is_no_verifier_is_refused() -> None:
    wrong: Any = 3
    with pytest.raises(ConfigError, match="3 is no verifier"):
        as_verifier(wrong)

    async def slow(outcome: Outcome) -> bool:
        return True

    wrong = slow
    with pytest.raises(ConfigError, match="slow is async"):
        as_verifier(wrong)


def test_an_answer_that_is_neither_yes_nor_no_is_refused(bench: Any) -> None:
    def scored(outcome: Outcome) -> Any:
        return 0.7

    with pytest.raises(ConfigError, match=r"scored must give True, False, None or a Verdict, not 0\.7"):
        bench.judge(as_verifier(scored), bench.answer("x"))
