"""The backend's own form of an answer, which is what an adapter gives back to its framework."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from tierwise import Attempt, Cascade, Outcome, Router, Tool
from tierwise.attempt import Chunk, Prefix
from tierwise.backends import Backend


class Framework(Backend):
    """Streams three pieces, and knows the whole at the end; as one call, it gives the whole."""

    def __init__(self, text: str) -> None:
        self.text = text

    def call(self, attempt: Attempt) -> Outcome:
        return Outcome(attempt, text=self.text, raw={"content": self.text})

    @contextmanager
    def open(self, attempt: Attempt) -> Generator[Iterator[Chunk]]:
        pieces = [self.text[i : i + 3] for i in range(0, len(self.text), 3)]
        yield iter([*(Chunk(text=p, raw=p) for p in pieces), Chunk(whole={"content": self.text})])

    def rebuilt(self, outcome: Outcome) -> Any:
        return {"calls": [c.name for c in outcome.tool_calls]}


def undecided(prefix: Prefix) -> Any:
    return "undecided"


def fine(outcome: Outcome) -> bool:
    return True


def router(text: str, **options: Any) -> Router:
    cascade = Cascade(fine, **options)
    return Router.simple(small="x:small", large="x:large", strategy=cascade).using(Framework(text))


def test_a_streamed_answer_is_whole_in_the_backend_s_form() -> None:
    gated = router("a streamed answer", gate=undecided)
    assert gated.run("Say it").outcome.raw == {"content": "a streamed answer"}
    with gated.stream("Say it") as stream:
        [chunk] = stream
    assert chunk.raw == chunk.whole == {"content": "a streamed answer"}


def test_a_live_answer_comes_in_the_backend_s_pieces() -> None:
    with router("pieces").stream("Say it", min_tier="large") as stream:
        chunks = list(stream)
    assert [c.raw for c in chunks if c.raw is not None] == ["pie", "ces"]
    assert stream.reply.outcome.raw == {"content": "pieces"}


def test_a_repaired_tool_call_is_there_in_the_backend_s_form_too() -> None:
    routed = router('{"name": "look_up", "arguments": {}}')
    reply = routed.run("Find it", tools=[Tool("look_up")])
    assert reply.tool_calls[0].name == "look_up"
    assert reply.outcome.raw == {"calls": ["look_up"]}


def test_who_leaves_a_stream_early_has_the_bill() -> None:
    with router("a streamed answer").stream("Say it", min_tier="large") as stream:
        next(iter(stream))
    [row] = stream.receipt.rows
    assert row.finish_reason == "interrupted"
    assert row.usage is not None
    assert row.usage.estimated
