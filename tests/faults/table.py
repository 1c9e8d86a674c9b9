"""What happens when...: the one table of faults. The page in the docs is made of it, and each line has its tests.

Run this file to write the page anew: `python tests/faults/table.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GROUPS", "PAGE", "ROOT", "Group", "Line", "page"]

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "limits" / "what-happens-when.md"


@dataclass(frozen=True, slots=True)
class Line:
    """One fault."""

    number: int
    """Its tests are named after it: `test_fault_07_...`."""
    happens: str
    does: str
    """What Tierwise does."""


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    lines: Sequence[Line]


GROUPS: Sequence[Group] = (
    Group(
        "A provider fails",
        (
            Line(
                1,
                "It asks for fewer requests (429), and says when to come back",
                "With `CircuitBreaker()` it is left alone for that time: seconds, milliseconds or a date. "
                "`Retry()` waits for a short one, never past the deadline",
            ),
            Line(2, "It asks to wait past the deadline", "The next model is asked at once"),
            Line(
                3,
                "It is overloaded or broken (500, 502, 503, 529)",
                "The next model in order; with `Retry()`, one more try before that, after a random pause",
            ),
            Line(
                4,
                "It says that the request is wrong (400, 422)",
                "The request is not repeated there; the next model is asked. The model is not avoided afterwards",
            ),
            Line(
                5,
                "It does not accept the key (401, 403)",
                "With `CircuitBreaker()` models with that key are left alone for a while; those with others are not",
            ),
            Line(
                6,
                "The prompt is too long for a model",
                "A model with more room is asked. Each model that comes next has to have the tools, the eyes and the "
                "room that the task needs",
            ),
            Line(
                7,
                "A model refuses to answer, in words or by a filter",
                "The refusal is on the receipt. A cascade goes up; a single call hands it out, marked `rejected`",
            ),
            Line(
                8,
                "No server answers",
                "The next model is asked. The call cost nothing, and says so. `CircuitBreaker()` opens at once",
            ),
            Line(
                9,
                "It is slow",
                "Four limits, each named in the error: to connect, to the first token, between tokens, and the task's "
                "deadline over all of it. A slow stream that keeps coming is not cut off",
            ),
            Line(10, "A stream breaks before anything was shown", "The next model is asked; nobody notices"),
            Line(
                11,
                "A stream breaks after something was shown",
                "`StreamBrokenError` with the text so far: no second answer is glued to it. The tokens are billed",
            ),
            Line(12, "It reports an error inside an answer that began with 200", "The call has failed, like any other"),
            Line(
                13,
                "It counts the tokens after the answer's end",
                "The stream is read to its end, and the counts are its own",
            ),
            Line(14, "It does not count the tokens", "They are estimated, and marked `~`; they are never zero"),
            Line(
                15,
                "Its answer is broken, cut off or empty",
                "The call has failed, and the next model is asked. An empty answer is never a success",
            ),
            Line(
                16,
                "You cancel, leave a stream, or press Ctrl-C",
                "The call is closed at the provider, what it took is on the receipt, nothing stays reserved",
            ),
            Line(17, "Every model fails", "One `AllModelsFailedError` that lists each attempt with its cause"),
            Line(
                33,
                "Another model answers than the one that was asked",
                "Both are kept. The price is that of the one that answered, or unknown; never somebody else's",
            ),
        ),
    ),
    Group(
        "Many calls at once",
        (
            Line(
                18,
                "A hundred calls wait for a provider that may be back",
                "One of them tries; the others go to the next model",
            ),
            Line(19, "The process that tries is killed", "Its time as the one that tries ends, and another may"),
            Line(20, "A longer pause is asked for while one runs", "The longer one holds"),
            Line(21, "All providers are down", "An error at once, with the earliest time to try again"),
            Line(
                22,
                "Fallbacks point at each other",
                "A model that failed is not asked again, wherever else it stands. A run has a bound on its calls "
                "(`max_calls`)",
            ),
            Line(
                23,
                "A provider's own client repeats requests too",
                "Our backends switch that off. What a client of yours repeats is counted, as far as it says; the bound "
                "of `Retry()` is one for the whole run",
            ),
            Line(
                24,
                "Many calls run against one budget",
                "What is spent and reserved is never above it, at any moment",
            ),
            Line(
                25,
                "A model has no known price",
                "Under a budget it is refused, or counted with the price that you set for it; never zero",
            ),
            Line(
                26,
                "The store of limits is lost",
                "Calls are refused, or go without limits, as you chose; it is logged, and told on the reply",
            ),
            Line(
                27,
                "A reservation is never settled, or settled twice, or its window ends",
                "It lapses; the second is ignored; a call is charged once",
            ),
            Line(
                28,
                "Two processes share a budget",
                "They share one account, and one circuit: a file on one machine, Redis on many",
            ),
        ),
    ),
    Group(
        "A process dies, a disk fails",
        (
            Line(
                29,
                "The process is killed between a reply and its row",
                "The row was there before the call. It is marked `unknown`: the provider may have billed",
            ),
            Line(
                30,
                "The ledger's disk is full, its file locked or damaged",
                'Calls still answer; the loss is logged and counted. With `on_error="raise"`, no row means no call',
            ),
            Line(
                31,
                "The same request is sent twice under one key",
                "One call, one row; the second gets the first one's reply, also from another process. If the first was "
                "killed in the middle: `UnknownOutcomeError`, for the provider may have billed. You say whether to "
                "repeat",
            ),
            Line(
                32,
                "A mission of several subtasks is killed and resumed",
                "Give each subtask an `idempotency_key`: what is done is neither called nor billed again. The subtask "
                "that was under way is `unknown`, and repeated only if you allow it",
            ),
        ),
    ),
    Group(
        "A local model (Ollama)",
        (
            Line(
                34,
                "The prompt is longer than the model's context",
                "The server is told not to cut it. Of old servers that cut it all the same, the error tells; a model "
                "with more room is asked",
            ),
            Line(
                35,
                "The model is not pulled, its server full or absent, or it has to load first",
                "The next model is asked, and the error has the command that helps (`ollama pull`, `ollama serve`). "
                "Loading is waited for",
            ),
            Line(
                36,
                "The model has no tools, or thinks aloud",
                "It is never given tools. Thoughts are no part of the answer, nor an answer by themselves",
            ),
        ),
    ),
    Group(
        "Odd or hostile text",
        (
            Line(
                37,
                "A prompt is empty, 10 MB long, half a character, right to left, invisible; so is a name",
                "It takes the same route each time and reaches the model as it is, or is refused by name",
            ),
            Line(
                38,
                "A prompt says: use the strongest model",
                "It is data: rules of yours decide. Nothing in a prompt can make a run longer than its ladder, or lift "
                "it above `max_tier`",
            ),
            Line(
                39,
                "What decisions learn from is poisoned",
                "A model that was made to look bad goes behind the others of its tier, no further, until that has "
                "faded. False outcomes in a `LabelTable` move their own job by their share of its rows, another by at "
                "most `prior` / (its rows + `prior`), and no task above its `max_tier`; the table saved before brings "
                "the decisions back",
            ),
            Line(
                40,
                "A score is no number; a table of outcomes is missing or was changed",
                "A verdict on such a score abstains, a decision does not count, and a warning is logged. A damaged "
                'table is an error at start-up, or abstains with a warning (`on_error="warn"`). Nothing is unpickled',
            ),
            Line(
                41,
                "A provider repeats your key in an error",
                "It is cut out: of the log, the ledger, spans, receipts and errors",
            ),
            Line(
                42,
                "Somebody reads the ledger's file",
                "It holds keyed hashes and lengths, no words. What you opted in to keep can be purged without a trace",
            ),
            Line(
                43,
                "A model writes `=cmd`, `</script>` or a terminal's escape codes",
                "They are neutral in every form of a receipt",
            ),
            Line(44, "There is a slip in the settings", "An error at start-up with the line and the nearest name"),
            Line(45, "The clock jumps", "Durations and deadlines do not"),
            Line(
                46,
                "A task may not leave the machine",
                "No fallback, escalation, judge, vote or classifier sends it to a model without that trust; if none is "
                "left, `TrustError`",
            ),
            Line(47, "A strategy is left in the middle", "Its calls are closed and settled, wherever it stood"),
            Line(
                48,
                "A model writes a command, a path or a line of a log",
                "It is text. A `Check` gets it as input, never as an argument; tools are handed to you, not run",
            ),
        ),
    ),
)

_HEAD = """\
# What happens when...

A router stands between your agent and everything that goes wrong. This is what it does then. Each line is tested over
real HTTP, against a provider that misbehaves on request, and a ledger on disk: whatever happens, there is one row for
each call, nothing stays reserved, and no credential is written down. `pytest tests/faults -k fault_07` runs the tests
of line 7.

The lines are made from the tests' own table, by `python tests/faults/table.py`.
"""


def page() -> str:
    """The page."""
    return _HEAD + "".join(map(_section, GROUPS))


def _section(group: Group) -> str:
    rows = [f"| {line.number} | {line.happens} | {line.does} |\n" for line in group.lines]
    if not rows:
        return ""
    return f"\n## {group.title}\n\n| | when | Tierwise |\n|---|---|---|\n{''.join(rows)}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
