from __future__ import annotations

from typing import Any

import pytest
from tierwise.attempt import Outcome, Show
from tierwise.errors import AllModelsFailedError, ConfigError, TrustError
from tierwise.flow import Stated
from tierwise.messages import ToolCall
from tierwise.strategies import Cascade, Single, Vote
from tierwise.task import Task

from .conftest import DOWN, Bench, Ran

THREE = ["small", "medium", "large"]


def verdict(ran: Ran) -> tuple[str, str]:
    found = ran.outcome.verdict
    assert found is not None
    return found.result, found.evidence


def test_the_majority_is_accepted_and_counted(bench: Bench) -> None:
    ran = bench.run(Vote(THREE), {"small": "42", "medium": "Forty", "large": "42."})
    assert len(ran.batches) == 1
    assert (ran.outcome.text, ran.outcome.attempt.tier) == ("42", "small")
    assert verdict(ran) == ("accept", "2 of 3 ballots agree: a majority")
    assert ran.stated == "vote: 2 of 3 ballots agree: a majority"
    assert ran.outcome.verdict is not None
    assert ran.outcome.verdict.score == pytest.approx(2 / 3)
    assert not ran.outcome.verdict.conclusive


def test_votes_are_held_and_named(bench: Bench) -> None:
    ran = bench.run(Vote(THREE), "1")
    assert {(a.show, a.purpose) for a in ran.attempts} == {(Show.HOLD, "vote")}
    assert [a.reason for a in ran.attempts] == ["vote 1 of 3", "vote 2 of 3", "vote 3 of 3"]


def test_without_a_majority_the_first_is_returned_as_unverified(bench: Bench) -> None:
    ran = bench.run(Vote(THREE), {"small": "1", "medium": "2", "large": "3"})
    assert ran.outcome.text == "1"
    assert verdict(ran) == ("abstain", "1 of 3 ballots agree: no majority")


def test_a_plurality_is_no_majority_but_leads(bench: Bench) -> None:
    five = ["code", "small", "medium", "large", "small"]
    ran = bench.run(Vote(five), {"coder": "9", "small": ["1", "4"], "medium": "2", "large": "2"})
    assert ran.outcome.text == "2"
    assert verdict(ran) == ("abstain", "2 of 5 ballots agree: no majority")


def test_a_tie_is_decided_by_whom_the_user_names(bench: Bench) -> None:
    ran = bench.run(Vote(["small", "medium"], on_tie="large"), {"small": "1", "medium": "2", "large": "3"})
    assert (ran.outcome.text, ran.attempts[-1].purpose, ran.attempts[-1].show) == ("3", "answer", Show.LIVE)
    assert verdict(ran) == ("abstain", "1 of 2 ballots agree: no majority; decided after it")


def test_if_whoever_decides_fails_the_leader_stays_unverified(bench: Bench) -> None:
    ran = bench.run(Vote(["small", "medium"], on_tie="large"), {"small": "1", "medium": "2", "large": DOWN})
    assert ran.outcome.text == "1"
    assert verdict(ran)[0] == "abstain"


def test_members_that_fail_have_no_ballot_and_are_counted(bench: Bench) -> None:
    ran = bench.run(Vote(THREE), {"small": "1", "medium": DOWN, "large": "1"})
    assert verdict(ran) == ("accept", "2 of 2 ballots agree, 1 failed: a majority")
    assert [n.data["failed"] for n in ran.notes if isinstance(n, Stated)] == [1]


def test_too_few_ballots_are_no_quorum(bench: Bench) -> None:
    answers = {"small": "1", "medium": DOWN, "large": DOWN}
    assert verdict(bench.run(Vote(THREE), answers)) == (
        "abstain",
        "1 of 1 ballots agree, 2 failed: too few for the quorum of 2",
    )
    assert verdict(bench.run(Vote(THREE, quorum=1), answers))[0] == "accept"


def test_all_failing_raises(bench: Bench) -> None:
    with pytest.raises(AllModelsFailedError) as caught:
        bench.run(Vote(["medium", "large", "code"]), {"medium": DOWN, "large": DOWN, "coder": DOWN})
    assert len(caught.value.outcomes) == 3


