"""A program that spends from a budget as fast as it can, or holds on to what it has until it is killed.

Its only argument is JSON: `store` and `prefix` say where the state is, `claim` what is asked for, `do` what is done. It
says "ready", waits for a line, and at its end says how many calls were granted, how many of them were probes, and the
most that was spent and set aside when one was granted.
"""

import asyncio
import json
import sys
import threading
import time
from typing import Any

from tierwise.ids import new_id
from tierwise.state import Balance, Circuit, Denied, Granted, Spend, State
from tierwise.state.redis import RedisState
from tierwise.state.sqlite import SQLiteState


def opened(store: str, prefix: str) -> Any:
    # Waits are long: the machine that tests run on may be busy with anything.
    return RedisState(store, prefix=prefix, wait=60) if "://" in store else SQLiteState(store, wait=60)


def half_in_threads_half_in_tasks(
    state: State, claim: Spend | Circuit, calls: int
) -> tuple[list[Granted | Denied], list[int]]:
    """What each call was told, and what the account held whenever one was granted."""
    said: list[Granted | Denied] = []
    held = [0]

    def took(answer: Granted | Denied, balance: Balance) -> None:
        said.append(answer)
        held.append(balance.spent + balance.reserved)

    def one_by_one() -> None:
        for _ in range(calls // 20):
            call_id = new_id()
            answer = state.reserve(call_id, [claim], lease=600)
            took(answer, state.balance(claim.key) if isinstance(answer, Granted) else Balance())
            if isinstance(claim, Spend):
                state.settle(call_id, [claim], [claim.amount])

    async def one() -> None:
        call_id = new_id()
        answer = await state.areserve(call_id, [claim], lease=600)
        took(answer, await state.abalance(claim.key) if isinstance(answer, Granted) else Balance())
        if isinstance(claim, Spend):
            await state.asettle(call_id, [claim], [claim.amount])

    async def side_by_side() -> None:
        await asyncio.gather(*(one() for _ in range(calls // 2)))

    threads = [threading.Thread(target=one_by_one) for _ in range(10)]
    for thread in threads:
        thread.start()
    asyncio.run(side_by_side())
    for thread in threads:
        thread.join()
    return said, held


def main(store: str, prefix: str, claim: dict[str, Any], do: str, calls: int, lease: float) -> None:
    wanted = Spend(**claim) if "cap" in claim else Circuit(**claim)
    with opened(store, prefix) as state:
        print("ready", flush=True)
        sys.stdin.readline()
        if do == "hold":
            for _ in range(calls):
                assert isinstance(state.reserve(new_id(), [wanted], lease=lease), Granted)
            print("holding", flush=True)
            time.sleep(600)
        said, held = half_in_threads_half_in_tasks(state, wanted, calls)
        granted = [one for one in said if isinstance(one, Granted)]
        print(json.dumps([len(granted), sum(one.probe for one in granted), max(held)]), flush=True)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
