"""Pydantic AI's bare model, `RoutedModel` and `FallbackModel` over the same object, which answers at once.

    python benchmarks/bench_pydantic_ai.py
    python benchmarks/bench_pydantic_ai.py cascadeflow

Prints JSON: medians in microseconds of one request as an agent makes it: the messages are prepared, and the model is
asked. The second form measures cascadeflow's adapter and runs in an environment of its own, without Tierwise. All
models of one run take turns of some hundred requests, so that a busy machine slows them alike.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import statistics
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import AgentInfo, FunctionModel
from tasks import request

ANSWER = "The first plan is cheaper for a team of five."
TURNS, ROUNDS, WARMUP = 10, 200, 50

Ask = Callable[[Model, list[ModelMessage], ModelRequestParameters], Awaitable[object]]


async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    return ModelResponse([TextPart(ANSWER)])


async def pieces(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
    yield ANSWER


def bare() -> FunctionModel:
    return FunctionModel(answer, stream_function=pieces)


def routed() -> Model:
    """Both tiers are the same object; the first answers, live."""
    from tierwise import Router, Single
    from tierwise_pydantic_ai import RoutedModel

    router = Router.simple(small="local:small", large="cloud:large", strategy=Single())
    return RoutedModel(router, models={"small": bare(), "large": bare()})


def checked() -> Model:
    """The default way: the small tier is held and judged, here by a function, and accepted."""
    from tierwise import Cascade, Router
    from tierwise_pydantic_ai import RoutedModel

    strategy = Cascade(lambda outcome: bool(outcome.text))
    router = Router.simple(small="local:small", large="cloud:large", strategy=strategy)
    return RoutedModel(router, models={"small": bare(), "large": bare()})


def ours() -> dict[str, Model]:
    return {"bare": bare(), "routed": routed(), "checked": checked(), "fallback": FallbackModel(bare(), bare())}


def cascadeflow() -> dict[str, Model]:
    """cascadeflow's model over two bare ones; what it is called is its own."""
    adapter = importlib.import_module("cascadeflow.integrations.pydantic_ai")
    model = adapter.create_cascade_model(drafter=bare(), verifier=bare(), quality_threshold=0.0)
    return {"bare": bare(), "cascadeflow": model}


async def ask(model: Model, messages: list[ModelMessage], parameters: ModelRequestParameters) -> object:
    return await model.request(model.prepare_messages(messages, parameters), None, parameters)


async def ask_streamed(model: Model, messages: list[ModelMessage], parameters: ModelRequestParameters) -> object:
    async with model.request_stream(model.prepare_messages(messages, parameters), None, parameters) as stream:
        async for _ in stream:
            pass
        return stream.get()


async def medians(models: dict[str, Model], way: Ask) -> dict[str, float | str]:
    """The median of each, in microseconds; in place of a figure, the error of one that cannot be asked in this way."""
    times: dict[str, list[float]] = {name: [] for name in models}
    errors: dict[str, str] = {}
    for _ in range(TURNS):
        for name in models.keys() - errors.keys():
            try:
                times[name] += await turn(models[name], way)
            except Exception as error:
                errors[name] = f"{type(error).__name__}: {error}"
    return {name: errors.get(name) or round(statistics.median(taken), 1) for name, taken in times.items()}


async def turn(model: Model, way: Ask) -> list[float]:
    """Microseconds of each request of a turn, without its first ones."""
    messages: list[ModelMessage] = [ModelRequest.user_text_prompt(request(150))]
    parameters = ModelRequestParameters()
    taken: list[float] = []
    for _ in range(ROUNDS + WARMUP):
        started = perf_counter()
        await way(model, messages, parameters)
        taken.append((perf_counter() - started) * 1e6)
    return taken[WARMUP:]


async def main() -> None:
    """Measures and prints."""
    models = cascadeflow() if sys.argv[1:] == ["cascadeflow"] else ours()
    figures = {"request": await medians(models, ask), "request_stream": await medians(models, ask_streamed)}
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    asyncio.run(main())
