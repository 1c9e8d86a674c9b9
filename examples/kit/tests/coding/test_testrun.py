import pytest
from tierwise_examples.coding.bounded import Ran
from tierwise_examples.coding.testrun import Failure, TestRun

OUTPUT = """
..FF
=================================== FAILURES ===================================
_________________________________ test_double __________________________________
test_code.py:12: in test_double
    assert double(3) == 6
E   AssertionError: assert 5 == 6
E    +  where 5 = double(3)
______________________________ test_words[the sea] _____________________________
test_code.py:20: in test_words
    assert count("the sea") == {"the": 1}
words.py:7: in count
    counts[word] += 1
    ^^^^^^^^^^^^
E   KeyError: 'the'
2 failed, 2 passed, 1 warning in 0.05s
"""


def test_what_failed_is_read_from_the_output() -> None:
    run = TestRun.of(Ran(1, OUTPUT))
    assert (run.passed, run.green, run.summary) == (False, 2, "2 failed, 2 passed, 1 warning in 0.05s")
    assert run.failures == [
        Failure("test_double", "test_code.py", 12, "assert double(3) == 6", "AssertionError: assert 5 == 6"),
        Failure("test_words", "test_code.py", 20, 'assert count("the sea") == {"the": 1}', "KeyError: 'the'"),
    ]
    assert run.excerpt().splitlines()[1].endswith("fails with `KeyError: 'the'`.")
    assert run.excerpt(80) == "`assert double(3) == 6` fails with `AssertionError: assert 5 == 6`."


@pytest.mark.parametrize(
    ("ran", "passed", "summary"),
    [
        (Ran(0, "..\n2 passed in 0.01s\n"), True, "2 passed in 0.01s"),
        (Ran(0, "..\n===== 2 passed, 1 skipped in 0.01s =====\n"), True, "2 passed, 1 skipped in 0.01s"),
        (Ran(1, "1 error in 0.01s"), False, "1 error in 0.01s"),
        (Ran(5, "no tests ran in 0.01s"), False, "no tests ran in 0.01s"),
        (Ran(0, "3 skipped in 0.01s"), False, "3 skipped in 0.01s"),
        (Ran(0, ""), False, "no output, exit code 0"),
        (Ran(0, "goodbye"), False, "goodbye"),
        (Ran(1, "2 passed in 0.01s"), False, "2 passed in 0.01s"),
        (Ran(None, "2 passed in 0.01s", "ended after 3 s"), False, "ended after 3 s"),
    ],
)
def test_a_run_passes_if_tests_passed_and_none_failed(ran: Ran, passed: bool, summary: str) -> None:
    run = TestRun.of(ran)
    assert (run.passed, run.summary) == (passed, summary)


@pytest.mark.parametrize(
    ("before", "after", "proves"),
    [
        ("1 failed, 3 passed in 1s", "4 passed in 1s", True),
        ("1 failed, 3 passed in 1s", "3 passed in 1s", False),
        ("1 failed, 3 passed in 1s", "1 failed, 3 passed in 1s", False),
        ("2 failed, 3 passed in 1s", "4 passed, 1 skipped in 1s", False),
        ("1 failed, 3 passed, 1 skipped in 1s", "4 passed, 1 skipped in 1s", True),
        ("1 error in 1s", "4 passed in 1s", True),
    ],
)
def test_a_proof_loses_no_test(before: str, after: str, proves: bool) -> None:
    runs = [TestRun.of(Ran(1 if "failed" in text or "error" in text else 0, text)) for text in (before, after)]
    assert runs[1].proves(runs[0]) is proves


def test_a_run_that_was_not_made_proves_nothing() -> None:
    refused = TestRun.refused("no patch: there is no function in the answer")
    assert not refused.proves(TestRun.of(Ran(1, "1 failed in 1s")))
    assert refused.excerpt() == "no patch: there is no function in the answer"
