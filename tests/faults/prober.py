"""A program that asks one model, many times at once, behind a circuit breaker that other processes share.

Its only argument is JSON: `provider` is an address, `ledger` a file, `store` where the state is, `calls` how often it
asks, `breaker` the breaker's settings. It waits for a line, and at its end says how many calls were answered, how many
were refused by the circuit, and how many failed at the provider.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from tierwise import CircuitBreaker, Fleet, ModelSpec, Price, Router, Single, Tier
from tierwise.errors import AllModelsFailedError, CircuitOpenError
from tierwise.ledger import SQLiteLedger
from tierwise.state import RedisState, SQLiteState, State
from tierwise_ollama import OllamaBackend


def opened(store: str) -> State:
    return RedisState(store, wait=60) if "://" in store else SQLiteState(store, wait=60)


def router(provider: str, state: State, breaker: dict[str, Any], **options: Any) -> Router:
    return Router(
        Fleet([Tier("small", ModelSpec("ollama:small", price=Price(1, 1)))]),
        strategy=Single(),
        backends={"ollama": OllamaBackend(provider)},
        limits=[CircuitBreaker(**breaker)],
        state=state,
        **options,
    )


async def main(provider: str, ledger: str, store: str, calls: int, breaker: dict[str, Any]) -> None:
    with SQLiteLedger(ledger) as kept:
        asks = router(provider, opened(store), breaker, ledger=kept)

        async def one() -> str:
            try:
                await asks.arun("Say hello.")
            except AllModelsFailedError as error:
                return "refused" if isinstance(error.outcomes[0].error, CircuitOpenError) else "failed"
            return "answered"

        print("ready", flush=True)
        sys.stdin.readline()
        said = await asyncio.gather(*(one() for _ in range(calls)))
    print(json.dumps([said.count(what) for what in ("answered", "refused", "failed")]), flush=True)


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
