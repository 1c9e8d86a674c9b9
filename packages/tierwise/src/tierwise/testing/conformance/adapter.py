"""What every adapter has to do, over real HTTP.

Write an `AdapterHarness` that drives the framework's entry point, subclass `AdapterConformance` in a test file, and set
its `harness` to one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, Protocol

import pytest

from tierwise.fleet.fleet import Fleet, Tier
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import Price
from tierwise.flow import Outcome
from tierwise.router import Router
from tierwise.strategies import Cascade, Perspectives, Single, Strategy, Vote, act_only
from tierwise.task import Tool
from tierwise.testing.provider import Call, LoopbackProvider, Reply, Request
from tierwise.verifiers import Judge, free_verifier

__all__ = ["AdapterConformance", "AdapterHarness", "Answer", "Question"]

Way = Literal["invoke", "ainvoke", "stream", "astream"]

WEATHER = Tool(
    "weather",
    "The weather in a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
PAY = Tool("pay", "Pays an amount.", {"type": "object", "properties": {"usd": {"type": "number"}}, "required": ["usd"]})
_DRAFT = "A draft that goes on for far too long to be of any use to anyone."
_SHORT = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the framework's object is asked."""

    prompt: str = "Say it."
    tools: tuple[Tool, ...] = ()
    """Offered to the model; their calls are reported, and not carried out."""
    output_type: type[Any] | None = None
    """A pydantic model that the answer has to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the framework gave back."""

    text: str = ""
    tool_calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    """Names and arguments, in their order."""
    output: Any = None
    """The typed answer."""


class AdapterHarness(Protocol):
    """Drives one framework's entry point. What it builds is asked many times, also at once."""

    ways: tuple[Way, ...]
    """The ways that the framework has."""

    def build(self, provider: LoopbackProvider, router: Router, **task: Any) -> Any:
        """The framework's object over the router: `ollama:small` and `openai:large` are models of the provider.

        Args:
            provider: Speaks Ollama's dialect at `url`, OpenAI's at `openai_url`.
            router: Has no backends: the adapter supplies them. SDKs are told not to retry.
            **task: Fields of every task, e.g. `trust`.
        """
        ...

    def invoke(self, built: Any, question: Question) -> Answer:
        """Asks and waits."""
        ...

    async def ainvoke(self, built: Any, question: Question) -> Answer:
        """The async twin of `invoke`; cancelling it cancels the run."""
        ...

    def stream(self, built: Any, question: Question, show: Callable[[str], None]) -> Answer:
        """Asks, and gives each piece of visible text to `show` as it comes. If `show` raises, the stream is left."""
        ...

    async def astream(self, built: Any, question: Question, show: Callable[[str], None]) -> Answer:
        """The async twin of `stream`."""
        ...


class LeftError(Exception):
    """The consumer has seen enough."""


@dataclass(slots=True)
class Asked:
    """One question asked in one way, and what was shown of it."""

    harness: AdapterHarness
    way: Way
    shown: list[str] = field(default_factory=list[str])

    @property
    def streams(self) -> bool:
        return self.way in ("stream", "astream")

    @property
    def visible(self) -> str:
        return "".join(self.shown)

    async def __call__(self, built: Any, question: Question | None = None, *, leave_after: int | None = None) -> Answer:
        asked = question or Question()

        def show(text: str) -> None:
            self.shown.append(text)
            if leave_after is not None and len(self.shown) >= leave_after:
                raise LeftError

        match self.way:
            case "invoke":
                return await asyncio.to_thread(self.harness.invoke, built, asked)
            case "stream":
                return await asyncio.to_thread(self.harness.stream, built, asked, show)
            case "ainvoke":
                return await self.harness.ainvoke(built, asked)
            case "astream":
                return await self.harness.astream(built, asked, show)


def short(outcome: Outcome) -> bool | None:
    """Rejects drafts that are long: the suite's way to send an answer up a tier."""
    return None if outcome.tool_calls else len(outcome.text) < _SHORT


