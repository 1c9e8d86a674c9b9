"""Where the faults happen: a real provider, a real router with a ledger on disk, and what must hold after each."""

from __future__ import annotations

import asyncio
import io
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import rich.console
from tierwise import Fleet, ModelSpec, Price, Reply, Router, Task, Telemetry, Tier
from tierwise.attempt import Outcome
from tierwise.backends import Backend
from tierwise.errors import RunError, TierwiseError
from tierwise.ledger import Receipt, SQLiteLedger
from tierwise.ledger.rows import Row
from tierwise.limits import Budget
from tierwise.messages import Prompt
from tierwise.state import MemoryState
from tierwise.testing.provider import LoopbackProvider
from tierwise_ollama import OllamaBackend

__all__ = ["CANARY", "STREAMED", "WAYS", "Got", "Scene", "Way", "forms", "no", "tool", "yes"]

CANARY = "sk-canary-0123456789abcdef"
"""The credential of every test. It is in the header of every request, and must be in nothing that Tierwise writes."""

Way = Literal["run", "arun", "stream", "astream"]
WAYS: Sequence[Way] = ("run", "arun", "stream", "astream")
STREAMED: Sequence[Way] = ("stream", "astream")


def yes(outcome: Outcome) -> bool:
    """A verifier that accepts everything."""
    return True


def no(outcome: Outcome) -> bool:
    """A verifier that rejects everything."""
    return False


def tool(name: str, *properties: str, closed: bool = False) -> dict[str, Any]:
    """A tool whose arguments are texts."""
    known = {name: {"type": "string"} for name in properties}
    return {"name": name, "parameters": {"type": "object", "properties": known, "additionalProperties": not closed}}


@dataclass
class Got:
    """What the caller got: an answer, or an error, and in either case what was shown before."""

    shown: str = ""
    reply: Reply | None = None
    error: BaseException | None = None

    @property
    def answer(self) -> Reply:
        """The answer; whatever was raised in its place is raised here."""
        if self.error is not None:
            raise self.error
        assert self.reply is not None
        return self.reply

    @property
    def rows(self) -> Sequence[Row]:
        if self.reply is not None:
            return self.reply.attempts
        assert isinstance(self.error, RunError)
        return self.error.attempts


