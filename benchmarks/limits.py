"""Whether a budget holds while processes race for it, and what reserving and settling cost. Run it on an idle machine.

    python benchmarks/limits.py [--calls 1000] [--rounds 8000]

The first table: calls of 4 processes (25 threads each; in memory 100 threads) against a budget that pays for 100. A
watcher reads what is spent and reserved all the while. Beside each store stands check-then-act on the same store: read
what is left, make the call if it is enough, and write down what it cost. The second table: a call has two accounts, a
rate and a circuit; a row is how often it can be reserved and settled. A "call" is a sleep of 10 ms, or nothing.
Redis is left out where there is no `redis-server`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from tierwise.errors import ConfigError
from tierwise.ids import new_id
from tierwise.state import (
    Circuit,
    Denied,
    MemoryState,
    Observed,
    Rate,
    RedisState,
    Signal,
    Spend,
    SQLiteState,
    State,
    Taken,
)
from tierwise.testing.redis import RedisServer

CAP = 100
PROCESSES, THREADS = 4, 25
CALL = 0.01
BUDGET = Spend("budget", cap=CAP, amount=1)
UNBOUNDED = Spend("budget", cap=10**9, amount=1)

CLAIMS = [
    Spend("run", cap=10**15, amount=700, each=4, keep=86_400.0),
    Spend("month", cap=10**15, amount=700, each=4),
    Rate("requests", limit=10**9, period=60.0),
    Circuit("model", failures=5, cooldown=30.0, longest=600.0),
]
TAKEN: list[Taken] = [1_100, 1_100, 1, Signal("good")]
OBSERVED = Observed("a:model", 0.8)


def opened(store: str, prefix: str) -> Any:
    if store == "memory":
        return ExitStack()
    return RedisState(store, prefix=prefix, wait=60) if "://" in store else SQLiteState(Path(store) / prefix, wait=60)


def attempt(state: State, naive: bool) -> bool:
    """One call; whether it was let through."""
    call_id, claim = new_id(), BUDGET
    if naive:
        if total(state) + 1 > CAP:
            return False
        time.sleep(CALL)
        claim = UNBOUNDED
    if isinstance(state.reserve(call_id, [claim], lease=60), Denied):
        return False
    if not naive:
        time.sleep(CALL)
    state.settle(call_id, [claim], [1])
    return True


def attempts(state: State, naive: bool, calls: int, threads: int) -> int:
    """How many of the calls were let through."""
    with ThreadPoolExecutor(threads) as pool:
        tries = [pool.submit(attempt, state, naive) for _ in range(calls)]
    return sum(one.result() for one in tries)


def race(store: str, prefix: str, naive: bool, calls: int, barrier: Barrier, admitted: Queue[int]) -> None:
    with opened(store, prefix) as state:
        barrier.wait()
        admitted.put(attempts(state, naive, calls, THREADS))


def raced(store: str, naive: bool, calls: int) -> tuple[int, int, int]:
    """How many calls were let through, the highest that spent and reserved ever were, how often that was read."""
    if store == "memory":
        return raced_in_memory(naive, calls)
    context = multiprocessing.get_context("spawn")
    barrier, admitted, prefix = context.Barrier(PROCESSES + 1), context.Queue(), new_id()
    highest = readings = 0
    with opened(store, prefix) as state:
        args = (store, prefix, naive, calls // PROCESSES, barrier, admitted)
        running = [context.Process(target=race, args=args) for _ in range(PROCESSES)]
        for process in running:
            process.start()
        barrier.wait()
        while any(process.is_alive() for process in running):
            highest, readings = max(highest, total(state)), readings + 1
        return sum(admitted.get() for _ in running), max(highest, total(state)), readings


def raced_in_memory(naive: bool, calls: int) -> tuple[int, int, int]:
    state, highest, readings = MemoryState(), 0, 0
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(attempts, state, naive, calls, PROCESSES * THREADS)
        while not running.done():
            highest, readings = max(highest, total(state)), readings + 1
            time.sleep(0)
    return running.result(), max(highest, total(state)), readings


def total(state: State) -> int:
    balance = state.balance("budget")
    return balance.spent + balance.reserved


def rounds(state: State, count: int) -> list[float]:
    waits: list[float] = []
    for _ in range(count):
        call_id, began = new_id(), time.perf_counter()
        state.reserve(call_id, CLAIMS, lease=60, most=100)
        state.settle(call_id, CLAIMS, TAKEN, OBSERVED)
        waits.append(time.perf_counter() - began)
    return waits


def runner(store: str, prefix: str, count: int, barrier: Barrier, waits: Queue[list[float]]) -> None:
    with opened(store, prefix) as state:
        barrier.wait()
        waits.put(rounds(state, count))


def timed(store: str, processes: int, count: int) -> tuple[float, list[float]]:
    """Rounds a second of all processes together, and how long each round took, in seconds."""
    if store == "memory":
        began = time.perf_counter()
        waits = rounds(MemoryState(), count)
        return count / (time.perf_counter() - began), waits
    context = multiprocessing.get_context("spawn")
    barrier, told, prefix = context.Barrier(processes + 1), context.Queue(), new_id()
    args = (store, prefix, count // processes, barrier, told)
    running = [context.Process(target=runner, args=args) for _ in range(processes)]
    for process in running:
        process.start()
    barrier.wait()
    began = time.perf_counter()
    waits = [wait for _ in running for wait in told.get()]
    took = time.perf_counter() - began
    for process in running:
        process.join()
    return len(waits) / took, waits


def stores(stack: ExitStack) -> Iterator[tuple[str, str]]:
    yield "memory", "memory"
    yield "sqlite", stack.enter_context(tempfile.TemporaryDirectory())
    try:
        yield "redis", stack.enter_context(RedisServer()).url
    except ConfigError as error:
        print(f"redis: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=8_000)
    args = parser.parse_args()
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.machine()}")
    with ExitStack() as stack:
        found = list(stores(stack))
        print(f"\n{args.calls:,} calls against a budget of {CAP}")
        print(f"{'':<26}{'let through':>12}{'highest':>9}{'readings':>10}")
        for name, store in found:
            for naive in (False, True):
                through, highest, readings = raced(store, naive, args.calls)
                label = f"{name}, {'check, then act' if naive else 'reserve'}"
                print(f"{label:<26}{through:>12,}{highest:>9,}{readings:>10,}", flush=True)
        print(f"\n{'reserve and settle':<26}{'a second':>12}{'p50 µs':>9}{'p99 µs':>10}")
        for name, store in found:
            for processes in (1,) if name == "memory" else (1, PROCESSES):
                rate, waits = timed(store, processes, args.rounds)
                cuts = statistics.quantiles(waits, n=100)
                label = f"{name}, {processes} process{'es' if processes > 1 else ''}"
                print(f"{label:<26}{rate:>12,.0f}{cuts[49] * 1e6:>9,.0f}{cuts[98] * 1e6:>10,.0f}", flush=True)


if __name__ == "__main__":
    main()
