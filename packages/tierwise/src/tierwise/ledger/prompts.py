"""What a ledger keeps of a prompt: a keyed hash and a length, and the text only where content is opted in."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from tierwise.errors import LedgerError
from tierwise.messages import Message
from tierwise.task import Task

__all__ = ["KEY_VARIABLE", "Prompts", "load_key"]

KEY_VARIABLE = "TIERWISE_LEDGER_KEY"

_KEY_BYTES = 32


class Prompts:
    """Turns prompts into what is kept of them.

    Args:
        key: The key of the hash. Two ledgers can be compared by hash if they share it.
        content: Whether the text is kept too.
    """

    def __init__(self, key: bytes, *, content: bool) -> None:
        self._key = key
        self._content = content

    def columns(self, task: Task) -> dict[str, Any]:
        """The columns of a task's prompt."""
        kept: dict[str, Any] = {"prompt_hash": self._digest(task), "prompt_chars": task.characters}
        if self._content:
            kept["prompt"] = _text(task.messages)
        return kept

    def _digest(self, task: Task) -> str:
        return hmac.new(self._key, _text(task.messages).encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _text(messages: tuple[Message, ...]) -> str:
    said = [
        {"role": m.role, "content": m.content}
        | ({"images": m.images} if m.images else {})
        | ({"tool_calls": [[c.name, c.malformed or dict(c.arguments)] for c in m.tool_calls]} if m.tool_calls else {})
        for m in messages
    ]
    return json.dumps(said, ensure_ascii=False, default=str)


def load_key(path: Path, given: bytes | str | None = None) -> bytes:
    """The key: what was given, else the environment's, else that of the file, which is made if it is not there.

    The caller sees to it that no two processes make the file at once.

    Raises:
        LedgerError: The file is empty.
        OSError: The file cannot be read or made.
    """
    chosen = given if given is not None else os.environ.get(KEY_VARIABLE)
    if chosen:
        return chosen.encode() if isinstance(chosen, str) else chosen
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return _make(path)
    if not key:
        raise LedgerError(f"the key file {path} is empty: delete it, or set key= or {KEY_VARIABLE}")
    return key


def _make(path: Path) -> bytes:
    key = os.urandom(_KEY_BYTES)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        new.unlink()
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "wb") as out:
        out.write(key)
    new.replace(path)
    return key
