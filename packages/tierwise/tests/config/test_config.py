"""A router from a file: what it says is what is built, and what is wrong in it names its line."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from tierwise import Fleet, Message, Router, Tool, ToolCall
from tierwise.attempt import Attempt
from tierwise.config import Config, load
from tierwise.errors import ConfigError, ConfigFileError

FULL = """\
# The ladder, smallest first.
baseline = { id = "openai:gpt-4o", price = { input = 2.5, output = 10 } }

[tiers]
small = [
    "ollama:qwen3:4b",
    { id = "ollama:llama3.2:3b", alias = "warm", num_ctx = 8192, temperature = 1, trust = "local" },
]
medium = "ollama:qwen3:32b"

[tiers.large]
models = ["anthropic:claude-opus-4-7"]

[specialists.code]
models = [{ id = "ollama:qwen3-coder:30b", capabilities = ["tools"], window = 32768, options = { mirostat = 2 } }]

[prices."ollama:qwen3:32b"]
input = 0.1
output = 0.2
cached_input = 0.01

[[rules]]
job = ["plan", "design"]
tier = "large"

[[rules]]
longer_than = 1000
tier = "medium"

[[rules]]
needs = "vision"
tier = "large"

[[rules]]
tags = "code"
role = "coder"
tier = "code"

[policy]
default = "medium"

[policy.jobs]
orchestration = "small"
kinds = { triage = "orchestration" }

[strategy]
name = "cascade"
on_unverified = "accept"
judge = { model = "large", threshold = 0.8 }

