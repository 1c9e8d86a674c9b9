from __future__ import annotations

from typing import Any

import pytest
from tierwise.attempt import Outcome, Prefix, Show
from tierwise.errors import AllModelsFailedError
from tierwise.flow import Moved
from tierwise.strategies import BestOf, Cascade, Single, Vote, act_only, prefix_logprob
from tierwise.task import Task
from tierwise.verdict import Verdict
from tierwise.verifiers import NotEmpty

from .conftest import DOWN, Bench, Ran, no, yes

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TYPED = Task("q", output_schema=SCHEMA)


def unsure(outcome: Outcome) -> None:
    return None


def good(outcome: Outcome) -> bool:
    return "good" in outcome.text


def test_a_single_answer_is_shown_live_and_falls_back_upwards(bench: Bench) -> None:
    ran = bench.run(Single(), {"small": DOWN, "spare": DOWN, "medium": "from medium", "large": "x"})
    assert [(a.model.name, a.show) for a in ran.attempts] == [(n, Show.LIVE) for n in ("small", "spare", "medium")]
    assert ran.attempts[1].reason == "fallback: x:small failed"
    assert ran.attempts[2].reason == "fallback: small failed"
    assert ran.outcome.text == "from medium"


def moves(ran: Ran) -> list[tuple[str, str, str]]:
    return [(n.kind, n.source, n.target) for n in ran.notes if isinstance(n, Moved)]


def test_fallbacks_and_escalations_are_noted(bench: Bench) -> None:
    answers = {"small": DOWN, "spare": "weak", "medium": DOWN, "large": "x"}
    assert moves(bench.run(Cascade(no), answers)) == [
        ("fallback", "small", "small"),
        ("escalation", "small", "medium"),
        ("fallback", "medium", "large"),
    ]
    assert moves(bench.run(Single(), {"small": DOWN, "spare": DOWN, "medium": "x"})) == [
        ("fallback", "small", "small"),
        ("fallback", "small", "medium"),
    ]
    assert moves(bench.run(Cascade(yes), "x")) == []


def test_a_typed_answer_is_held(bench: Bench) -> None:
    assert {a.show for a in bench.run(Single(), '{"n": 1}', TYPED).attempts} == {Show.HOLD}
    assert {a.show for a in bench.run(Cascade(yes), '{"n": 1}', TYPED).attempts} == {Show.HOLD}


def test_a_cascade_starts_where_the_decision_says(bench: Bench) -> None:
    ran = bench.run(Cascade(no), "bad", start="medium")
    assert ran.asked == [("draft", "medium"), ("answer", "large")]
    assert ran.attempts[0].reason == "said the test"


def test_a_specialist_is_followed_by_the_top(bench: Bench) -> None:
    assert bench.run(Cascade(no), "bad", start="code").asked == [("draft", "coder"), ("answer", "large")]


def test_the_reason_of_an_escalation_quotes_nobody(bench: Bench) -> None:
    def harsh(outcome: Outcome) -> Verdict:
        return Verdict("reject", f"{outcome.text} is wrong", verifier="harsh", score=0.25)

    ran = bench.run(Cascade(harsh), "secret")
    assert ran.attempts[1].reason == "escalation: small rejected: harsh: 0.25"


@pytest.mark.parametrize(("choice", "asked"), [("escalate", 3), ("accept", 1)])
def test_what_happens_to_an_unverified_answer_can_be_chosen(bench: Bench, choice: Any, asked: int) -> None:
    assert len(bench.run(Cascade(unsure, on_unverified=choice), "hm").attempts) == asked


def test_if_all_above_fail_the_best_unverified_answer_is_returned_as_such(bench: Bench) -> None:
    ran = bench.run(Cascade(unsure), {"small": "first", "medium": "second", "large": DOWN})
    assert ran.outcome.text == "second"
    assert ran.outcome.verdict is not None
    assert ran.outcome.verdict.result == "abstain"


def test_a_rejected_draft_is_never_the_answer_and_the_error_lists_it(bench: Bench) -> None:
    with pytest.raises(AllModelsFailedError) as caught:
        bench.run(Cascade(no), {"small": "bad", "medium": DOWN, "large": DOWN})
    text = str(caught.value)
    assert "small: x:small: rejected: no: said no" in text
    assert "large: x:large: UnavailableError: down" in text


