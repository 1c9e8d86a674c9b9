"""A job read off the description of an agent."""

from __future__ import annotations

import pytest
from tierwise.policies import JOBS, JobHint, job_hint
from tierwise.policies.roles import _JOB_OF


@pytest.mark.parametrize(
    ("role", "job", "word"),
    [
        ("Senior Data Analyst", "analyze", "analyst"),
        ("Technical Writer", "write", "writer"),
        ("CodeReviewer", "review", "reviewer"),
        ("QA Engineer", "test", "qa"),
        ("Translator", "translate", "translator"),
    ],
)
def test_the_role_says_the_job(role: str, job: str, word: str) -> None:
    assert job_hint(role, goal="Plan the trip", tools=["run_tests"]) == JobHint(job, word, "role")


def test_a_goal_is_read_where_the_role_says_nothing_and_only_how_it_opens() -> None:
    assert str(job_hint("Ada", goal="Summarise the findings")) == "goal: summarise"
    assert job_hint("Ada", goal="Help people who travel with their plans") is None


def test_tools_are_read_last() -> None:
    assert job_hint("Ada", goal="Help out", tools=["search_web", "runTests"]) == JobHint("execute", "run", "tool")


@pytest.mark.parametrize("role", ["", "Ada", "Researcher", "Rédactrice", "\N{RIGHT-TO-LEFT OVERRIDE}"])
def test_no_known_word_is_no_job(role: str) -> None:
    assert job_hint(role) is None


def test_every_job_is_one_of_the_table() -> None:
    assert set(_JOB_OF.values()) <= JOBS.keys()
