"""An inbox: each mail is classified, its order number is extracted, and a reply is drafted.

    python examples/inbox/inbox.py [--small ollama:qwen3:4b] [--large anthropic:claude-opus-4-7]

What to change first: MAILS, and the two models.
"""

from __future__ import annotations

import argparse
import re
from typing import Any, Literal

from pydantic import BaseModel
from tierwise import Cascade, Receipt, Reply, Router, Task
from tierwise.attempt import Outcome
from tierwise.errors import RejectedError, RunError
from tierwise.fleet.pricing import Pricing
from tierwise.ledger.rows import Row
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


def step(router: Router, bill: list[Row], job: str, request: str, mail: str, **fields: Any) -> Reply:
    """One step, whose calls go on the bill, however it ends.

    The output is capped: a small model that fills in a schema does not always find its end.
    """
    try:
        reply = router.run(f"{request}\n\n{mail}", job=job, max_output_tokens=120, **fields)
    except RunError as error:
        bill += error.attempts
        raise
    bill += reply.attempts
    return reply


def handle(router: Router, bill: list[Row], mail: str) -> str:
    """What comes of one mail."""
    label = step(router, bill, "classify", "What is this mail about?", mail, output_schema=Label).output
    order = step(router, bill, "extract", "Which order number does this mail name?", mail, output_schema=Order).output
    reply = step(router, bill, "write", "Draft a friendly reply of two sentences.", mail, tags=[label.kind])
    draft = re.sub(r"\s+", " ", reply.text)
    return f"{label.kind}, order {order.number}: {draft}"


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
    bill: list[Row] = []
    for mail in MAILS:
        try:
            print(handle(router, bill, mail))
        except RejectedError as error:
            print(f"for a person to answer: {mail} ({error})")
    print(Receipt.of(bill, pricing=Pricing(router.fleet), baseline=router.fleet.baseline))


if __name__ == "__main__":
    main()
