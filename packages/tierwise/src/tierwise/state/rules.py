"""What reserving and settling do to the records of a store: the same for every store that can run Python.

First every claim is looked at, and nothing is changed; only if none is denied is anything set aside. Each record is
looked up once for that. What a kind of claim means is in three functions: whether it is denied, what is set aside, and
what is settled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

from tierwise.state.claims import Circuit, Claim, Denied, Granted, Rate, Signal, Slot, Spend, Taken, Turn
from tierwise.state.lines import NOBODY, Before, before, join, leave
from tierwise.state.records import Account, Book, Breaker, Bucket, Held, Line, Places

__all__ = ["IDLE", "POLL", "RETENTION", "TICK", "faded", "lift", "open_for", "reserve", "settle", "sweep"]

RETENTION = 86_400.0
"""Seconds for which a lapsed reservation is remembered, so that a late settlement counts, and counts once."""

IDLE = 86_400.0
"""Seconds after which the record of a circuit or a rate that nobody used says nothing any more."""

TICK = 1e-6
"""Seconds below which a wait is a rounding error: clocks are floating-point numbers."""

POLL = 0.02
"""Seconds after which it is worth asking again for something that is free when another call ends."""

POLLS = 25
"""The most times that for one who waits behind others."""


def reserve(
    book: Book,
    now: float,
    call_id: str,
    claims: Sequence[Claim],
    lease: float,
    least: int,
    most: int,
    wait: float,
) -> Granted | Denied:
    """See `State.reserve`."""
    if book.soonest <= now:
        sweep(book, now)
    held = book.held.get(call_id)
    if held is not None and not held.lapsed:
        return Granted(held.units, bool(held.probes))
    others = before(book, now, call_id, claims) if book.lines else NOBODY
    units, worst, found = _judged(book, now, claims, others, least, most)
    if worst is not None:
        if wait and worst.retry_after is not None:
            join(book, call_id, claims, now + worst.retry_after + wait)
        return worst
    ends = now + lease
    held = Held(units, ends, ends + RETENTION, {}, [], [], {})
    book.add(call_id, held)  # first: if this is interrupted, what is set aside by then has an owner and a lease
    for claim, record in found:
        _SET_ASIDE[type(claim)](book, now, call_id, claim, record, held)
    return Granted(units, bool(held.probes))


def _judged(
    book: Book, now: float, claims: Sequence[Claim], others: Before, least: int, most: int
) -> tuple[int, Denied | None, list[tuple[Claim, Any]]]:
    """The output tokens that all accounts can pay; why the call may not go; what counts, with what is kept of it."""
    units = most
    worst: Denied | None = None
    found: list[tuple[Claim, Any]] = []
    shelves = book.shelves
    for index, claim in enumerate(claims):
        kind = type(claim)
        record = shelves[kind].get(claim[0])  # its key: quicker than by its name
        if record is None and kind in _SILENT:
            continue
        found.append((claim, record))
        if type(claim) is Spend:
            room = _room(claim, record, most)
            if room < units:
                units = room
            denied = _poor(index, claim, record) if room < least else None
        else:
            denied = _DENIED[kind](now, index, claim, record, others)
        if denied is not None:
            worst = _worse(worst, denied)
    return units, worst, found


def settle(book: Book, now: float, call_id: str, claims: Sequence[Claim], taken: Sequence[Taken]) -> None:
    """See `State.settle`."""
    if book.soonest <= now:
        sweep(book, now)
    held = book.held.get(call_id)
    if held is None:
        leave(book, call_id, claims, served=False)
        return
    if len(taken) != len(claims):
        raise ValueError(f"{len(taken)} figures of what was taken, for {len(claims)} claims: it needs one for each")
    for index, claim in enumerate(claims):
        settled = _SETTLED.get(type(claim))
        if settled is not None:
            settled(book, now, call_id, claim, taken[index], held)
    _give_back(book, call_id, held)
    book.held.pop(call_id, None)


def sweep(book: Book, now: float) -> int:
    """Frees what is set aside by calls whose lease is over; gives their number."""
    lapsed = book.lapsed(now)
    for call_id, held in lapsed:
        _give_back(book, call_id, held)
        book.add(call_id, held)
    return len(lapsed)


def lift(book: Book, now: float, key: str, cap: int, keep: float | None) -> None:
    """See `State.lift`."""
    known = book.accounts.get(key)
    account = known or Account()
    account.cap = cap if account.cap is None else max(account.cap, cap)
    _keep_account(book, now, key, known, account, keep)


def faded(error_rate: float | None, idle: float) -> float | None:
    """What is left of a model's error rate when it was not called for so many seconds: half of it after a minute."""
    return None if error_rate is None else error_rate * 2.0 ** (-max(0.0, idle) / 60.0)


