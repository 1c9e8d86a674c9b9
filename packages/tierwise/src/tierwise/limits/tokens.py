"""How many tokens a call sends and used, as far as anybody knows."""

from __future__ import annotations

from tierwise.attempt import Outcome
from tierwise.fleet.price import Usage
from tierwise.task import CHARS_PER_TOKEN, Task
from tierwise.values import evolve

__all__ = ["TOKENS_OF_AN_IMAGE", "measured", "prompt_tokens", "used"]

TOKENS_OF_AN_IMAGE = 1_600
"""What an image of about a megapixel, the largest that most vision models take in whole, is billed as."""


def prompt_tokens(task: Task) -> int:
    """The estimated length of all that is sent: messages, images, tools and their calls."""
    return measured(task)[0]


def measured(task: Task) -> tuple[int, bool]:
    """See `prompt_tokens`; and whether a part of it is to be written to the provider's cache."""
    characters = images = 0
    caches = False
    for message in task.messages:
        characters += len(message.content)
        images += len(message.images)
        caches = caches or message.cache
        for call in message.tool_calls:
            characters += len(str(call.arguments))
    for tool in task.tools:
        characters += len(tool.name) + len(tool.description) + len(str(tool.parameters))
    return characters // CHARS_PER_TOKEN + 1 + TOKENS_OF_AN_IMAGE * images, caches


def used(outcome: Outcome) -> Usage:
    """The tokens that a call used; the prompt's, estimated, where nobody counted."""
    usage = outcome.usage or Usage(estimated=True)
    if usage.input_tokens is None:
        usage = evolve(usage, input_tokens=prompt_tokens(outcome.attempt.task))
    return usage if usage.output_tokens is not None else evolve(usage, output_tokens=0)
