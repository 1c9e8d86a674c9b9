"""A program that asks as often as it can under a budget that others share.

Its only argument is JSON: `provider` is an address, `ledger` a file, `store` where the state is, `cap` the budget in
tokens, `calls` how often it asks, `lease` how long its reservations hold. It waits for a line, and
at its end says how many calls were answered and how many refused.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from tierwise import FREE, Budget, Fleet, ModelSpec, Router, Single, Tier, admission
from tierwise.errors import BudgetExceededError
from tierwise.ledger import SQLiteLedger
from tierwise.state import RedisState, SQLiteState, State
from tierwise_ollama import OllamaBackend


def opened(store: str) -> State:
    # Waits are long: the machine that tests run on may be busy with anything.
    return RedisState(store, wait=60) if "://" in store else SQLiteState(store, wait=60)


def router(provider: str, store: str, cap: int, **options: Any) -> Router:
    fleet = Fleet([Tier("small", ModelSpec("ollama:small", max_output_tokens=20, price=FREE))])
    budget = Budget(tokens=cap, name="shared")
    backends = {"ollama": OllamaBackend(provider)}
    return Router(fleet, strategy=Single(), backends=backends, limits=[budget], state=opened(store), **options)


async def main(provider: str, ledger: str, store: str, cap: int, calls: int, lease: float) -> None:
    admission.LEASE = lease
    with SQLiteLedger(ledger) as kept:
        asks = router(provider, store, cap, ledger=kept)

        async def one() -> bool:
            try:
                return bool(await asks.arun("Say hello."))
            except BudgetExceededError:
                return False

        print("ready", flush=True)
        sys.stdin.readline()
        answered = sum(await asyncio.gather(*(one() for _ in range(calls))))
    print(json.dumps([answered, calls - answered]), flush=True)


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
