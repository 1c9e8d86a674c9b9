from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tierwise import Cascade, Router
from tierwise.attempt import Attempt, Outcome
from tierwise.errors import ConfigError
from tierwise.messages import ToolCall
from tierwise.task import Task
from tierwise.verdict import Verdict
from tierwise.verifiers import Check, ValidOutput
from tierwise.verifiers.command import run_command

PYTHON = sys.executable


def program(code: str, *arguments: str) -> list[str]:
    return [PYTHON, "-c", code, *arguments]


def work(attempt: Attempt) -> Any:
    assert attempt.work is not None
    return attempt.work()


def run(bench: Any, check: Check, text: str = "", **fields: Any) -> Any:
    """Drives the check and does its work, as a driver would."""
    return bench.judge(check, bench.answer(text, **fields), work).verdict


def test_exit_code_zero_is_a_conclusive_yes(bench: Any) -> None:
    verdict = run(bench, Check(program("import sys; assert sys.stdin.read() == 'caf\\u00e9\\n42'")), "café\n42")
    assert (verdict.result, verdict.conclusive, verdict.evidence) == ("accept", True, "exit code 0")


def test_any_other_is_a_conclusive_no_with_the_tail_of_the_output(bench: Any) -> None:
    code = "import sys; print('x' * 5000, flush=True); print('1 failed', file=sys.stderr); sys.exit(3)"
    verdict = run(bench, Check(program(code)))
    assert (verdict.result, verdict.conclusive, verdict.quotes) == ("reject", True, True)
    assert verdict.evidence.startswith("exit code 3: …")
    assert verdict.evidence.endswith("1 failed")
    assert len(verdict.evidence) < 600


def test_the_answer_may_come_in_a_file(bench: Any) -> None:
    code = (
        "import sys; path = sys.argv[1]; assert path.endswith('.py'); assert open(path).read() == 'x = 1'; "
        "assert not sys.stdin.read()"
    )
    assert run(bench, Check(program(code, "{file}"), suffix=".py"), "x = 1").accepted


def test_the_file_is_gone_afterwards(bench: Any, tmp_path: Path) -> None:
    kept = tmp_path / "path"
    run(bench, Check(program("import sys; open(sys.argv[1], 'w').write(sys.argv[2])", str(kept), "{file}")), "x")
    assert not Path(kept.read_text()).exists()