def router(strategy: Strategy | None = None) -> Router:
    """Two tiers: a small local model, and a large one behind another dialect."""
    small = ModelSpec("ollama:small", trust="local", price=Price(0, 0))
    fleet = Fleet([Tier("small", small), Tier("large", ModelSpec("openai:large", price=Price(2, 8)))])
    return Router(fleet, strategy=strategy or Cascade(free_verifier() & short))


class AdapterConformance:
    """The suite: every way that the framework has gives the same answer, for the same calls, and shows nothing else."""

    harness: AdapterHarness

    @pytest.fixture
    def provider(self) -> Iterator[LoopbackProvider]:
        """A provider on this machine that misbehaves as scripted."""
        with LoopbackProvider() as running:
            running.on("small", Reply(text="Oslo is it."))
            running.on("large", Reply(text="Large says Oslo."))
            yield running

    @pytest.fixture(params=["invoke", "ainvoke", "stream", "astream"])
    def ask(self, request: pytest.FixtureRequest) -> Asked:
        """Asks in one of the ways."""
        if request.param not in self.harness.ways:
            pytest.skip(f"the framework has no {request.param}")
        return Asked(self.harness, request.param)

    async def test_the_small_tier_answers_with_one_call(self, provider: LoopbackProvider, ask: Asked) -> None:
        """The plain case."""
        answer = await ask(self.harness.build(provider, router()))
        assert answer.text == "Oslo is it."
        assert [c.model for c in provider.calls] == ["small"]
        assert ask.visible == ("Oslo is it." if ask.streams else "")

    async def test_a_valid_tool_call_of_the_small_tier_costs_one_call(
        self, provider: LoopbackProvider, ask: Asked
    ) -> None:
        """Empty text beside a tool call is no weak answer."""
        provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]))
        answer = await ask(self.harness.build(provider, router()), Question(tools=(WEATHER, PAY)))
        assert answer.tool_calls == (("weather", {"city": "Oslo"}),)
        assert provider.count() == 1
        assert {t["function"]["name"] for t in provider.calls[0].tools} == {"weather", "pay"}

    async def test_parallel_tool_calls_keep_their_order(self, provider: LoopbackProvider, ask: Asked) -> None:
        """One turn, several calls."""
        provider.on("small", Reply(tool_calls=[Call("weather", {"city": c}) for c in ("Oslo", "Bergen", "Bodø")]))
        answer = await ask(self.harness.build(provider, router()), Question(tools=(WEATHER,)))
        assert [arguments["city"] for _, arguments in answer.tool_calls] == ["Oslo", "Bergen", "Bodø"]

    async def test_a_gated_tool_call_is_the_answer_and_gated_prose_is_not(
        self, provider: LoopbackProvider, ask: Asked
    ) -> None:
        """A gate decides the same, whether anybody watches or not."""
        made = self.harness.build(provider, router(Cascade(free_verifier(), gate=act_only())))
        provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text=_DRAFT))
        question = Question(tools=(WEATHER,))
        assert (await ask(made, question)).tool_calls == (("weather", {"city": "Oslo"}),)
        provider.on("large", Reply(tool_calls=[Call("weather", {"city": "Bergen"})]))
        assert (await ask(made, question)).tool_calls == (("weather", {"city": "Bergen"}),)
        assert "draft" not in ask.visible

    async def test_a_typed_output_of_the_small_tier_costs_one_call(
        self, provider: LoopbackProvider, ask: Asked
    ) -> None:
        """The framework's own type comes back, whichever way it asks for it."""
        self._typed(provider, "small", {"name": "Oslo", "people": 1})
        answer = await ask(self.harness.build(provider, router()), Question(output_type=city()))
        assert answer.output == city()(name="Oslo", people=1)
        assert provider.count() == 1

    async def test_a_wrong_typed_output_goes_up(self, provider: LoopbackProvider, ask: Asked) -> None:
        """Escalation by shape."""
        self._typed(provider, "small", {"name": "Oslo"})
        self._typed(provider, "large", {"name": "Oslo", "people": 2})
        answer = await ask(self.harness.build(provider, router()), Question(output_type=city()))
        assert answer.output == city()(name="Oslo", people=2)
        assert [c.model for c in provider.calls] == ["small", "large"]

    @pytest.mark.parametrize("wrong", [Call("unknown"), Call("weather", {"town": 3})], ids=["name", "arguments"])
    async def test_a_wrong_tool_call_goes_up(self, provider: LoopbackProvider, ask: Asked, wrong: Call) -> None:
        """Escalation by the tool's schema."""
        provider.on("small", Reply(tool_calls=[wrong]))
        provider.on("large", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]))
        answer = await ask(self.harness.build(provider, router()), Question(tools=(WEATHER,)))
        assert answer.tool_calls == (("weather", {"city": "Oslo"}),)

    async def test_a_rejected_draft_is_never_seen(self, provider: LoopbackProvider, ask: Asked) -> None:
        """Escalation by a function: what is shown is the second answer, and comes in pieces."""
        provider.on("small", Reply(text=_DRAFT))
        answer = await ask(self.harness.build(provider, router()))
        assert answer.text == "Large says Oslo."
        assert [c.model for c in provider.calls] == ["small", "large"]
        if ask.streams:
            assert ask.visible == "Large says Oslo."
            assert len([text for text in ask.shown if text]) > 1

    async def test_a_judge_is_asked_and_not_seen(self, provider: LoopbackProvider, ask: Asked) -> None:
        """Escalation by a model."""
        provider.on("large", Reply(json={"reason": "wrong", "score": 2}), Reply(text="Large says Oslo."))
        answer = await ask(self.harness.build(provider, router(Cascade(free_verifier() & Judge("large")))))
        assert answer.text == "Large says Oslo."
        assert [c.model for c in provider.calls] == ["small", "large", "large"]
        assert "score" not in ask.visible
        assert "Oslo is it." not in ask.visible

    async def test_voices_are_asked_and_only_the_answer_is_seen(self, provider: LoopbackProvider, ask: Asked) -> None:
        """Side by side, under any framework."""
        provider.on("small", Reply(text="Oslo"))
        provider.on("large", Reply(text="Oslo."))
        answer = await ask(self.harness.build(provider, router(Vote(["small", "large", "small"]))))
        assert answer.text in ("Oslo", "Oslo.")
        assert provider.count() == 3
        assert ask.visible == (answer.text if ask.streams else "")

    async def test_a_synthesis_is_shown_as_it_is_written(self, provider: LoopbackProvider, ask: Asked) -> None:
        """The voices are held, the synthesis is live."""
        provider.on("large", Reply(text="A view."), Reply(text="Both say Oslo."))
        answer = await ask(self.harness.build(provider, router(Perspectives(["small", "large"]))))
        assert answer.text == "Both say Oslo."
        assert ask.visible == ("Both say Oslo." if ask.streams else "")

    @pytest.mark.parametrize("strategy", [None, Single()], ids=["held", "live"])
    async def test_a_failed_model_is_fallen_back_from(
        self, provider: LoopbackProvider, ask: Asked, strategy: Strategy | None
    ) -> None:
        """Before anything was shown: one request, no retry of the SDK's, then the next model."""
        provider.on("small", Reply(status=500))
        answer = await ask(self.harness.build(provider, router(strategy)))
        assert answer.text == "Large says Oslo."
        assert [c.model for c in provider.calls] == ["small", "large"]

    async def test_a_stream_that_breaks_after_something_was_shown_is_an_error(
        self, provider: LoopbackProvider, ask: Asked
    ) -> None:
        """Nothing else is tried then, and nothing else is shown."""
        if not ask.streams:
            pytest.skip("nothing is shown before the end")
        provider.on("small", Reply(text="Oslo is it.", disconnect_after=2))
        made = self.harness.build(provider, router(Single()))
        with pytest.raises(Exception, match=r"."):
            await ask(made)
        assert ask.visible.strip() == "Oslo is"
        assert provider.count("large") == 0

    async def test_all_models_failing_is_an_error(self, provider: LoopbackProvider, ask: Asked) -> None:
        """Never an empty success."""
        provider.on("small", Reply(status=500))
        provider.on("large", Reply(status=401))
        made = self.harness.build(provider, router())
        with pytest.raises(Exception, match="all models failed"):
            await ask(made)

    async def test_leaving_a_stream_closes_the_call(self, provider: LoopbackProvider, ask: Asked) -> None:
        """The provider learns that nobody listens."""
        if not ask.streams:
            pytest.skip("there is nothing to leave")
        provider.on("small", Reply(text="Oslo is it.", stall_after=2))
        made = self.harness.build(provider, router(Single()))
        with suppress(LeftError):
            await ask(made, leave_after=1)
        await asyncio.to_thread(provider.wait_idle)
        assert [c.client_closed for c in provider.calls] == [True]

    async def test_cancelling_closes_the_call(self, provider: LoopbackProvider) -> None:
        """Also where the answer is held."""
        asynchronous: tuple[Way, ...] = ("ainvoke", "astream")
        for way in set(asynchronous) & set(self.harness.ways):
            provider.on("small", Reply(stall=True))
            running = asyncio.create_task(Asked(self.harness, way)(self.harness.build(provider, router())))
            await asyncio.to_thread(provider.wait_until, lambda: provider.open_calls == 1)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            await asyncio.to_thread(provider.wait_idle)
        assert provider.count("large") == 0

    async def test_a_local_task_reaches_no_other_model(self, provider: LoopbackProvider, ask: Asked) -> None:
        """No hop breaks the task's trust: no escalation, no judge, no fallback."""
        provider.on("small", Reply(text=_DRAFT))
        strategy = Cascade(free_verifier() & short & Judge("large"))
        await ask(self.harness.build(provider, router(strategy), trust="local"))
        assert {c.model for c in provider.calls} == {"small"}
        provider.on("small", Reply(status=500))
        with pytest.raises(Exception, match="all models failed"):
            await ask(self.harness.build(provider, router(strategy), trust="local"))
        assert provider.count("large") == 0

    async def test_one_router_serves_many_runs_at_once(self, provider: LoopbackProvider) -> None:
        """Twenty runs beside each other get their own answers, and their own escalations."""

        def small(request: Request) -> Reply:
            prompt = _prompt(request)
            return Reply(text=_DRAFT if prompt.endswith("odd.") else f"Small: {prompt}")

        provider.on("small", small)
        provider.on("large", lambda request: Reply(text=f"Large: {_prompt(request)}"))
        shared = router()
        prompts = [f"Run {i} is {'odd' if i % 2 else 'even'}." for i in range(20)]
        made = [self.harness.build(provider, shared) for _ in prompts]
        way = "ainvoke" if "ainvoke" in self.harness.ways else "invoke"
        answers = await asyncio.gather(
            *(Asked(self.harness, way)(b, Question(prompt=p)) for b, p in zip(made, prompts, strict=True))
        )
        expected = [f"{'Large' if 'odd' in p else 'Small'}: {p}" for p in prompts]
        assert [a.text for a in answers] == expected
        assert (provider.count("small"), provider.count("large")) == (20, 10)

    def test_sync_works_without_a_loop_and_beside_threads(self, provider: LoopbackProvider) -> None:
        """No event loop of the caller's is needed."""
        if "invoke" not in self.harness.ways:
            pytest.skip("the framework has no sync way")
        made = self.harness.build(provider, router())
        texts: list[str] = []
        threads = [
            threading.Thread(target=lambda: texts.append(self.harness.invoke(made, Question()).text)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert texts == ["Oslo is it."] * 4

    def _typed(self, provider: LoopbackProvider, model: str, value: Mapping[str, Any]) -> None:
        """Answers as it is asked for: by the tool that stands for the type, or as JSON."""

        def reply(request: Request) -> Reply:
            if request.tools and request.schema is None:
                return Reply(tool_calls=[Call(request.tools[0]["function"]["name"], value)])
            return Reply(json=dict(value))

        provider.on(model, reply)


def _prompt(request: Request) -> str:
    """The text of the last message."""
    content = request.messages[-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


@lru_cache(maxsize=1)
def city() -> type[Any]:
    """The type that typed answers have. pydantic is imported where it is needed: backends' suites do not."""
    from pydantic import create_model

    return create_model("City", name=(str, ...), people=(int, ...))
