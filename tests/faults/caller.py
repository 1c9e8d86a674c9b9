"""A program that asks once, with a ledger, and is killed between the provider's reply and the ledger's row.

Arguments: the provider's address, the ledger's path.
"""

from __future__ import annotations

import os
import signal
import sys

from tierwise import Fleet, ModelSpec, Price, Router, Single, Tier
from tierwise.attempt import Attempt, Outcome
from tierwise_ollama import OllamaBackend


class Killed(OllamaBackend):
    async def acall(self, attempt: Attempt) -> Outcome:
        await super().acall(attempt)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a killed process goes on")


if __name__ == "__main__":
    fleet = Fleet([Tier("small", ModelSpec("ollama:small", price=Price(1, 1)))])
    router = Router(fleet, strategy=Single(), backends={"ollama": Killed(sys.argv[1])}, ledger=sys.argv[2])
    router.run("What is the capital of France?", session="s1")