def _worse(one: Denied | None, other: Denied) -> Denied:
    """The denial that holds the call up for longer; of two alike, the first."""
    if one is None or (one.retry_after is not None and (other.retry_after or inf) > one.retry_after):
        return other
    return one


def _give_back(book: Book, call_id: str, held: Held) -> None:
    """Frees what the call has set aside; a rate's share is not given back, for it may have been used."""
    if held.lapsed:
        return
    held.lapsed = True  # first, so that nothing is given back twice
    for key, amount in list(held.accounts.items()):
        account = book.accounts.get(key)
        if account is not None:
            account.reserved -= amount
    for key in held.places:
        places = book.places.get(key)
        if places is not None:
            places.holders.remove(call_id)
    for key in held.probes:
        breaker = book.breakers.get(key)
        if breaker is not None and breaker.probe == call_id:
            breaker.probe = None


# Accounts.


def _cap(claim: Spend, account: Account) -> int:
    return claim.cap if account.cap is None or account.cap < claim.cap else account.cap


def _room(claim: Spend, account: Account | None, most: int) -> int:
    """The output tokens that the account can pay; below zero if it cannot even pay what comes before them."""
    _, free, amount, each, _ = claim
    if account is not None:
        if account.cap is not None and account.cap > free:
            free = account.cap
        free -= account.spent + account.reserved
    free -= amount
    if free < 0:
        return -1
    return most if free >= most * each else free // each


def _poor(index: int, claim: Spend, account: Account | None) -> Denied:
    account = account or Account()
    return Denied(index, spent=account.spent, reserved=account.reserved, cap=_cap(claim, account))


def _set_aside_money(book: Book, now: float, call_id: str, claim: Spend, known: Account | None, held: Held) -> None:
    key, _, amount, each, keep = claim
    account = known or Account()
    amount += each * held.units
    account.reserved += amount
    held.accounts[key] = amount
    _keep_account(book, now, key, known, account, keep, held.expires)


def _spend(book: Book, now: float, call_id: str, claim: Spend, took: Taken, held: Held) -> None:
    key = claim.key
    known = book.accounts.get(key)
    account = known or Account()
    amount = held.accounts.pop(key, 0)
    if not held.lapsed:
        account.reserved -= amount
    account.spent += took if isinstance(took, int) else amount
    _keep_account(book, now, key, known, account, claim.keep)


def _keep_account(
    book: Book, now: float, key: str, known: Account | None, account: Account, keep: float | None, lease: float = 0.0
) -> None:
    """Says when the account may be forgotten: never before what is set aside of it is settled, or has lapsed."""
    until = account.until
    if keep is None:
        account.until = None
    else:
        ends = now + keep
        if lease > ends:
            ends = lease
        if until is None or until < ends:
            account.until = ends
    if known is None or until is None:
        book.add(key, account)


# Slots.


def _full(now: float, index: int, claim: Slot, places: Places | None, others: Before) -> Denied | None:
    key, size = claim
    taken = 0 if places is None else len(places.holders)
    ahead, wanted = others
    if taken + wanted.get(key, 0) < size:
        return None
    return Denied(index, retry_after=POLL * min(1 + ahead, POLLS), reserved=taken, cap=size, ahead=ahead)


def _occupy(book: Book, now: float, call_id: str, claim: Slot, known: Places | None, held: Held) -> None:
    places = known or Places()
    places.holders.append(call_id)
    held.places.append(claim.key)
    until = held.expires + IDLE
    if places.until is None or places.until < until:
        places.until = until
    if known is None:
        book.add(claim.key, places)


# Rates.


def _early(now: float, index: int, claim: Rate, bucket: Bucket | None, others: Before) -> Denied | None:
    key, limit, period, amount, burst = claim
    if burst is None:
        burst = limit
    if amount > burst:
        return Denied(index, cap=burst)  # it would never go, however long it waits
    ahead, wanted = others
    if not wanted and (bucket is None or bucket.full_at <= now):
        return None
    full_at = now if bucket is None or bucket.full_at < now else bucket.full_at
    late = full_at + (wanted.get(key, 0) + amount - burst) * period / limit - now
    return Denied(index, retry_after=late, cap=limit, ahead=ahead) if late > TICK else None


