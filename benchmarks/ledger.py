"""How many rows a second a durable ledger takes, and what an intent costs a call. Run it on an idle machine.

    python benchmarks/ledger.py [--calls 20000]

A call writes two rows: its intent, durable before the call, and what came of it. Nothing is called here.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from tierwise import Task, Usage
from tierwise.ids import new_id
from tierwise.ledger import Row, SQLiteLedger

TASK = Task("Summarise this page in three sentences. " * 75)
USAGE = Usage(700, 120)


def call(ledger: SQLiteLedger) -> float:
    row = Row(new_id(), new_id(), started_at=time.time(), tier="small", model="ollama:small", job="summarize")
    began = time.perf_counter()
    ledger.begin(row, TASK)
    waited = time.perf_counter() - began
    ledger.settle(replace(row, state="settled", usage=USAGE, cost=Decimal("0.000123"), latency=0.5))
    return waited


async def acall(ledger: SQLiteLedger) -> float:
    row = Row(new_id(), new_id(), started_at=time.time(), tier="small", model="ollama:small", job="summarize")
    began = time.perf_counter()
    await ledger.abegin(row, TASK)
    waited = time.perf_counter() - began
    ledger.settle(replace(row, state="settled", usage=USAGE, cost=Decimal("0.000123"), latency=0.5))
    return waited


def threads(ledger: SQLiteLedger, calls: int, callers: int) -> list[float]:
    waits: list[float] = []

    def caller() -> None:
        waits.extend([call(ledger) for _ in range(calls // callers)])

    running = [threading.Thread(target=caller) for _ in range(callers)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return waits


def tasks(ledger: SQLiteLedger, calls: int, callers: int) -> list[float]:
    waits: list[float] = []

    async def caller() -> None:
        waits.extend([await acall(ledger) for _ in range(calls // callers)])

    async def all_callers() -> None:
        await asyncio.gather(*(caller() for _ in range(callers)))

    asyncio.run(all_callers())
    return waits


def measure(run: Callable[[SQLiteLedger, int, int], list[float]], calls: int, callers: int, *, fsync: bool) -> str:
    with (
        tempfile.TemporaryDirectory() as folder,
        SQLiteLedger(Path(folder) / "ledger.db", key=b"benchmark", on_error="raise", fsync=fsync) as ledger,
    ):
        began = time.perf_counter()
        waits = run(ledger, calls, callers)
        ledger.flush()
        took = time.perf_counter() - began
        kept = sum(total.calls for total in ledger.totals())
    cuts = statistics.quantiles(waits, n=100)
    rate = 2 * kept / took
    return f"{rate:10,.0f}  {kept / took:9,.0f}  {cuts[49] * 1e6:9,.0f}  {cuts[98] * 1e6:9,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    calls: int = parser.parse_args().calls
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.machine()}, {calls:,} calls")
    print(f"{'callers':<22}{'fsync':<7}{'rows/s':>10}  {'calls/s':>9}  {'p50 µs':>9}  {'p99 µs':>9}")
    for fsync in (False, True):
        for name, run, callers in (
            ("1 thread", threads, 1),
            ("16 threads", threads, 16),
            ("1 task", tasks, 1),
            ("64 tasks", tasks, 64),
            ("512 tasks", tasks, 512),
        ):
            count = calls if callers > 1 and not fsync else calls // 10
            print(f"{name:<22}{'yes' if fsync else 'no':<7}{measure(run, count, callers, fsync=fsync)}", flush=True)


if __name__ == "__main__":
    main()
