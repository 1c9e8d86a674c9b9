"""`tierwise ask`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tierwise.testing.provider import LoopbackProvider, Reply

pytest.importorskip("tierwise_ollama")
pytestmark = pytest.mark.usefixtures("settings")

GRADE_LOW = Reply(json={"reason": "wrong", "score": 1})


def test_the_answer_alone_goes_to_standard_output(tierwise: Any) -> None:
    result = tierwise("ask", "2 + 2?")
    assert (result.code, result.out, result.err) == (0, "four\n", "")


def test_a_rejected_draft_is_never_shown(tierwise: Any, provider: LoopbackProvider) -> None:
    provider.on("qwen3:4b", Reply(text="five, I think"))
    provider.on("qwen3:32b", GRADE_LOW, default=Reply(text="It is four."))
    result = tierwise("ask", "2 + 2?")
    assert (result.code, result.out) == (0, "It is four.\n")


def test_explain_shows_the_decision_and_every_attempt(tierwise: Any, provider: LoopbackProvider) -> None:
    provider.on("qwen3:32b", GRADE_LOW, default=Reply(text="It is four."))
    result = tierwise("ask", "2 + 2?", "--explain")
    assert result.out == "It is four.\n"
    assert "decision: start at small" in result.err
    for word in ("draft", "judge", "answer", "escalation", "1/10", "$0"):
        assert word in result.err


def test_explain_shows_the_attempts_of_a_run_that_failed(tierwise: Any, provider: LoopbackProvider) -> None:
    for model in ("qwen3:4b", "qwen3:32b"):
        provider.on(model, Reply(status=500))
    result = tierwise("ask", "2 + 2?", "--explain")
    assert result.out == ""
    assert "ollama:qwen3:4b" in result.err
    assert "UnavailableError" in result.err


def test_job_and_tier_decide_where_to_start(tierwise: Any, provider: LoopbackProvider) -> None:
    provider.on("qwen3:32b", Reply(text="a plan"))
    assert tierwise("ask", "How?", "--job", "plan").out == "a plan\n"
    assert tierwise("ask", "How?", "--tier", "large").out == "a plan\n"
    assert provider.count("qwen3:4b") == 0


def test_high_stakes_start_high(tierwise: Any, provider: LoopbackProvider) -> None:
    provider.on("qwen3:32b", Reply(text="carefully"))
    assert tierwise("ask", "How?", "--stakes", "high").out == "carefully\n"


def test_a_pipe_and_files_are_part_of_the_request(tierwise: Any, provider: LoopbackProvider, home: Path) -> None:
    (home / "notes.txt").write_text("the notes", encoding="utf-8")
    (home / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    provider.describe("qwen3:4b", capabilities=("completion", "vision"))
    assert tierwise("ask", "Summarise", "-f", "notes.txt", "-f", "photo.png", stdin="the pipe").code == 0
    (message,) = provider.calls[0].body["messages"]
    assert [part in message["content"] for part in ("Summarise", "the pipe", "notes.txt", "the notes")] == [True] * 4
    assert len(message["images"]) == 1


def test_the_request_may_come_from_the_pipe_alone(tierwise: Any, provider: LoopbackProvider) -> None:
    assert tierwise("ask", stdin="2 + 2?").out == "four\n"
    assert provider.calls[0].body["messages"][-1]["content"] == "2 + 2?"
    result = tierwise("ask", stdin="")
    assert (result.code, result.err) == (2, "tierwise: there is no request: standard input is empty\n")


def test_a_hyphen_reads_the_pipe(tierwise: Any, provider: LoopbackProvider) -> None:
    assert tierwise("ask", "--tier", "small", "-", stdin="2 + 2?").out == "four\n"
    assert provider.calls[0].body["messages"][-1]["content"] == "2 + 2?"
    assert tierwise("ask", "- a\n- b: which is first?").code == 0
    result = tierwise("ask", "--exlain")
    assert (result.code, result.err) == (2, "tierwise: unknown option '--exlain' (see tierwise ask --help)\n")


def test_an_empty_request_is_sent_to_nobody(tierwise: Any, provider: LoopbackProvider) -> None:
    result = tierwise("ask", "  ")
    assert (result.code, result.err) == (2, "tierwise: there is no request: it is empty\n")
    assert provider.count() == 0


def test_an_answer_that_breaks_off_ends_its_line(tierwise: Any, provider: LoopbackProvider) -> None:
    provider.on("qwen3:32b", Reply(text="It is four", disconnect_after=2))
    result = tierwise("ask", "2 + 2?", "--tier", "large")
    assert (result.code, result.out.endswith("\n")) == (1, True)
    assert result.out.strip()


def test_half_a_character_in_an_answer_is_no_defect(tierwise: Any, provider: LoopbackProvider) -> None:
    provider.on("qwen3:4b", Reply(text="half \ud83d of it"))
    result = tierwise("ask", "2 + 2?")
    assert (result.code, result.out) == (0, "half ? of it\n")


def test_a_typed_answer_is_checked(tierwise: Any, provider: LoopbackProvider, home: Path) -> None:
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
    (home / "schema.json").write_text(json.dumps(schema), encoding="utf-8")
    provider.on("qwen3:4b", Reply(json={"sum": 4}))
    result = tierwise("ask", "2 + 2?", "--json-schema", "schema.json", "--json")
    answer = json.loads(result.out)
    assert answer["output"] == {"sum": 4}
    assert answer["status"] == "verified"
    assert provider.count() == 1


def test_a_typed_answer_that_never_fits_is_a_failed_run(tierwise: Any, provider: LoopbackProvider, home: Path) -> None:
    (home / "schema.json").write_text('{"type": "object", "required": ["sum"]}', encoding="utf-8")
    for model in ("qwen3:4b", "qwen3:32b"):
        provider.on(model, Reply(json={"total": 4}))
    result = tierwise("ask", "2 + 2?", "--json-schema", "schema.json")
    assert (result.code, result.out) == (1, "")
    assert "no accepted answer" in result.err


def test_json_tells_everything(tierwise: Any) -> None:
    answer = json.loads(tierwise("ask", "2 + 2?", "--json").out)
    assert (answer["text"], answer["tier"], answer["model"]) == ("four", "small", "ollama:qwen3:4b")
    assert answer["decision"]["tier"] == "small"
    assert [row["purpose"] for row in answer["receipt"]["rows"]] == ["answer", "judge"]


def test_content_that_no_model_may_see_is_refused_before_any_call(
    tierwise: Any, provider: LoopbackProvider, settings: Path
) -> None:
    settings.write_text('[tiers]\nlarge = "openai:gpt-4o"\n', encoding="utf-8")
    result = tierwise("ask", "a secret", "--trust", "local")
    assert result.code == 3
    assert "trust" in result.err
    assert provider.count() == 0


def test_a_server_that_is_down_is_out_of_reach(tierwise: Any, provider: LoopbackProvider) -> None:
    with provider.refusing():
        result = tierwise("ask", "2 + 2?")
    assert (result.code, result.out) == (4, "")
    assert "ollama serve" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--tier", "larg"), "unknown tier 'larg'; did you mean 'large'?"),
        (("--trust", "lokal"), 'Did you mean "local"?'),
        (("--json-schema", "none.json"), "--json-schema none.json"),
        (("--files", "none.txt"), "--files none.txt"),
        (("--colour", "red"), "--colour"),
        (("--config", "none.toml"), "there is no none.toml: `tierwise init` writes one"),
    ],
)
def test_wrong_usage_is_one_line(tierwise: Any, arguments: tuple[str, ...], message: str) -> None:
    result = tierwise("ask", "2 + 2?", *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("tierwise: ")
    assert result.err.count("\n") == 1
    assert message in result.err


def test_debug_shows_where(tierwise: Any) -> None:
    result = tierwise("ask", "2 + 2?", "--config", "none.toml", "--debug")
    assert result.code == 2
    assert "Traceback" in result.err


def test_a_backend_has_the_options_of_the_settings(tierwise: Any, settings: Path) -> None:
    text = settings.read_text()
    settings.write_text(text + 'keep_alive = "1m"\ntimeouts = { first_token = 30, idle = 10 }\n', encoding="utf-8")
    assert tierwise("ask", "2 + 2?").out == "four\n"
    for wrong, message in [("kept_alive = 1\n", "'keep_alive'"), ("timeouts = { idel = 1 }\n", "'idle'")]:
        settings.write_text(text + wrong, encoding="utf-8")
        result = tierwise("ask", "2 + 2?")
        assert result.code == 2
        assert f"did you mean {message}?" in result.err