def test_members_that_may_not_see_the_task_are_not_asked(bench: Bench) -> None:
    ran = bench.run(Vote(["small", "large", "code"]), "1", Task("q", trust="local"))
    assert {a.model.name for a in ran.attempts} == {"small", "coder"}
    assert verdict(ran) == ("accept", "2 of 2 ballots agree, 1 failed: a majority")


def test_if_no_member_may_see_the_task_nothing_is_called(bench: Bench) -> None:
    ran = Ran()
    with pytest.raises(TrustError):
        bench.run(Vote(["medium", "large", "medium"]), "1", Task("q", trust="local"), into=ran)
    assert ran.attempts == []


def test_no_member_above_the_tasks_bound_answers(bench: Bench) -> None:
    ran = bench.run(Vote(THREE), "1", Task("q", max_tier="medium"))
    assert {a.tier for a in ran.attempts} == {"small", "medium"}


def test_prose_cannot_be_compared_unless_the_user_says_how(bench: Bench) -> None:
    answers = {
        "small": "The answer must be 4, I think.",
        "medium": "It is surely 4, of course.",
        "large": "I have no idea at all.",
    }
    assert verdict(bench.run(Vote(THREE), answers)) == (
        "abstain",
        "0 of 0 ballots agree, 3 abstained: too few for the quorum of 2",
    )
    ran = bench.run(Vote(THREE, lambda text: "4" if "4" in text else None), answers)
    assert verdict(ran) == ("accept", "2 of 2 ballots agree, 1 abstained: a majority")


def test_typed_outputs_are_compared_by_their_values(bench: Bench) -> None:
    task = Task("q", output_schema={"type": "object", "required": ["a"]})
    ran = bench.run(Vote(THREE), {"small": '{"a":1,"b":2}', "medium": "nonsense", "large": '{"b": 2, "a": 1}'}, task)
    assert verdict(ran) == ("accept", "2 of 2 ballots agree, 1 rejected: a majority")
    assert ran.verdicts("medium") == ["reject"]


def test_tool_calls_are_compared_and_wrong_ones_have_no_ballot(bench: Bench) -> None:
    task = Task("q", tools=[{"name": "f"}])
    right: Any = {"tool_calls": (ToolCall("f", {"x": 1}, id="1"),)}
    same: Any = {"tool_calls": (ToolCall("f", {"x": 1}, id="2"),)}
    wrong: Any = {"tool_calls": (ToolCall("g"),)}
    ran = bench.run(Vote(THREE), {"small": wrong, "medium": right, "large": same}, task)
    assert ran.outcome.tool_calls == right["tool_calls"]
    assert verdict(ran)[0] == "accept"


def test_if_every_answer_is_rejected_so_is_the_vote(bench: Bench) -> None:
    task = Task("q", output_schema={"type": "integer"})
    assert verdict(bench.run(Vote(THREE), "words", task))[0] == "reject"


def test_a_vote_of_cascades(bench: Bench) -> None:
    def good(outcome: Outcome) -> bool:
        return outcome.text == "7"

    members = [Cascade(good), Cascade(good), "large"]
    ran = bench.run(Vote(members), {"small": "5", "medium": "7", "large": "8"})
    assert [[a.model.name for a in b] for b in ran.batches] == [["small", "small", "large"], ["medium", "medium"]]
    assert ran.outcome.text == "7"
    assert {a.purpose for a in ran.attempts} == {"draft", "vote"}
    assert {a.show for a in ran.attempts} == {Show.HOLD}


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Vote(["a", "b"]), "2 can tie"),
        (lambda: Vote(["a"], on_tie="b"), "2 members or more"),
        (lambda: Vote(["a", "b", "c"], quorum=4), "quorum=4"),
        (lambda: Vote(["a", 3, "c"]), "3 is no member"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_a_wrong_setting_is_named(make: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        make()


def test_refs() -> None:
    assert list(Vote(["a", Single(), "b"], on_tie="c").refs()) == ["a", "b", "c"]
