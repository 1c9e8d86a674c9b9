"""CrewAI's bare LLM and `RoutedLLM` over the same object, which answers at once.

    python benchmarks/bench_crewai.py

Prints JSON: medians in microseconds of one call, as an agent makes it. `told` is an LLM that tells CrewAI's listeners
of its calls, as CrewAI's own classes do; `bare` does not, as most classes that users write. All of one run take turns
of some hundred calls, so that a busy machine slows them alike.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
from time import perf_counter
from typing import Any

for _name in ("CREWAI_DISABLE_TELEMETRY", "CREWAI_DISABLE_TRACKING", "CREWAI_DISABLE_VERSION_CHECK"):
    os.environ[_name] = "true"
os.environ |= {"OTEL_SDK_DISABLED": "true", "CREWAI_TRACING_ENABLED": "false"}
os.environ["CREWAI_STORAGE_DIR"] = tempfile.mkdtemp()

from crewai import BaseLLM
from crewai.events.event_bus import crewai_event_bus
from crewai.events.types.llm_events import LLMCallType
from crewai.llms.base_llm import llm_call_context
from crewai.llms.providers.openai.completion import OpenAICompletion
from tasks import request
from tierwise import Cascade, Router, Single
from tierwise.strategies import Strategy
from tierwise_crewai import RoutedLLM

ANSWER = "The first plan is cheaper for a team of five."
USAGE = {"prompt_tokens": 40, "completion_tokens": 10, "total_tokens": 50}
MESSAGES: list[Any] = [{"role": "system", "content": "You compare plans."}, {"role": "user", "content": request(150)}]
TURNS, ROUNDS, WARMUP = 10, 150, 30


class Bare(BaseLLM):
    """Answers at once."""

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        self._track_token_usage_internal(USAGE)
        return ANSWER

    async def acall(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        self._track_token_usage_internal(USAGE)
        return ANSWER


class Told(OpenAICompletion):
    """One of CrewAI's own, with its answers and its events, and without its HTTP."""

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        with llm_call_context():
            self._emit_call_started_event(messages)
            return self._answered(messages)

    async def acall(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        with llm_call_context():
            self._emit_call_started_event(messages)
            return self._answered(messages)

    def _answered(self, messages: Any) -> str:
        self._track_token_usage_internal(USAGE)
        self._emit_call_completed_event(ANSWER, LLMCallType.LLM_CALL, messages=messages, usage=USAGE)
        return ANSWER


def routed(llm: BaseLLM, strategy: Strategy) -> RoutedLLM:
    """Both tiers are the same object."""
    router = Router.simple(small="local:small", large="cloud:large", strategy=strategy)
    return RoutedLLM(router, models={"small": llm, "large": llm})


def measured() -> dict[str, BaseLLM]:
    """Live, or held and judged by a function, as in the default way."""
    bare, told = Bare(model="local/small"), Told(model="small", api_key="none")
    judge = Cascade(lambda outcome: bool(outcome.text))
    return {
        "bare": bare,
        "routed": routed(bare, Single()),
        "checked": routed(bare, judge),
        "told": told,
        "told_routed": routed(told, Single()),
        "told_checked": routed(told, judge),
    }


def turn(llm: BaseLLM) -> list[float]:
    """Microseconds of each call of a turn, without its first ones."""
    taken: list[float] = []
    for _ in range(ROUNDS + WARMUP):
        started = perf_counter()
        llm.call(MESSAGES)
        taken.append((perf_counter() - started) * 1e6)
    crewai_event_bus.flush()
    return taken[WARMUP:]


async def aturn(llm: BaseLLM) -> list[float]:
    """The async twin of `turn`."""
    taken: list[float] = []
    for _ in range(ROUNDS + WARMUP):
        started = perf_counter()
        await llm.acall(MESSAGES)
        taken.append((perf_counter() - started) * 1e6)
    crewai_event_bus.flush()
    return taken[WARMUP:]


async def main() -> None:
    """Measures and prints."""
    llms = measured()
    times: dict[str, dict[str, list[float]]] = {"call": {n: [] for n in llms}, "acall": {n: [] for n in llms}}
    for _ in range(TURNS):
        for name, llm in llms.items():
            times["call"][name] += turn(llm)
            times["acall"][name] += await aturn(llm)
    figures = {way: {n: round(statistics.median(t), 1) for n, t in of.items()} for way, of in times.items()}
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    asyncio.run(main())
