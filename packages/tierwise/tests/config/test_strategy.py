"""`[strategy]` and the policies of `[policy]`: told by the calls that they make."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tierwise import Router
from tierwise.attempt import Attempt
from tierwise.config import load
from tierwise.errors import ConfigFileError
from tierwise.policies.label_table import LabelTable
from tierwise.policies.outcomes import Cell

TIERS = '[tiers]\nsmall = ["a:small", "a:spare"]\nmedium = "b:medium"\nlarge = "c:large"\n'

Write = Callable[[str], Path]


class Recorder:
    """Answers as told, and keeps what it was asked."""

    def __init__(self, answers: Mapping[str, str] | None = None) -> None:
        self.calls: list[tuple[str, str]] = []
        self._answers = answers or {}

    def __call__(self, attempt: Attempt) -> str:
        self.calls.append((attempt.purpose, attempt.model.name))
        if attempt.purpose == "judge":
            return json.dumps({"reason": "right", "score": 10})
        return self._answers.get(attempt.purpose, "four")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "tierwise.toml"
        path.write_text(TIERS + text, encoding="utf-8")
        return path

    return written


def asked(path: Path, answers: Mapping[str, str] | None = None) -> tuple[Router, Recorder]:
    recorder = Recorder(answers)
    return load(path).router(backends={"*": recorder}), recorder


def test_a_cascade_has_the_judge_that_it_names(write: Write) -> None:
    router, recorder = asked(write('[strategy]\njudge = "large"\n'))
    assert router.run("2 + 2?").status == "verified"
    assert [name for _, name in recorder.calls] == ["small", "large"]


def test_what_costs_less_is_asked_before_the_judge(write: Write) -> None:
    router, recorder = asked(write('[strategy]\nagreement = { n = 2, with = "medium" }\njudge = "large"\n'))
    assert router.run("2 + 2?").status == "verified"
    assert [name for _, name in recorder.calls] == ["small", "medium"]


def test_a_judge_stands_behind_log_probabilities_that_are_not_there(write: Write) -> None:
    router, recorder = asked(write('[strategy]\njudge = "large"\nlogprob = { threshold = -0.5 }\n'))
    assert router.run("2 + 2?").status == "verified"
    assert [purpose for purpose, _ in recorder.calls].count("judge") == 1


def test_a_vote_asks_its_members(write: Write) -> None:
    router, recorder = asked(write('[strategy]\nname = "vote"\nmembers = ["a:small", "medium", "c:large"]\n'))
    assert router.run("2 + 2?").text == "four"
    assert sorted(name for _, name in recorder.calls) == ["large", "medium", "small"]


def test_a_cascade_of_votes(write: Write) -> None:
    text = '[strategy]\n[strategy.each]\nname = "vote"\nmembers = ["a:small", "a:spare", "medium"]\n'
    router, recorder = asked(write(text))
    assert router.run("2 + 2?").text == "four"
    assert sorted(name for _, name in recorder.calls[:3]) == ["medium", "small", "spare"]


def test_best_of_samples(write: Write) -> None:
    router, recorder = asked(write('[strategy]\nname = "best_of"\nn = 2\nmember = "medium"\njudge = false\n'))
    assert router.run("2 + 2?").text == "four"
    assert [name for _, name in recorder.calls] == ["medium", "medium"]


def test_perspectives_are_synthesized(write: Write) -> None:
    text = '[strategy]\nname = "perspectives"\nmembers = ["small", "medium"]\nsynthesizer = "large"\n'
    router, recorder = asked(write(text), {"synthesis": "both say four"})
    assert router.run("2 + 2?").text == "both say four"
    assert recorder.calls[-1] == ("synthesis", "large")


def test_a_sandwich_has_its_stages(write: Write) -> None:
    router, recorder = asked(write('[strategy]\nname = "sandwich"\nexecute = "medium"\n'))
    assert router.run("2 + 2?").text == "four"
    assert [name for _, name in recorder.calls] == ["small", "large", "medium", "small", "large"]


def test_specialists_are_picked(write: Write) -> None:
    text = '[strategy]\nname = "specialists"\nclassifier = "small"\nlabels = { code = "coder", rest = "medium" }\n'
    router, recorder = asked(write('[specialists]\ncoder = "d:coder"\n' + text), {"classify": '{"label": "code"}'})
    assert router.run("Write a loop.").tier == "coder"
    assert recorder.calls == [("classify", "small"), ("answer", "coder")]


def test_observing_changes_nothing(write: Write) -> None:
    router, recorder = asked(write('[strategy]\nname = "observe"\nbaseline = "medium"\n'))
    assert router.run("2 + 2?").tier == "medium"
    assert recorder.calls == [("answer", "medium")]


def test_a_table_of_outcomes_stands_beside_the_file(write: Write, tmp_path: Path) -> None:
    path = write('[policy]\nlabels = "outcomes.json"\n')
    cells = [Cell("triage", "small", 0.5, 50), Cell("triage", "medium", 0.9, 50)]
    LabelTable(cells).save(tmp_path / "outcomes.json")
    router, _ = asked(path)
    assert router.decide("x", job="triage").tier == "medium"
    LabelTable([Cell("triage", "smal", 0.5, 50)]).save(tmp_path / "outcomes.json")
    with pytest.raises(ConfigFileError, match=r"line 6: policy\.labels: unknown tier or model 'smal'"):
        load(path)


def test_a_classifier_is_asked(write: Write) -> None:
    text = '[policy]\nclassifier = { model = "small", labels = { easy = "small", hard = "large" } }\n'
    router, recorder = asked(write(text), {"classify": '{"label": "hard"}'})
    assert router.decide("Prove it.").pending
    assert router.run("Prove it.").tier == "large"
    assert recorder.calls[0] == ("classify", "small")


def test_a_session_is_kept(write: Write) -> None:
    router, _ = asked(write('[policy]\nkeep_session = true\n[strategy]\nname = "single"\n'))
    router.run("Plan it.", job="plan", session="s")
    assert router.decide("And now?", job="answer", session="s").tier == "large"
    assert router.decide("And now?", job="answer", session="t").tier == "small"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('[strategy]\nname = "vote"\nmembers = ["small", "larg", "medium"]\n', 7, "did you mean 'large'"),
        ('[strategy]\nname = "vote"\nmembers = ["small", "large"]\n', 7, "2 can tie"),
        ('[strategy]\nname = "vote"\njudge = "large"\n', 7, "unknown key 'judge'"),
        ('[strategy]\nname = "best_of"\nn = 1\n', 7, "n=1 must be two or more"),
        ("[strategy]\nagreement = { peers = 3 }\n", 6, "unknown key 'peers'"),
        ("[strategy]\nlogprob = {}\n", 6, "needs 'threshold'"),
        ("[strategy]\nlogprob = { threshold = 0.5 }\n", 6, "zero or less"),
        ('[strategy]\nname = "specialists"\nclassifier = "small"\n', 5, "a model that classifies needs them"),
        ('[strategy]\nname = "observe"\nbaseline = "larg"\n', 7, "did you mean 'large'"),
        ('[strategy.each]\nname = "vot"\n', 6, "did you mean 'vote'"),
        ('[strategy]\nname = "sandwich"\nplan = "top"\n', 7, "unknown tier or model 'top'"),
        ('[policy]\nlabels = "none.json"\n', 6, "is no saved label table"),
        ('[policy]\nclassifier = "tiny"\n', 6, "unknown tier or model 'tiny'"),
        ('[policy]\nclassifier = { labels = { easy = "smal" } }\n', 6, "did you mean 'small'"),
        ("[policy]\nkeep_session = { release_after = -1 }\n", 6, "must be seconds, zero or more"),
        ('[policy]\nprefer = "cheap"\n', 6, "did you mean 'cheapest'"),
    ],
)
def test_what_is_wrong_names_its_line(write: Write, text: str, line: int, message: str) -> None:
    with pytest.raises(ConfigFileError, match=message) as caught:
        load(write(text))
    assert caught.value.line == line
