"""The storm itself: starts the processes, kills one, watches the budgets, and counts."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import accumulate
from pathlib import Path
from typing import Any

from tally import Counts, Watched
from tierwise import Attempt, Budget, Router, Task
from tierwise.fleet.pricing import Pricing
from tierwise.ids import new_id
from tierwise.ledger import SQLiteLedger
from tierwise.limits import Call
from tierwise.state import Denied, Slot, State
from tierwise.testing.provider import LoopbackProvider, RecordedCall
from tierwise_ollama import OllamaBackend
from weather import Weather, number_of
from wiring import FLEET, MODELS, PATIENCE, RATE, THRIFTY, Place

__all__ = ["Storm"]

ASKER = Path(__file__).with_name("asker.py")


class Process:
    """A process that asks."""

    def __init__(self, place: Place, numbers: Sequence[int], in_flight: int) -> None:
        self.said: list[dict[str, Any]] = []
        self._numbers = numbers
        command = [sys.executable, str(ASKER), place.told(numbers=list(numbers), in_flight=in_flight)]
        self._running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    @property
    def ended(self) -> bool:
        return not self._listener.is_alive()

    @property
    def left(self) -> list[int]:
        """The questions of which nobody said how they ended."""
        done = {said["number"] for said in self.said}
        return [number for number in self._numbers if number not in done]

    def wait(self) -> None:
        """Waits for its end.

        Raises:
            RuntimeError: It failed.
        """
        self._listener.join()
        if self._running.wait() != 0:
            raise RuntimeError(f"a process of the storm ended with {self._running.returncode}")

    def kill(self) -> None:
        self._running.kill()
        self._running.wait()
        self._listener.join()

    def _listen(self) -> None:
        assert self._running.stdout is not None
        with self._running.stdout as lines:
            for line in lines:
                with suppress(ValueError):  # the last line of one that is killed may be cut off
                    self.said.append(json.loads(line))


class Watcher:
    """Reads budgets over and over, in a thread."""

    def __init__(self, router: Router, budgets: Sequence[Budget]) -> None:
        self.seen = [Watched(budget.name, Decimal(budget.caps["usd"]).scaleb(-9)) for budget in budgets]
        self._router = router
        self._budgets = budgets
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def look(self) -> Decimal:
        """What is reserved now."""
        reserved = Decimal(0)
        for seen, budget in zip(self.seen, self._budgets, strict=True):
            spending = self._router.spending(budget, tag=THRIFTY)
            spent, held = spending.spent.usd or Decimal(0), spending.reserved.usd or Decimal(0)
            seen.spent, seen.highest, seen.readings = spent, max(seen.highest, spent + held), seen.readings + 1
            reserved += held
        return reserved

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.look()


class Storm:
    """One storm.

    Args:
        place: Where it happens.
        provider: What is asked.
        seed: What the dice begin with.
        share: The share of requests that fail.
        in_flight: How many questions are under way at once, in both processes together.
    """

    def __init__(self, place: Place, provider: LoopbackProvider, *, seed: int, share: float, in_flight: int) -> None:
        self._place = place
        self._provider = provider
        self._weather = Weather(seed, share)
        self._counts = Counts(seed, place.calls)
        self._each = in_flight // 2

    def run(self) -> Counts:
        """Lets it pass, and counts."""
        for model in MODELS:
            self._provider.on(model, self._weather)
        counts, began = self._counts, time.monotonic()
        with self._place.opened() as (router, state), Watcher(router, self._place.budgets) as watcher:
            self._ask()
            counts.seconds = time.monotonic() - began
            ended = time.monotonic()
            while (reserved := watcher.look()) and time.monotonic() < ended + self._place.longest_lease:
                time.sleep(0.2)
            counts.leases = time.monotonic() - ended
            counts.reserved, counts.places = reserved, _taken(state)
            counts.budgets = watcher.seen
        self._count()
        return counts

    def _ask(self) -> None:
        half = self._place.calls // 2
        first = Process(self._place, range(half), self._each)
        doomed = Process(self._place, range(half, self._place.calls), self._each)
        processes = [first, doomed]
        try:
            while len(doomed.said) < half // 2 and not doomed.ended:
                time.sleep(0.002)
            doomed.kill()
            processes.append(Process(self._place, doomed.left, self._each))
            for process in (first, processes[-1]):
                process.wait()
        finally:
            for process in processes:
                process.kill()
        self._counts.said = [said for process in processes for said in process.said]
        self._counts.waits = sum(process.said[-1]["waits"] for process in processes if process.said)

    def _count(self) -> None:
        self._provider.wait_idle(PATIENCE)
        with SQLiteLedger(self._place.ledger) as ledger:
            ledger.reconcile()
            self._counts.rows = ledger.rows()
        self._counts.faults = self._weather.counts
        prices = {model.name: model.price for model in FLEET.models}
        calls = self._provider.calls
        self._counts.peaks = {model: _most_at_once([call for call in calls if call.model == model]) for model in MODELS}
        for call in calls:
            self._counts.reached[str(number_of(call)), call.model] += 1
            price = prices[call.model]
            assert price is not None
            self._counts.billed += (price.input * call.billed_input + price.output * call.billed_output) / 1_000_000


def _most_at_once(calls: Sequence[RecordedCall]) -> int:
    """How many calls were under way at once, at most."""
    changes = sorted([(call.started, 1) for call in calls] + [(call.ended or sys.maxsize, -1) for call in calls])
    return max(accumulate(change for _, change in changes), default=0)


def _taken(state: State) -> int:
    """How many places of the models are taken, although nobody calls: so many cannot be had."""
    taken = 0
    backend = OllamaBackend()
    for model in FLEET.models:
        call = Call(Attempt(Task("?"), model), "", "", time.time(), Pricing(FLEET), 1, backend)
        claims = [claim for claim in RATE.claims(call) if isinstance(claim, Slot)]
        had = [new_id() for _ in range(claims[0].size)]
        taken += sum(isinstance(state.reserve(call_id, claims, lease=PATIENCE), Denied) for call_id in had)
        for call_id in had:
            state.settle(call_id, claims, [None])
    return taken
