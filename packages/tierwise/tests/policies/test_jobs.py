from __future__ import annotations

from typing import Any

import pytest
from tierwise import Fleet, JobTable, Tier
from tierwise.errors import UnknownNameError
from tierwise.task import Task


@pytest.mark.parametrize(
    ("job", "tier"),
    [("summarize", "small"), ("code", "medium"), ("plan", "large"), ("knit", None), (None, None)],
)
def test_the_job_says_where_to_start(bench: Any, job: str | None, tier: str | None) -> None:
    assert bench.tier(JobTable(), Task("q", job=job)) == tier


def test_two_tiers_execute_small_and_one_does_everything(bench: Any) -> None:
    two = Fleet([Tier("a", "x:a"), Tier("b", "x:b")])
    assert [bench.tier(JobTable(), Task("q", job=j), fleet=two) for j in ("tool", "code", "plan")] == ["a", "a", "b"]
    one = Fleet([Tier("a", "x:a")])
    assert {bench.tier(JobTable(), Task("q", job=j), fleet=one) for j in ("tool", "code", "plan")} == {"a"}


def test_kinds_and_jobs_can_be_given(bench: Any) -> None:
    table = JobTable(execution="large", jobs={"knit": "execution", "plan": "orchestration"})
    assert [bench.tier(table, Task("q", job=j)) for j in ("code", "knit", "plan")] == ["large", "large", "small"]
    assert list(table.refs()) == ["large"]
    wrong: Any = {"knit": "exection"}
    with pytest.raises(UnknownNameError, match=r"jobs\['knit'\]: unknown kind of job 'exection'; did you mean"):
        JobTable(jobs=wrong)