def test_a_typed_output_has_to_fit_whatever_the_verifier_says(bench: Bench) -> None:
    ran = bench.run(Cascade(yes), {"small": "no json", "medium": '{"n": 2}', "large": "x"}, TYPED)
    assert ran.verdicts("small") == ["reject"]
    assert ran.outcome.text == '{"n": 2}'


def test_the_users_own_verifier_judges_a_typed_output_that_fits(bench: Bench) -> None:
    def two(outcome: Outcome) -> bool:
        return '"n": 2' in outcome.text

    ran = bench.run(Cascade(two), {"small": '{"n": 1}', "medium": '{"n": 2}'}, TYPED)
    assert ran.verdicts("small") == ["reject"]
    assert ran.outcome.attempt.tier == "medium"


def test_a_draft_that_commits_is_returned_at_once_and_an_aborted_one_goes_up(bench: Bench) -> None:
    def gate(prefix: Prefix) -> Any:
        return "undecided"

    shown = bench.run(Cascade(no, gate=gate), {"small": {"text": "act", "committed": True}})
    assert (shown.outcome.text, len(shown.attempts), shown.notes) == ("act", 1, [])
    closed = bench.run(Cascade(no, gate=gate), {"small": {"aborted": True}, "medium": {"aborted": True}, "large": "a"})
    assert [a.show for a in closed.attempts] == [Show.GATED, Show.GATED, Show.LIVE]
    assert closed.attempts[1].reason == "escalation: the gate closed small"


def test_a_gate_that_never_lets_go_ends_in_an_error_that_says_so(bench: Bench) -> None:
    with pytest.raises(AllModelsFailedError, match="small: x:small: closed by its gate"):
        bench.run(
            Cascade(no, gate=lambda _: "abort"),
            {"small": {"aborted": True}, "medium": {"aborted": True}, "large": DOWN},
        )


def test_what_happens_at_a_tier_is_held_even_if_it_would_show(bench: Bench) -> None:
    ran = bench.run(Cascade(good, each=Single()), {"small": "bad", "medium": "good"})
    assert ran.asked == [("draft", "small"), ("draft", "medium")]
    assert {a.show for a in ran.attempts} == {Show.HOLD}


def test_a_cascade_of_votes_climbs_until_a_majority(bench: Bench) -> None:
    vote = Vote([Single(), Single(), Single()])
    answers = {"small": ["1", "2", "3"], "medium": ["4", "4", "5"]}
    ran = bench.run(Cascade(NotEmpty(), each=vote), answers)
    assert [len(b) for b in ran.batches] == [3, 3]
    assert {a.purpose for a in ran.attempts} == {"vote"}
    assert ran.outcome.text == "4"
    assert ran.outcome.verdict is not None
    assert ran.outcome.verdict.accepted


def test_a_rejection_inside_is_not_overruled_outside(bench: Bench) -> None:
    ran = bench.run(Cascade(yes, each=BestOf(2, verifier=no)), "x")
    assert [a.tier for a in ran.attempts] == ["small"] * 2 + ["medium"] * 2 + ["large"]


def test_refs_are_those_of_all_parts() -> None:
    assert set(Cascade(NotEmpty(), each=Vote(["a", "b", "c"])).refs()) == {"a", "b", "c"}


def test_no_more_than_the_task_allows(bench: Bench) -> None:
    ran: Ran = bench.run(Cascade(no), "x", Task("q", trust="local"))
    assert {a.model.name for a in ran.attempts} == {"small"}
    assert [a.tier for a in bench.run(Cascade(no), "x", Task("q", max_tier="medium")).attempts] == ["small", "medium"]


def test_a_cascade_asks_for_the_log_probabilities_that_its_gate_reads(bench: Bench) -> None:
    ran = bench.run(Cascade(yes, gate=prefix_logprob(-0.5)), "x")
    assert ran.attempts[0].logprobs
    assert not bench.run(Cascade(yes, gate=act_only()), "x").attempts[0].logprobs
