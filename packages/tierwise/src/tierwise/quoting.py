"""Other people's words inside a prompt of ours: they are data, whatever they say."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["enclosed", "shortened"]


def enclosed(tag: str, value: Any) -> str:
    r"""A value as JSON between `<tag>` markers, which nothing in it can close.

    Line breaks are escaped, as JSON does, and `</` is written `<\/`, which is the same text in JSON.
    """
    text = json.dumps(value, ensure_ascii=False).replace("</", "<\\/")
    return f"<{tag}>\n{text}\n</{tag}>"


def shortened(text: str, limit: int) -> str:
    """The text, with its middle left out where it is longer than `limit` characters.

    The mark that says so comes on top of them.
    """
    if len(text) <= limit:
        return text
    tail = limit // 3
    cut = len(text) - limit
    return f"{text[: limit - tail]}\n[{cut} characters left out]\n{text[len(text) - tail :]}"
