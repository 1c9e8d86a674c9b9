"""A program that asks under one key, many times at once, or is killed between the provider's reply and its settlement.

Its only argument is JSON: `provider` is an address, `ledger` a file, `store` where the state is, `calls` how often it
asks, `dies` whether it is killed, `lease` how long a run may take. It waits for a line, and at its end says what it
got.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

from tierwise import Fleet, ModelSpec, Price, Router, Single, Tier
from tierwise.attempt import Attempt, Outcome
from tierwise.idempotency import keyed
from tierwise.ledger import SQLiteLedger
from tierwise.state import RedisState, SQLiteState, State
from tierwise_ollama import OllamaBackend

KEY = "order-17"


class Killed(OllamaBackend):
    async def acall(self, attempt: Attempt) -> Outcome:
        await super().acall(attempt)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a killed process goes on")


def opened(store: str) -> State:
    return RedisState(store, wait=60) if "://" in store else SQLiteState(store, wait=60)


async def main(provider: str, ledger: str, store: str, calls: int, dies: bool, lease: float) -> None:
    keyed.LEASE = lease
    fleet = Fleet([Tier("small", ModelSpec("ollama:small", price=Price(1, 1)))])
    backends = {"ollama": (Killed if dies else OllamaBackend)(provider)}
    with SQLiteLedger(ledger) as kept:
        asks = Router(fleet, strategy=Single(), backends=backends, state=opened(store), ledger=kept)
        print("ready", flush=True)
        sys.stdin.readline()
        replies = await asyncio.gather(*(asks.arun("Say hello.", idempotency_key=KEY) for _ in range(calls)))
    print(json.dumps([[reply.text, reply.run_id, reply.replayed] for reply in replies]), flush=True)


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