@dataclass
class Scene:
    """One provider, one ledger, and every router that a test makes over them."""

    provider: LoopbackProvider
    folder: Path
    state: MemoryState = field(default_factory=MemoryState)
    budget: Budget = field(default_factory=lambda: Budget(usd=1000, estimate=Price(1, 1)))
    got: list[Got] = field(default_factory=list[Got])
    said: list[str] = field(default_factory=list[str])
    """What a test wants to be searched for the credential beside what is searched in any case."""
    unreached: int = 0
    """Calls of which the provider cannot know: it was absent, or the backend knew that they would fail."""
    repeated: int = 0
    """Requests by which a backend made one call twice (the first was refused before it was read)."""
    cancelled: bool = False
    """Calls were cancelled, some of them maybe before their request had left: there may be more rows than requests."""
    keys: set[str] = field(default_factory=lambda: {CANARY})
    """The credentials that a request may carry."""
    records: bool = True
    """False where the ledger itself is what fails."""
    telemetry: Telemetry | None = None
    spans: Callable[[], Sequence[str]] = tuple
    """What was traced, as text."""
    prefix: str = "ollama"
    _ledger: SQLiteLedger | None = None

    @property
    def path(self) -> Path:
        return self.folder / "ledger.db"

    @property
    def ledger(self) -> SQLiteLedger:
        if self._ledger is None:
            self._ledger = SQLiteLedger(self.path)
        return self._ledger

    def use(self, ledger: SQLiteLedger) -> SQLiteLedger:
        self._ledger = ledger
        return ledger

    def backend(self, **options: Any) -> Backend:
        """What calls the provider, in its Ollama dialect."""
        return OllamaBackend(self.provider.url, **options)

    def fleet(self, *tiers: str, **models: Mapping[str, Any]) -> Fleet:
        """Tiers with one model each, named as they are, or with those between `+`: `"small+spare", "large"`."""

        def spec(name: str, place: int) -> ModelSpec:
            settings: dict[str, Any] = {"price": Price(place, place), **models.get(name, {})}
            return ModelSpec(f"{self.prefix}:{name}", **settings)

        return Fleet(
            [Tier(t.split("+")[0], [spec(n, i) for n in t.split("+")]) for i, t in enumerate(tiers, 1)],
        )

    def router(self, *tiers: str, fleet: Fleet | None = None, **options: Any) -> Router:
        settings: dict[str, Any] = {
            "backends": {self.prefix: self.backend()},
            "limits": [self.budget],
            "state": self.state,
            "ledger": self.ledger,
            "telemetry": self.telemetry,
        }
        chosen = fleet if fleet is not None else self.fleet(*(tiers or ("small", "large")))
        return Router(chosen, **(settings | options))

    def ask(self, router: Router, task: Task | Prompt = "Say hello.", way: Way = "run", **fields: Any) -> Got:
        """Asks in one of the four ways; errors that Tierwise raises on purpose are given back."""
        got = Got()
        self.got.append(got)
        try:
            if way == "run":
                got.reply = router.run(task, **fields)
            elif way == "arun":
                got.reply = asyncio.run(router.arun(task, **fields))
            elif way == "stream":
                _stream(router, task, fields, got)
            else:
                asyncio.run(_astream(router, task, fields, got))
        except TierwiseError as error:
            got.error = error
        return got

    @property
    def models(self) -> list[str]:
        """The models that were asked, in the provider's own order."""
        return [call.model for call in self.provider.calls]

    def check(self, log: str) -> None:
        """What holds after every fault."""
        self.provider.wait_idle()
        assert self.state.held == 0, "something was left reserved"
        rows = self.ledger.rows() if self.records else []
        self.ledger.close()
        if self.records:
            made = [row for row in rows if row.state != "refused" and not row.model.startswith("work:")]
            # A request whose client has left already may be read late.
            self.provider.wait_until(lambda: self._is_of(made) and self.provider.open_calls == 0)
            assert {row.state for row in made} <= {"settled", "unknown"}
        sent = [call.headers.get("authorization") for call in (*self.provider.calls, *self.provider.probes)]
        assert set(sent) <= {f"Bearer {key}" for key in self.keys}, "a credential reached the provider each time"
        for text in self._written(rows, log):
            assert not [key for key in self.keys if key in text]

    def _is_of(self, made: Sequence[Row]) -> bool:
        """Whether there is one row for each request that reached the provider."""
        reached = self.provider.count() + self.unreached - self.repeated
        return len(made) == reached or (self.cancelled and len(made) > reached)

    def _written(self, rows: Sequence[Row], log: str) -> Iterator[str]:
        yield log
        yield from self.said
        yield from self.spans()
        for file in self.folder.iterdir():
            if file.is_file():
                yield file.read_bytes().decode("latin-1")
        yield from forms(Receipt.of(rows))
        for got in self.got:
            yield got.shown
            yield repr(got.reply)
            if got.reply is not None:
                yield from forms(got.reply.receipt)
                yield str(got.reply.as_metadata())
            if got.error is not None:
                yield "".join(traceback.format_exception(got.error)) + repr(got.error)
            if isinstance(got.error, RunError):
                yield from forms(Receipt.of(got.error.attempts))


def forms(receipt: Receipt, *, width: int = 200) -> Iterator[str]:
    """A receipt in each form that it has."""
    yield from (str(receipt), repr(receipt), receipt.to_json(), receipt.to_csv(), receipt.to_html())
    screen = io.StringIO()
    rich.console.Console(file=screen, width=width, force_terminal=True).print(receipt)
    yield screen.getvalue()


def _stream(router: Router, task: Task | Prompt, fields: Mapping[str, Any], got: Got) -> None:
    with router.stream(task, **fields) as stream:
        for chunk in stream:
            got.shown += chunk.text
    got.reply = stream.reply


async def _astream(router: Router, task: Task | Prompt, fields: Mapping[str, Any], got: Got) -> None:
    async with router.astream(task, **fields) as stream:
        async for chunk in stream:
            got.shown += chunk.text
    got.reply = stream.reply
