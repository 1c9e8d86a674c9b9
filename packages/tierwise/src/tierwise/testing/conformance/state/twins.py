"""The async twins do what their sync forms do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tierwise.ids import new_id
from tierwise.state import (
    Balance,
    Granted,
    Once,
    Spend,
    State,
    Taken,
)
from tierwise.testing.conformance.state.suite import LEASE, StateSuite, key

__all__ = ["Twins"]


class Twins(StateSuite):
    """The async twins do what their sync forms do."""

    async def test_the_async_twins_do_the_same(self, state: State) -> None:
        """On the same records."""
        claim, call_id = Spend(key(), cap=100, amount=60), new_id()
        taken: Sequence[Taken] = [45]
        assert isinstance(await state.areserve(call_id, [claim], lease=LEASE), Granted)
        assert await state.abalance(claim.key) == Balance(0, 60)
        await state.asettle(call_id, [claim], taken)
        await state.alift(claim.key, 200)
        assert await state.abalance(claim.key) == Balance(45, 0, 200)
        assert await state.abegin_once(claim.key, "request", call_id, lease=LEASE) == Once("new", call_id)
        await state.aend_once(claim.key, call_id, "body", keep=60)
        done = Once("done", call_id, body="body")
        assert await state.abegin_once(claim.key, "request", new_id(), lease=LEASE) == done

    async def test_a_settlement_comes_to_its_end_though_who_awaits_it_is_cancelled(self, state: State) -> None:
        """Nothing is left half done."""
        claim, call_id = Spend(key(), cap=100, amount=60), new_id()
        await state.areserve(call_id, [claim], lease=LEASE)
        task = asyncio.create_task(state.asettle(call_id, [claim], [45]))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert await state.abalance(claim.key) == Balance(45, 0)
