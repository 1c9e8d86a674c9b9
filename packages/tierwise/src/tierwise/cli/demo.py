"""`tierwise demo`: the main job on real local models, with the bill."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tierwise.attempt import Outcome
from tierwise.backends.registry import installed
from tierwise.errors import ConfigError, RunError
from tierwise.fleet.discovery import by_size, discover
from tierwise.fleet.fleet import Fleet, Tier
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.pricing import Pricing
from tierwise.ledger.receipt import Receipt
from tierwise.ledger.rows import Row
from tierwise.messages import Tool
from tierwise.reply import Reply
from tierwise.router import Router
from tierwise.strategies import Cascade, Strategy, Vote
from tierwise.task import Task
from tierwise.verifiers import ValidOutput, default_verifier

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Job", "jobs", "local_fleet", "run_demo"]

GROUP = "tierwise.local"
"""The entry points of packages that bring local models along: a context manager that gives the server's URL."""

BASELINE = "anthropic:claude-opus-4-7"
"""The cloud model that the bill is compared with, at its public list price. It is not called."""

_SETTINGS: dict[str, Any] = {"temperature": 0.0, "seed": 1, "num_ctx": 2048}


@dataclass(frozen=True, slots=True)
class Job:
    """One task of the demo, and how it is answered."""

    title: str
    task: Task
    strategy: Strategy
    checks: str
    """What speaks for an answer, in words."""


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _stands_in(text: str) -> Callable[[Outcome], bool]:
    def grounded(outcome: Outcome) -> bool:
        return all(str(value) in text for value in json.loads(outcome.text).values())

    return grounded


def _adds_up(price: int, count: int) -> Callable[[Outcome], bool]:
    def adds_up(outcome: Outcome) -> bool:
        return json.loads(outcome.text)["total"] == price * count

    return adds_up


def jobs(fleet: Fleet) -> list[Job]:
    """The tasks of the demo.

    Args:
        fleet: Whose models vote.
    """
    person = "Ann Lee is 31 years old and lives in Oslo."
    voters = [m.key for m in fleet.models][:3]
    weather = Tool("get_weather", "Get the current weather for a city", _object(city={"type": "string"}))
    yes_no = _object(refund={"type": "string", "enum": ["yes", "no"]})
    return [
        Job(
            "Answer in prose",
            Task("What is the capital of France? Answer in one short sentence.", job="answer", max_output_tokens=40),
            Cascade(default_verifier()),
            "a judge on the tier above",
        ),
        Job(
            "Classify",
            Task(
                "Classify the sentiment of this review: 'The soup was cold and the waiter was rude.'",
                job="classify",
                output_schema=_object(label={"type": "string", "enum": ["positive", "negative"]}),
                max_output_tokens=40,
            ),
            Cascade(ValidOutput()),
            "the shape: one of two labels",
        ),
        Job(
            "Extract",
            Task(
                f"Extract name, age and city as JSON: {person}",
                job="extract",
                output_schema=_object(name={"type": "string"}, age={"type": "integer"}, city={"type": "string"}),
                max_output_tokens=60,
            ),
            Cascade(ValidOutput() & _stands_in(person)),
            "the shape, and that every value stands in the text",
        ),
        Job(
            "Calculate",
            Task(
                "A shop sells pens at 3 dollars each. What is the total for 7 pens? Give it as JSON.",
                job="extract",
                output_schema=_object(total={"type": "integer"}),
                max_output_tokens=30,
            ),
            Cascade(ValidOutput() & _adds_up(3, 7)),
            "the shape, and the sum worked out by a program",
        ),
        Job(
            "Vote",
            Task(
                "Does this mail ask for a refund? Answer yes or no. 'My order arrived broken. I want my money back.'",
                job="classify",
                output_schema=yes_no,
                max_output_tokens=30,
            ),
            Vote(voters),
            f"the majority of {len(voters)} voices: {', '.join(voters)}",
        ),
        Job(
            "Call a tool",
            Task("What's the weather in Oslo?", job="tool", tools=[weather], max_output_tokens=60),
            Cascade(default_verifier()),
            "the tool's name and its arguments' schema",
        ),
    ]


@contextmanager
def local_fleet(console: Console) -> Generator[tuple[Fleet, dict[str, Any]]]:
    """The smallest and the largest model of a running Ollama, or those that an installed package brings along.

    Gives the fleet and the backends that call it.

    Raises:
        ConfigError: There are no local models; the message says how to get some.
    """
    models = by_size(discover().local)
    if len(models) > 1:
        models = [models[0], models[-1]]
        console.print(f"Using the Ollama that runs on this machine: {_ids(models)}", markup=False)
        yield _ladder(models), {}
        return
    points = list(entry_points(group=GROUP))
    if not points:
        raise ConfigError(
            "the demo needs an Ollama with at least two models (https://ollama.com, then e.g. `ollama pull qwen3:0.6b` "
            "and `ollama pull qwen3:4b`), or a clone of the repository, where `make demo` brings models along",
            setting="demo",
        )
    with points[0].load()() as server:
        models = by_size(discover(ollama_host=server.url).local)
        console.print(f"No Ollama runs here: real models are served on {server.url}: {_ids(models)}", markup=False)
        yield _ladder(models), {"ollama": installed("ollama", host=server.url)}


def _ids(models: Sequence[ModelSpec]) -> str:
    return ", ".join(m.id for m in models)


def _ladder(models: Sequence[ModelSpec]) -> Fleet:
    *lower, top = [replace(m, **_SETTINGS) for m in models]
    tiers = [Tier(name, m) for name, m in zip(("small", "medium"), lower, strict=False)]
    # A third voice where there are two models: the larger one, less sure of itself.
    warm = replace(top, alias=f"{top.id} (warm)", temperature=0.8, seed=7)
    return Fleet([*tiers, Tier("large", [top] if len(lower) > 1 else [top, warm])], baseline=ModelSpec(BASELINE))


def run_demo(console: Console, page: Path) -> Receipt:
    """Runs every task, prints what happened and the bill, saves the receipt as a page, and gives it.

    Args:
        console: Where to print.
        page: Where to save the page.
    """
    with local_fleet(console) as (fleet, backends):
        rows: list[Row] = []
        for job in jobs(fleet):
            console.rule(job.title, align="left")
            console.print(job.task.latest_request, markup=False, style="italic")
            rows += _run(job, Router(fleet, strategy=job.strategy, backends=backends), console)
        total = Receipt.of(rows, pricing=Pricing(fleet), baseline=fleet.baseline)
        console.rule("The bill", align="left")
        console.print(total)
        page.write_text(total.to_html(), encoding="utf-8")
        console.print(f"Saved as {page}")
        return total


def _run(job: Job, router: Router, console: Console) -> Sequence[Row]:
    try:
        reply = router.run(job.task)
    except RunError as error:
        console.print(f"No accepted answer: {error}", markup=False, style="red")
        return error.attempts
    _show(job, reply, console)
    return reply.attempts


def _show(job: Job, reply: Reply, console: Console) -> None:
    calls = [f"{c.name}({json.dumps(dict(c.arguments))})" for c in reply.tool_calls]
    answer = ", ".join(calls) or re.sub(r"\s+", " ", reply.text)
    console.print(f"{reply.model} ({reply.tier}): {answer}", markup=False, style="bold")
    console.print(f"{reply.status}, by {job.checks}: {reply.evidence}", markup=False)
    for row in reply.attempts:
        if row.purpose == "draft":
            console.print(f"before it, {row.model} was not accepted: {row.evidence}", markup=False, style="yellow")
