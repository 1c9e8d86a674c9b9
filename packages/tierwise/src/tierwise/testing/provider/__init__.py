"""A model provider on this machine that misbehaves on request.

`LoopbackProvider` is a real HTTP server on 127.0.0.1 that speaks Ollama's dialect and OpenAI's from one script, and
records what reached it and what it billed.
"""

from tierwise.testing.provider.catalog import ModelCard
from tierwise.testing.provider.loopback import LoopbackProvider
from tierwise.testing.provider.records import RecordedCall
from tierwise.testing.provider.script import (
    Call,
    Reply,
    ReplyFunction,
    Request,
    Token,
    Usage,
    count_tokens,
)

__all__ = [
    "LoopbackProvider",
    "Reply",
    "Call",
    "Token",
    "Usage",
    "Request",
    "ReplyFunction",
    "RecordedCall",
    "ModelCard",
    "count_tokens",
]
