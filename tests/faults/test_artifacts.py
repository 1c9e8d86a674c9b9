"""What a router is made of: files that were damaged, figures that are none, settings with a slip in them."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise import Always, Cascade, Decision, LabelTable, Logprob, Router, Single, Task, Verdict
from tierwise.attempt import Outcome
from tierwise.config import load
from tierwise.errors import ConfigError, ConfigFileError, UnknownNameError
from tierwise.policies import Cell, Policy
from tierwise.testing.provider import Reply

from .scene import CANARY, Scene, Way

HELLO = Reply(text="Hello there.")
CELLS = [Cell("code", "small", 0.2, 50), Cell("code", "large", 0.9, 50)]


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._mark,)


def tampered(text: str) -> str:
    return text.replace("0.9", "0.1")


def not_a_number(text: str) -> str:
    return text.replace("0.9", "NaN")


def too_large(text: str) -> str:
    return text.replace("0.9", "1e999")


def cut(text: str) -> str:
    return text[: len(text) // 2]


def deep(text: str) -> str:
    return "[" * 100_000


DAMAGES: list[Callable[[str], str]] = [tampered, not_a_number, too_large, cut, deep, lambda text: "", lambda text: "[]"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    LabelTable(CELLS).save(tmp_path / "outcomes.json")
    return tmp_path / "outcomes.json"


@pytest.mark.parametrize("damage", DAMAGES)
def test_fault_40_a_damaged_table_is_refused_at_start_up(table: Path, damage: Callable[[str], str]) -> None:
    table.write_text(damage(table.read_text()))
    with pytest.raises(ConfigError, match="is no saved label table"):
        LabelTable.load(table)


@pytest.mark.parametrize("damage", DAMAGES)
def test_fault_40_or_it_abstains_with_a_warning_and_the_next_policy_decides(
    scene: Scene, table: Path, damage: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    table.write_text(damage(table.read_text()))
    policy = LabelTable.load(table, on_error="warn") | Always("large")
    scene.provider.on("large", HELLO)
    got = scene.ask(scene.router(policy=policy), job="code")
    assert (got.answer.tier, got.answer.decision.rule) == ("large", "always")
    assert "the table abstains on every task" in caplog.text


def test_fault_40_a_table_that_is_missing_does_so_too(table: Path, caplog: pytest.LogCaptureFixture) -> None:
    table.unlink()
    with pytest.raises(ConfigError, match="is no saved label table"):
        LabelTable.load(table)
    assert LabelTable.load(table, on_error="warn").model_refs() == {}
    assert str(table) in caplog.text


def test_fault_40_nothing_is_ever_unpickled(table: Path, tmp_path: Path) -> None:
    mark = tmp_path / "was-run"
    table.write_bytes(pickle.dumps(Bomb(mark)))
    assert LabelTable.load(table, on_error="warn").cells == ()
    assert not mark.exists()


def test_fault_40_a_settings_file_can_ask_for_the_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "tierwise.toml"
    text = '[tiers]\nsmall = "ollama:small"\nlarge = "ollama:large"\n[policy]\ndefault = "large"\n'
    path.write_text(text + 'labels = { path = "gone.json", on_error = "warn" }\n')
    assert load(path).router().decide("q", job="anything").tier == "large"
    assert "gone.json" in caplog.text
    path.write_text(text + 'labels = "gone.json"\n')
    with pytest.raises(ConfigFileError, match="line 6"):
        load(path)


@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("chained", [False, True])
def test_fault_40_a_decision_on_a_score_that_is_no_number_does_not_count(
    scene: Scene, figure: float, chained: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Learned(Policy):
        def decide(self, task: Task, context: Any) -> Decision | None:
            return Decision("large", rule="learned", scores={"large": figure})

    scene.provider.on("small", HELLO)
    policy = Learned() | Always("small") if chained else Learned()
    got = scene.ask(scene.router(policy=policy, strategy=Single()))
    assert got.answer.tier == "small"
    assert got.answer.decision.rule == ("always" if chained else "default")
    assert "the decision of learned for large does not count" in caplog.text


@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("result", ["accept", "reject"])
def test_fault_40_a_verdict_on_a_score_that_is_no_number_abstains(
    scene: Scene, way: Way, figure: float, result: Any
) -> None:
    def learned(outcome: Outcome) -> Verdict:
        return Verdict(result, "learned", score=figure, threshold=0.5, conclusive=True)

    scene.provider.on("small", HELLO)
    scene.provider.on("large", Reply(text="Large."))
    got = scene.ask(scene.router(strategy=Cascade(learned)), way=way)
    assert (got.answer.text, got.rows[0].verdict, got.rows[0].conclusive) == ("Large.", "abstain", False)
    assert "proves nothing" in got.rows[0].evidence


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=5))
def test_fault_40_log_probabilities_that_are_none_prove_nothing(found: list[float]) -> None:
    outcome = Outcome(_ATTEMPT, text="yes", logprobs=tuple(found))
    verdict = Logprob(-0.5).check(_ATTEMPT.task, outcome)
    if not all(map(math.isfinite, found)):
        assert verdict.result == "abstain"
    assert verdict.score is None or math.isfinite(verdict.score)


def _attempt() -> Any:
    from tierwise import Attempt, ModelSpec

    return Attempt(Task("q"), ModelSpec("a:b"))


_ATTEMPT = _attempt()


# A slip in the settings

FILE = """\
[tiers]
small = "ollama:small"
large = "ollama:large"

