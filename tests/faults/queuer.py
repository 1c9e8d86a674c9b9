"""A program that asks a model which takes so many calls at a time, and others ask too.

Its only argument is JSON: `provider` is an address, `store` where the state is, `calls` how often it asks, `places` how
many calls the model takes. It waits for a line, and at its end says how many calls were answered.
"""

from __future__ import annotations

import asyncio
import json
import sys

from tierwise import FREE, Fleet, ModelSpec, RateLimit, Router, Single, Tier
from tierwise.state import RedisState, SQLiteState, State
from tierwise_ollama import OllamaBackend


def router(provider: str, state: State | None, places: int) -> Router:
    fleet = Fleet([Tier("small", ModelSpec("ollama:small", concurrency=places, price=FREE))])
    # Waits are long: the machine that tests run on may be busy with anything.
    limits = [RateLimit(wait=120)]
    return Router(fleet, strategy=Single(), backends={"ollama": OllamaBackend(provider)}, limits=limits, state=state)


async def main(provider: str, store: str, calls: int, places: int) -> None:
    state = RedisState(store, wait=60) if "://" in store else SQLiteState(store, wait=60)
    asks = router(provider, state, places)
    print("ready", flush=True)
    sys.stdin.readline()
    answers = await asyncio.gather(*(asks.arun("Say hello.") for _ in range(calls)))
    print(json.dumps(len(answers)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
