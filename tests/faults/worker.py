"""A program that works through the subtasks of a mission, each under a key of its own, and may be killed on the way.

Its only argument is JSON: `provider` is an address, `ledger` a file, `store` the state's file, `subtasks` their names,
`dies` the one at which it is killed, if any, and `settled` whether that is after its call was settled. At its end it
says what each answered, and whether that was kept from before.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence

from tierwise import Fleet, ModelSpec, Price, Router, Single, SQLiteState, Tier
from tierwise.attempt import Attempt, Outcome
from tierwise.idempotency import keyed
from tierwise.ledger import SQLiteLedger
from tierwise_ollama import OllamaBackend


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Doomed(OllamaBackend):
    """Killed between the provider's reply to a subtask and its settlement."""

    at = ""

    async def acall(self, attempt: Attempt) -> Outcome:
        outcome = await super().acall(attempt)
        if self.at and self.at in attempt.task.latest_request:
            killed()
        return outcome


def main(
    provider: str, ledger: str, store: str, subtasks: Sequence[str], dies: str | None, settled: bool, lease: float
) -> None:
    keyed.LEASE = lease
    backend = Doomed(provider)
    backend.at = "" if settled or dies is None else dies
    fleet = Fleet([Tier("small", ModelSpec("ollama:small", price=Price(1, 1)))])
    said: list[tuple[str, bool]] = []
    with SQLiteState(store, wait=60) as state, SQLiteLedger(ledger) as kept:
        asks = Router(fleet, strategy=Single(), backends={"ollama": backend}, state=state, ledger=kept)
        print("ready", flush=True)
        sys.stdin.readline()
        for name in subtasks:
            reply = asks.run(f"Do {name}.", idempotency_key=f"mission/{name}", session="mission", retry_unknown=True)
            said.append((reply.text, reply.replayed))
            if settled and name == dies:
                killed()
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