[[rules]]
job = "plan"
tier = "large"

[policy]
default = "small"

[strategy]
name = "cascade"

[backends.ollama]
host = "127.0.0.1:9"
"""


@pytest.mark.parametrize(
    ("right", "wrong", "line", "hint"),
    [
        ('tier = "large"', 'tier = "larg"', 7, "did you mean 'large'"),
        ('default = "small"', 'defualt = "small"', 10, "did you mean 'default'"),
        ('default = "small"', 'default = "smal"', 10, "did you mean 'small'"),
        ('name = "cascade"', 'name = "cascad"', 13, "did you mean 'cascade'"),
        ("[strategy]", "[stratgy]", 12, "did you mean 'strategy'"),
        ('host = "127.0.0.1:9"', 'hots = "127.0.0.1:9"', 16, "did you mean 'host'"),
        ('job = "plan"', "job = 3", 6, "must be a text"),
        ('small = "ollama:small"', 'small = "small"', 2, "provider:name"),
    ],
)
def test_fault_44_a_slip_in_the_settings_is_told_with_its_line_and_the_nearest_name(
    tmp_path: Path, right: str, wrong: str, line: int, hint: str
) -> None:
    path = tmp_path / "tierwise.toml"
    assert right in FILE
    path.write_text(FILE.replace(right, wrong))
    with pytest.raises(ConfigFileError) as caught:
        load(path).router()
    assert (caught.value.line, caught.value.path) == (line, path)
    assert f"line {line}" in str(caught.value)
    assert hint in str(caught.value)


def test_fault_44_so_is_one_in_code(scene: Scene) -> None:
    with pytest.raises(UnknownNameError, match="policy: unknown tier 'larg'; did you mean 'large'"):
        scene.router(policy=Always("larg"))


@given(st.text(min_size=1, max_size=12))
def test_fault_44_no_name_of_a_tier_is_taken_for_another(name: str) -> None:
    fleet: Any = {"small": "a:small", "large": "a:large"}
    known = name in fleet
    with nullcontext() if known else pytest.raises(UnknownNameError):
        router = Router.simple(**fleet, backends={"a": str}, policy=Always(name))
        assert router.decide("q").tier == name


def test_fault_44_a_setting_beside_a_credential_does_not_print_it(tmp_path: Path) -> None:
    path = tmp_path / "tierwise.toml"
    for backend in (f'hots = 1\napi_key = "{CANARY}"', f'host = "http://user:{CANARY}@127.0.0.1"'):
        path.write_text(FILE.replace('host = "127.0.0.1:9"', backend))
        with pytest.raises(ConfigFileError) as caught:
            load(path).router()
        assert CANARY not in str(caught.value) + repr(caught.value) + repr(caught.value.value)


def test_fault_40_a_saved_table_is_text_that_a_person_can_read(table: Path) -> None:
    assert json.loads(table.read_text())["cells"][0]["label"] == "code"
