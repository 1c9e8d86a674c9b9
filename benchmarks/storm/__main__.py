"""A storm: thousands of calls through a provider that fails at random, from two processes, one of which is killed.

    python benchmarks/storm [--calls 5000] [--in-flight 50] [--share 0.3] [--seed N] [--grace 30] [--redis [URL]]

Questions are asked through a cascade over three models with every limit (two budgets, circuit breaker, retries, rate
limit), with a ledger in SQLite, and the state in SQLite or on a Redis server: sync and async, whole and streamed; about
one in ten is left by its caller. Half-way one of the two processes is killed (SIGKILL), and another asks what it has
not answered. At the end everything is counted, and what must hold is checked: if anything does not, the exit status
is 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from storm import Storm
from tally import checks, table
from tierwise.admission import GRACE
from tierwise.testing.provider import LoopbackProvider
from tierwise.testing.redis import RedisServer
from wiring import Place


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5_000)
    parser.add_argument("--in-flight", type=int, default=50)
    parser.add_argument("--share", type=float, default=0.3, help="how many of the provider's answers are faults")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--grace", type=float, default=GRACE, help="seconds that a reservation outlives its deadline")
    parser.add_argument("--redis", nargs="?", const="", help="keep the state on a Redis server: this one, or its own")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = str(folder / "state.db")
        if args.redis is not None:
            store = args.redis or stack.enter_context(RedisServer()).url
        provider = stack.enter_context(LoopbackProvider())
        place = Place(provider.url, str(folder / "ledger.db"), store, args.calls, args.grace)
        print(
            f"{args.calls:,} questions, {args.in_flight} in flight, {args.share:.0%} faults, seed {args.seed}, "
            f"state on {'SQLite' if args.redis is None else 'Redis'}",
            flush=True,
        )
        counts = Storm(place, provider, seed=args.seed, share=args.share, in_flight=args.in_flight).run()
    sys.stdout.writelines(table(counts))
    return 0 if all(check.holds for check in checks(counts)) else 1


if __name__ == "__main__":
    sys.exit(main())