def _draw(book: Book, now: float, call_id: str, claim: Rate, bucket: Bucket | None, held: Held) -> None:
    amount = claim.amount
    _drawn(book, now, claim, bucket, amount)
    held.expected[claim.key] = amount


def _correct(book: Book, now: float, call_id: str, claim: Rate, took: Taken, held: Held) -> None:
    """What was taken more, or less, than expected. A bucket that is full gains nothing."""
    more = took - held.expected.get(claim.key, 0) if isinstance(took, int) else 0
    if more:
        _drawn(book, now, claim, book.buckets.get(claim.key), more)


def _drawn(book: Book, now: float, claim: Rate, known: Bucket | None, amount: int) -> None:
    bucket = known or Bucket()
    full_at = bucket.full_at
    if full_at < now:
        full_at = now
    bucket.full_at = full_at = full_at + amount * claim.period / claim.limit
    bucket.until = (full_at if full_at > now else now) + IDLE
    if known is None:
        book.add(claim.key, bucket)


# Circuits.


def open_for(breaker: Breaker | None, now: float) -> float | None:
    """See `State.open_for`."""
    if breaker is None or breaker.open_until is None:
        return None
    if now < breaker.open_until:
        return breaker.open_until - now
    if breaker.probe is None or now >= breaker.probe_until:
        return None
    return max(POLL, breaker.probe_until - now)


def _open(now: float, index: int, claim: Circuit, breaker: Breaker, others: Before) -> Denied | None:
    seconds = open_for(breaker, now)
    return None if seconds is None else Denied(index, retry_after=seconds)


def _probe(book: Book, now: float, call_id: str, claim: Circuit, breaker: Breaker, held: Held) -> None:
    if breaker.open_until is None:
        return
    breaker.probe = call_id
    breaker.probe_until = held.expires if claim.probe is None else min(held.expires, now + claim.probe)
    breaker.until = held.expires + IDLE
    held.probes.append(claim.key)


def _learn(book: Book, now: float, call_id: str, claim: Circuit, took: Taken, held: Held) -> None:
    known = book.breakers.get(claim.key)
    health, asked = took if isinstance(took, Signal) else _SILENCE
    pause = asked or 0.0
    if known is None and health in ("good", "unknown") and pause <= 0:
        return
    breaker = known or Breaker()
    probed, closed = claim.key in held.probes, breaker.open_until is None
    if probed and breaker.probe == call_id:
        breaker.probe = None
    if health == "good" and (probed or closed):
        book.breakers.pop(claim.key, None)
        return
    if health == "bad":
        breaker.failures += 1
    # A failed call that began before the circuit opened says nothing new of it.
    failed = health == "bad" and (probed or (closed and breaker.failures >= claim.failures))
    if failed or health == "down":
        breaker.openings += int(probed or closed)
        pause = max(pause, min(claim.cooldown * 2 ** min(breaker.openings - 1, 32), claim.longest))
    if pause > 0:
        breaker.open_until = max(breaker.open_until or 0.0, now + pause)
    breaker.until = max(breaker.open_until or now, now) + IDLE
    if known is None:
        book.add(claim.key, breaker)


_SILENCE = Signal()


# Turns.


def _unhindered(now: float, index: int, claim: Turn, line: Line, others: Before) -> None:
    """A turn denies nothing by itself: slots and rates have to have room for those before."""


def _go(book: Book, now: float, call_id: str, claim: Turn, line: Line, held: Held) -> None:
    leave(book, call_id, (claim,), served=True)


# When each kind of claim is denied, what is set aside, and what is settled.

_SILENT = frozenset[type[Claim]]({Circuit, Turn})
"""What denies nothing, and sets nothing aside, while nothing is kept of it: a circuit is closed, a line is empty."""

_DENIED: Mapping[type[Claim], Callable[[float, int, Any, Any, Before], Denied | None]] = {
    Slot: _full,
    Rate: _early,
    Circuit: _open,
    Turn: _unhindered,
}
_SET_ASIDE: Mapping[type[Claim], Callable[[Book, float, str, Any, Any, Held], None]] = {
    Spend: _set_aside_money,
    Slot: _occupy,
    Rate: _draw,
    Circuit: _probe,
    Turn: _go,
}
_SETTLED: Mapping[type[Claim], Callable[[Book, float, str, Any, Taken, Held], None]] = {
    Spend: _spend,
    Rate: _correct,
    Circuit: _learn,
}
"""Of the others nothing can be said: a slot is given back, and the call left its line when it went."""