@pytest.mark.parametrize(
    "text", ["; exit 1", "$(exit 1)", "`exit 1`", "{file}", "--help", "/etc/passwd", "x\0y", "\ud800"]
)
def test_what_a_model_wrote_is_neither_command_nor_path(bench: Any, text: str, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    code = "import sys; open(sys.argv[1], 'w').write(repr(sys.argv[2:]))"
    assert run(bench, Check(program(code, str(seen), "{file}", "a{file}b")), text).accepted
    first, second = eval(seen.read_text())
    assert Path(first).name == "answer"
    assert second == "a{file}b"


def test_only_a_part_may_be_handed_over(bench: Any) -> None:
    check = Check(program("import sys; assert sys.stdin.read() == 'B'"), extract=lambda text: text.split("|")[1])
    assert run(bench, check, "A|B|C").accepted


def test_a_program_that_reads_nothing_does_not_block(bench: Any) -> None:
    assert run(bench, Check(program("pass")), "x" * 1_000_000).accepted


def test_keys_do_not_reach_a_program(bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    monkeypatch.chdir(tmp_path)
    code = (
        "import os, sys; e = os.environ; sys.exit('ANTHROPIC_API_KEY' in e or e.get('MINE') != '1' or 'PATH' not in e)"
    )
    assert run(bench, Check(program(code), env={"MINE": "1"})).accepted


def test_it_runs_where_it_is_told_to(bench: Any, tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    assert run(bench, Check(program("import os; assert os.path.exists('here')"), cwd=tmp_path)).accepted


def test_out_of_time_is_a_no_and_everything_it_started_is_ended(bench: Any, tmp_path: Path) -> None:
    ids = tmp_path / "ids"
    child = "import time; time.sleep(600)"
    code = (
        "import os, subprocess, sys, time; print('started', flush=True); "
        f"c = subprocess.Popen([sys.executable, '-c', {child!r}]); "
        f"open({str(ids)!r}, 'w').write(f'{{os.getpid()}} {{c.pid}}'); time.sleep(600)"
    )
    verdict = run(bench, Check(program(code), timeout=5))
    assert (verdict.result, verdict.evidence) == ("reject", "not done after 5 s: started")
    assert not any(map(alive, map(int, ids.read_text().split())))


def test_a_task_s_deadline_bounds_its_checks(bench: Any) -> None:
    check = Check(program("import time; time.sleep(600)"))
    verdict = run(bench, check, task=Task("q", deadline=0.5))
    assert verdict.evidence == "not done after 0.5 s"


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX's")
def test_a_child_left_behind_is_ended_too(tmp_path: Path) -> None:
    code = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid)"
    ran = run_command(program(code), "", timeout=60)
    assert ran.code == 0
    assert not alive(int(ran.output))


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return False
        time.sleep(0.02)
    return True


def test_endless_output_is_bounded() -> None:
    ran = run_command(program("while True: print('y' * 1000)"), "", timeout=1)
    assert ran.code is None
    assert len(ran.output) <= 4000


def test_a_program_that_is_not_there_is_found_out_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="program 'no-such-program' is not found"):
        Check(["no-such-program"])
    with pytest.raises(ConfigError, match="not found"):
        Check(["./run.sh"], cwd=tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="scripts with a first line are POSIX's")
def test_a_relative_program_is_looked_for_where_it_runs(bench: Any, tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\ngrep -q yes\n")
    script.chmod(0o755)
    check = Check(["./run.sh"], cwd=tmp_path)
    assert run(bench, check, "yes").accepted
    assert run(bench, check, "no").rejected
    assert check.name == "Check run"


@pytest.mark.parametrize(
    ("test", "options", "words"),
    [
        ("pytest -q", {}, r"must be a list of arguments.*\['pytest', '-q'\]"),
        ([], {}, "the command is empty"),
        ([PYTHON], {"timeout": 0}, "timeout=0 must be above zero"),
    ],
)
def test_settings_that_cannot_be(test: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Check(test, **options)


def test_a_command_abstains_on_turns_that_call_tools(bench: Any) -> None:
    judged = bench.judge(Check(program("pass")), bench.answer(tool_calls=(ToolCall("f"),)))
    assert (judged.verdict.result, judged.asked) == ("abstain", [])


@pytest.mark.parametrize(
    ("said", "wanted", "conclusive"),
    [
        (True, "accept", True),
        (False, "reject", True),
        (None, "abstain", False),
        (Verdict("accept", "3 of 4", score=0.75), "accept", False),
    ],
)
def test_a_function_decides(bench: Any, said: Any, wanted: str, conclusive: bool) -> None:
    def known(task: Task, outcome: Outcome) -> Any:
        assert (task.latest_request, outcome.text) == ("q", "x")
        return said

    verdict = run(bench, Check(known), "x")
    assert (verdict.result, verdict.conclusive) == (wanted, conclusive)
    assert "known" in verdict.verifier


async def test_it_runs_off_the_flow_s_thread_with_a_row_of_its_own() -> None:
    threads: list[int] = []

    def slow(outcome: Outcome) -> bool:
        threads.append(threading.get_ident())
        return outcome.text == "right"

    def answer(attempt: Attempt) -> str:
        return "right" if attempt.tier == "large" else "wrong"

    router = Router.simple(small="x:small", large="x:large", backends={"x": answer}, strategy=Cascade(Check(slow)))
    reply = await router.arun("q")
    assert threads
    assert threading.get_ident() not in threads
    assert [(r.purpose, r.cost) for r in reply.attempts if r.purpose == "check"] == [("check", 0)]
    assert reply.text == "right"


def test_a_defect_of_the_function_is_not_taken_for_a_bad_answer() -> None:
    def broken(outcome: Outcome) -> bool:
        raise ZeroDivisionError

    def wordy(attempt: Attempt) -> str:
        return "x"

    router = Router.simple(small="x:s", large="x:l", backends={"x": wordy}, strategy=Cascade(Check(broken)))
    with pytest.raises(ZeroDivisionError):
        router.run("q")


def test_code_that_passes_its_tests_stays_on_the_small_tier_and_code_that_does_not_goes_up() -> None:
    def answer(attempt: Attempt) -> str:
        wrong = attempt.tier == "small" and "hard" in attempt.task.latest_request
        return "def double(x):\n    return x" + ("" if wrong else " * 2")

    test = "import sys; exec(sys.stdin.read()); assert double(4) == 8"
    verifier = ValidOutput(pattern=r"def (?s:.*)", conclusive=False) & Check(program(test))
    router = Router.simple(small="x:small", large="x:large", backends={"x": answer}, strategy=Cascade(verifier))
    assert (router.run("easy").tier, router.run("hard").tier) == ("small", "large")
