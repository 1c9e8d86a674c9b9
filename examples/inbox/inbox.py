"""An inbox: each mail is classified, its order number is extracted, and a reply is drafted.

    python examples/inbox/inbox.py [--small ollama:qwen3:4b] [--large anthropic:claude-opus-4-7]

What to change first: MAILS, and the two models.
"""

from __future__ import annotations

import argparse
import re
from typing import Any, Literal

from pydantic import BaseModel
from tierwise import Cascade, Router, Task
from tierwise.flow import Outcome
from tierwise.verifiers import default_verifier

MAILS = [
    "Hi, my order A-1042 arrived with a broken lid. Can you send a new one? Thanks, Kim",
    "Where is order B-77? You said Tuesday. It is Friday. I am really annoyed.",
    "Do you sell gift cards?",
]


class Label(BaseModel):
    """What a mail is about."""

    kind: Literal["damage", "delivery", "question"]


class Order(BaseModel):
    """The order that a mail speaks of."""

    number: str | None


def stands_in_the_mail(task: Task, outcome: Outcome) -> bool | None:
    """An order number that the mail does not hold was made up. Abstains on steps that extract none."""
    if task.job != "extract":
        return None
    number = Order.model_validate_json(outcome.text).number
    return number is None or number in task.latest_request


def task(job: str, request: str, mail: str, **fields: Any) -> Task:
    """One step. The output is capped: a small model that fills in a schema does not always find its end."""
    return Task(f"{request}\n\n{mail}", job=job, max_output_tokens=120, **fields)


def main() -> None:
    """Works through the mails and prints the bill."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", default="ollama:qwen3:4b")
    parser.add_argument("--large", default="anthropic:claude-opus-4-7")
    arguments = parser.parse_args()
    router = Router.simple(
        small=arguments.small,
        large=arguments.large,
        strategy=Cascade(default_verifier() & stands_in_the_mail),
    )
    for mail in MAILS:
        label = router.run(task("classify", "What is this mail about?", mail, output_schema=Label))
        order = router.run(task("extract", "Which order number does this mail name?", mail, output_schema=Order))
        reply = router.run(task("write", "Draft a friendly reply of two sentences.", mail, tags=[label.output.kind]))
        draft = re.sub(r"\s+", " ", reply.text)
        print(f"{label.output.kind}, order {order.output.number}: {draft}")
        print(reply.receipt)


if __name__ == "__main__":
    main()