[ledger]
path = "calls.db"
"""

MINIMAL = '[tiers]\nsmall = "a:small"\nlarge = "b:large"\n'

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "tierwise.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def answer(attempt: Attempt) -> str:
    return f"{attempt.tier} says four"


def router(config: Config) -> Router:
    return config.router(backends={"*": answer}, ledger=None)


def test_the_ladder_has_the_order_of_the_file(write: Write) -> None:
    fleet = load(write(FULL)).fleet
    assert [t.name for t in fleet.ladder] == ["small", "medium", "large"]
    assert [t.name for t in fleet.specialists] == ["code"]
    assert [m.key for m in fleet.ladder[0].models] == ["ollama:qwen3:4b", "warm"]


def test_a_model_has_the_settings_of_its_table(write: Write) -> None:
    fleet = load(write(FULL)).fleet
    warm = fleet.find("warm")
    assert (warm.id, warm.num_ctx, warm.temperature, warm.trust) == ("ollama:llama3.2:3b", 8192, 1.0, "local")
    coder = fleet.find("ollama:qwen3-coder:30b")
    assert coder.capabilities == {"tools"}
    assert coder.options == {"mirostat": 2}


def test_prices_are_exact(write: Write) -> None:
    fleet = load(write(FULL)).fleet
    price = fleet.find("ollama:qwen3:32b").price
    assert price is not None
    assert (price.input, price.output, price.cached_input) == (Decimal("0.1"), Decimal("0.2"), Decimal("0.01"))
    assert fleet.baseline.price is not None
    assert fleet.baseline.price.input == Decimal("2.5")
    assert fleet.find("ollama:qwen3:4b").price is None


@pytest.mark.parametrize(
    ("fields", "tier"),
    [
        ({"job": "design"}, "large"),
        ({"job": "triage"}, "small"),
        ({"tags": ["code"], "role": "coder"}, "code"),
        ({"role": "coder"}, "medium"),
        ({"stakes": "high"}, "large"),
        ({}, "medium"),
    ],
)
def test_rules_decide(write: Write, fields: dict[str, object], tier: str) -> None:
    assert router(load(write(FULL))).decide("2 + 2?", **fields).tier == tier


def test_a_rule_may_ask_for_the_length(write: Write) -> None:
    text = MINIMAL + '[[rules]]\nlonger_than = 100\ntier = "large"\n'
    made = router(load(write(text)))
    assert made.decide("short").tier == "small"
    assert made.decide("long " * 200).tier == "large"


def test_a_file_of_two_lines_is_a_router(write: Write) -> None:
    path = write(MINIMAL)
    assert Fleet.from_file(path).names == ("small", "large")
    reply = Router.from_file(path, backends={"*": answer}).run("2 + 2?", job="answer")
    assert "says four" in reply.text


def test_the_ledger_stands_beside_the_file(write: Write) -> None:
    path = write(MINIMAL + '[strategy]\nname = "single"\n[ledger]\npath = "kept/calls.db"\ncontent = true\n')
    made = load(path).router(backends={"*": answer})
    made.run("2 + 2?")
    assert (path.parent / "kept" / "calls.db").exists()


def test_single_asks_one_model_and_no_judge(write: Write) -> None:
    calls: list[str] = []

    def counted(attempt: Attempt) -> str:
        calls.append(attempt.model.id)
        return "four"

    text = MINIMAL + '[strategy]\nname = "single"\n'
    load(write(text)).router(backends={"*": counted}).run("2 + 2?")
    assert calls == ["a:small"]


def test_without_a_judge_only_the_shape_is_checked(write: Write) -> None:
    calls: list[str] = []

    def counted(attempt: Attempt) -> str:
        calls.append(attempt.purpose)
        return "four"

    text = MINIMAL + '[strategy]\njudge = false\non_unverified = "accept"\n'
    load(write(text)).router(backends={"*": counted}).run("2 + 2?")
    assert calls == ["draft"]


WRONG = [
    # file, line, what the message says
    ('[tiers]\nsmall = "a:b"\n\n[stratgy]\nname = "single"\n', 4, r"unknown key 'stratgy'; did you mean 'strategy'\?"),
    (
        '[tiers]\nsmall = [\n  "a:b",\n  { id = "a:c", temprature = 0 },\n]\n',
        4,
        r"tiers\.small\[2\]\.temprature: unknown key 'temprature'; did you mean 'temperature'\?",
    ),
    (
        '[tiers]\nsmall = [\n  { id = "a:b", num_ctx = 1 },\n  { id = "a:c", num_ctx = "big" },\n]\n',
        4,
        r"tiers\.small\[2\]\.num_ctx: must be a whole number, not 'big'",
    ),
    ('[tiers]\nsmall = "a:b"\nlarge = [\n  "a:c",\n  "qwen3",\n]\n', 3, r"model 'qwen3' must be provider:name"),
    ('[tiers]\nsmall = "a:b"\nlarge = 3\n', 3, r"tiers\.large: must be a list, not 3"),
    ("[tiers]\nsmall = [1]\n", 2, r"must be a text in quotes or a table, not 1"),
    ("[tiers]\nsmall = []\n", 2, r"tier 'small' needs at least one model"),
    ('[tiers.small]\nmodel = ["a:b"]\n', 2, r"unknown key 'model'; did you mean 'models'"),
    ('[tiers]\nsmall = { id = "a:b", num_ctx = 0 }\n', 2, r"num_ctx=0 must be above zero"),
    ('[tiers]\nsmall = { id = "a:b", trust = "lokal" }\n', 2, r"trust='lokal' must be one of"),
    ('[tiers]\nsmall = { id = "a:b", seed = true }\n', 2, r"must be a whole number, not True"),
    ("[tiers]\nsmall = { num_ctx = 1 }\n", 2, r"unknown key 'num_ctx'; known: models"),
    ("[tiers]\n", 1, r"needs at least one tier"),
    ("", 1, r"needs at least one tier"),
    ('[tiers]\nsmall = "a:b\n', 2, r"Illegal character"),
    ('[tiers]\nsmall = "a:b"\nsmall = "a:c"\n', 3, r"Cannot overwrite"),
    (MINIMAL + '\n[[rules]]\njob = "plan"\ntier = "large"\n\n[[rules]]\njob = "code"\ntier = "larg"\n', 11, "'large'"),
    (MINIMAL + '[[rules]]\njob = "plan"\n', 5, r"rules\[1\]: needs 'tier'"),
    (MINIMAL + '[[rules]]\ntier = "large"\n', 5, r"has no condition"),
    (MINIMAL + '[[rules]]\ntier = "large"\npattern = "("\n', 6, r"is no regular expression"),
    (MINIMAL + '[[rules]]\ntier = "large"\nlonger_than = 10\njob = "x"\n', 6, r"a rule of its own"),
    (MINIMAL + '[[rules]]\ntier = "large"\nlonger_than = 0\n', 6, r"tokens=0 must be above zero"),
    (MINIMAL + '[[rules]]\ntier = "large"\nneeds = ["visoin"]\n', 6, r"did you mean 'vision'"),
    (MINIMAL + '[rules]\ntier = "large"\n', 4, r"rules: must be a list"),
    (MINIMAL + '[policy]\ndefault = "smal"\n', 5, r"unknown tier 'smal'; did you mean 'small'"),
    (MINIMAL + '[policy.jobs]\nreasoning = "top"\n', 5, r"unknown tier 'top'"),
    (MINIMAL + '[policy.jobs]\nkinds = { triage = "reason" }\n', 5, r"did you mean 'reasoning'"),
    (MINIMAL + '[strategy]\nname = "cascde"\n', 5, r"did you mean 'cascade'"),
    (MINIMAL + '[strategy]\njudge = "larg"\n', 5, r"unknown tier or model 'larg'; did you mean 'large'"),
    (MINIMAL + '[strategy]\njudge = { model = "larg" }\n', 5, r"strategy\.judge\.model: unknown tier or model"),
    (MINIMAL + "[strategy]\njudge = { threshold = 7 }\n", 5, r"must be between 0 and 1"),
    (MINIMAL + '[strategy]\non_unverified = "shrug"\n', 5, r"must be one of escalate, accept"),
    (MINIMAL + "[ledger]\ncontent = true\n", 4, r"ledger: needs 'path'"),
    (MINIMAL + '[prices."a:smal"]\ninput = 1\noutput = 1\n', 4, r"did you mean 'a:small'"),
    (MINIMAL + '[prices."a:small"]\ninput = 1\n', 4, r'prices\."a:small": needs \'output\''),
    (MINIMAL + '[prices."a:small"]\ninput = -1\noutput = 1\n', 5, r"must be USD per million tokens"),
    ('baseline = "b:larg"\n' + MINIMAL, 1, r"unknown model 'b:larg'; did you mean 'b:large'"),
    (MINIMAL + '[specialists]\nsmall = "a:b"\n', 4, r"two tiers are named 'small'"),
    ('small = 1\n[tiers]\nlarge = "a:b"\n[prices]\nsmall = 1\n', 1, r"unknown key 'small'"),
]


@pytest.mark.parametrize(("text", "line", "message"), WRONG)
def test_what_is_wrong_names_file_line_and_mend(write: Write, text: str, line: int, message: str) -> None:
    path = write(text)
    with pytest.raises(ConfigFileError, match=message) as caught:
        load(path)
    assert (caught.value.line, caught.value.path) == (line, path)
    assert str(caught.value).startswith(f"{path}, line {line}: ")


def test_a_file_that_is_not_there_names_itself(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match=r"tierwise\.toml: No such file"):
        load(tmp_path / "tierwise.toml")


def test_a_backend_that_is_not_installed_names_its_package(write: Write) -> None:
    config = load(write(MINIMAL + "[backends.nobody]\nhost = 'x'\n"))
    with pytest.raises(ConfigError, match='pip install "tierwise-litellm"'):
        config.router()
    assert config.router(backends={"*": answer, "nobody": answer}).fleet.names == ("small", "large")


AFTER = [
    Message("user", "Find it."),
    Message("assistant", tool_calls=(ToolCall("look", id="1"),)),
    Message("tool", "nothing", name="look", tool_call_id="1"),
]
CIRCLE = [*AFTER, *AFTER[1:]]


@pytest.mark.parametrize(
    ("policy", "messages", "fields", "decided"),
    [
        ("", AFTER, {}, ("small", "large", "act step")),
        ("act_step = false", AFTER, {}, ("small", None, "default")),
        ('act_step = { tier = "large" }', AFTER, {}, ("small", None, "default")),
        ('default = "small"', AFTER, {}, ("small", None, "always")),
        ("", CIRCLE, {}, ("large", None, "stalled, over act step")),
        ("stalled = false", CIRCLE, {}, ("small", "large", "act step")),
        ("stalled = { repeats = 3 }", CIRCLE, {}, ("small", "large", "act step")),
        ("", AFTER, {"node": "planner"}, ("large", None, "plan step")),
        ("plan_step = false", AFTER, {"node": "planner"}, ("small", "large", "act step")),
        ("plan_step = { first = true }", AFTER[:1], {}, ("large", None, "plan step")),
        ('jobs = { reasoning = "small" }', AFTER[:1], {"job": "plan"}, ("small", None, "plan step")),
        (
            'plan_step = { tier = "large" }\njobs = { reasoning = "small" }',
            AFTER,
            {"job": "plan"},
            ("large", None, "plan step"),
        ),
    ],
)
def test_step_rules_are_on_off_or_have_settings(
    write: Write, policy: str, messages: list[Message], fields: dict[str, str], decided: tuple[str, str | None, str]
) -> None:
    decision = router(load(write(f"{MINIMAL}[policy]\n{policy}\n"))).decide(messages, tools=[Tool("look")], **fields)
    assert (decision.tier, decision.then, decision.rule) == decided


def test_rules_come_before_step_rules(write: Write) -> None:
    rules = router(load(write(f'{MINIMAL}[[rules]]\nnode = "planner"\ntier = "small"\n')))
    assert rules.decide(AFTER, tools=[Tool("look")], node="planner").rule == "rule"
    assert rules.decide(AFTER, tools=[Tool("look")]).rule == "act step"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("act_step = 3", "true or false"),
        ("act_step = { prose = -1 }", "prose=-1"),
        ("stalled = { repeat = 3 }", "did you mean 'repeats'"),
        ('plan_step = { tier = "huge" }', "unknown tier 'huge'"),
    ],
)
def test_a_wrong_step_rule_names_its_line(write: Write, setting: str, message: str) -> None:
    with pytest.raises(ConfigFileError, match=message) as caught:
        load(write(f"{MINIMAL}[policy]\n{setting}\n"))
    assert caught.value.line == 5
