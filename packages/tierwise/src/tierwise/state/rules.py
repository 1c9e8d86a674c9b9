"""What reserving and settling do to the records of a store: the same for every store that can run Python.

First every claim is looked at, and nothing is changed; only if none is denied is anything set aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from tierwise.state.claims import Circuit, Claim, Denied, Granted, Rate, Signal, Slot, Spend, Taken
from tierwise.state.records import Account, Book, Breaker, Bucket, Held, Places

__all__ = ["IDLE", "POLL", "RETENTION", "TICK", "lift", "reserve", "settle", "sweep"]

RETENTION = 86_400.0
"""Seconds for which a lapsed reservation is remembered, so that a late settlement counts, and counts once."""

IDLE = 86_400.0
"""Seconds after which the record of a circuit or a rate that nobody used says nothing any more."""

TICK = 1e-6
"""Seconds below which a wait is a rounding error: clocks are floating-point numbers."""

POLL = 0.02
"""Seconds after which it is worth asking again for something that is free when another call ends."""


def reserve(
    book: Book, now: float, call_id: str, claims: Sequence[Claim], *, lease: float, least: int, most: int
) -> Granted | Denied:
    """See `State.reserve`."""
    sweep(book, now)
    held = book.load(Held, call_id)
    if held is not None and not held.lapsed:
        return Granted(held.units, probe=bool(held.probes))
    units = most
    worst: Denied | None = None
    for index, claim in enumerate(claims):
        if isinstance(claim, Spend):
            room = _room(book, claim, most)
            units = min(units, room)
            denied = _poor(book, index, claim) if room < least or room < 0 else None
        else:
            denied = _denied(book, now, index, claim)
        if denied is not None and (worst is None or _wait(denied) > _wait(worst)):
            worst = denied
    if worst is not None:
        return worst
    held = Held({}, [], [], {}, units, now + lease, now + lease + RETENTION)
    for claim in claims:
        _set_aside(book, now, call_id, claim, held)
    book.save(call_id, held)
    return Granted(units, probe=bool(held.probes))


def settle(book: Book, now: float, call_id: str, claims: Sequence[Claim], taken: Sequence[Taken]) -> None:
    """See `State.settle`."""
    sweep(book, now)
    held = book.load(Held, call_id)
    if held is None:
        return
    _give_back(book, call_id, held)
    book.drop(Held, call_id)
    for claim, took in zip(claims, taken, strict=True):
        if isinstance(claim, Spend):
            _spend(book, now, claim, took if isinstance(took, int) else held.accounts.get(claim.key, 0))
        elif isinstance(claim, Rate) and isinstance(took, int):
            _correct(book, now, claim, took - held.expected.get(claim.key, 0))
        elif isinstance(claim, Circuit) and isinstance(took, Signal):
            _learn(book, now, claim, took, probed=claim.key in held.probes)


def sweep(book: Book, now: float) -> int:
    """Frees what is set aside by calls whose lease is over; gives their number."""
    lapsed = book.lapsed(now)
    for call_id, held in lapsed:
        _give_back(book, call_id, held)
        held.lapsed = True
        book.save(call_id, held)
    return len(lapsed)


def lift(book: Book, now: float, key: str, cap: int, keep: float | None) -> None:
    """See `State.lift`."""
    account = book.load(Account, key) or Account()
    account.cap = cap if account.cap is None else max(account.cap, cap)
    account.until = _until(account, now, keep)
    book.save(key, account)


def _wait(denied: Denied) -> float:
    return inf if denied.retry_after is None else denied.retry_after


# Accounts.


def _cap(claim: Spend, account: Account) -> int:
    return claim.cap if account.cap is None else max(claim.cap, account.cap)


def _room(book: Book, claim: Spend, most: int) -> int:
    """The output tokens that the account can pay; below zero if it cannot even pay what comes before them."""
    account = book.load(Account, claim.key) or Account()
    free = _cap(claim, account) - account.spent - account.reserved - claim.amount
    if free < 0:
        return -1
    return most if claim.each == 0 else min(most, free // claim.each)


def _poor(book: Book, index: int, claim: Spend) -> Denied:
    account = book.load(Account, claim.key) or Account()
    return Denied(index, spent=account.spent, reserved=account.reserved, cap=_cap(claim, account))


def _spend(book: Book, now: float, claim: Spend, amount: int) -> None:
    account = book.load(Account, claim.key) or Account()
    account.spent += amount
    account.until = _until(account, now, claim.keep)
    book.save(claim.key, account)


def _until(account: Account, now: float, keep: float | None, *, lease_ends: float = 0.0) -> float | None:
    """When the account may be forgotten: never before what is set aside of it is settled, or has lapsed."""
    return None if keep is None else max(account.until or 0.0, now + keep, lease_ends)


# Slots, rates, circuits.


def _denied(book: Book, now: float, index: int, claim: Slot | Rate | Circuit) -> Denied | None:
    match claim:
        case Slot():
            places = book.load(Places, claim.key)
            taken = len(places.holders) if places is not None else 0
            return Denied(index, retry_after=POLL, reserved=taken, cap=claim.size) if taken >= claim.size else None
        case Rate():
            bucket = book.load(Bucket, claim.key) or Bucket()
            burst = claim.limit if claim.burst is None else claim.burst
            late = max(bucket.full_at, now) + (claim.amount - burst) * claim.period / claim.limit - now
            if claim.amount > burst:
                return Denied(index, cap=burst)  # it would never go, however long it waits
            return Denied(index, retry_after=late, cap=claim.limit) if late > TICK else None
        case Circuit():
            breaker = book.load(Breaker, claim.key)
            if breaker is None or breaker.open_until is None:
                return None
            if now < breaker.open_until:
                return Denied(index, retry_after=breaker.open_until - now)
            if breaker.probe is None or now >= breaker.probe_until:
                return None
            return Denied(index, retry_after=max(POLL, breaker.probe_until - now))


def _set_aside(book: Book, now: float, call_id: str, claim: Claim, held: Held) -> None:
    match claim:
        case Spend():
            account = book.load(Account, claim.key) or Account()
            amount = claim.amount + claim.each * held.units
            account.reserved += amount
            held.accounts[claim.key] = amount
            account.until = _until(account, now, claim.keep, lease_ends=held.expires)
            book.save(claim.key, account)
        case Slot():
            places = book.load(Places, claim.key) or Places()
            places.holders.append(call_id)
            held.places.append(claim.key)
            book.save(claim.key, places)
        case Rate():
            bucket = book.load(Bucket, claim.key) or Bucket()
            bucket.full_at = max(bucket.full_at, now) + claim.amount * claim.period / claim.limit
            held.expected[claim.key] = claim.amount
            bucket.until = bucket.full_at + IDLE
            book.save(claim.key, bucket)
        case Circuit():
            breaker = book.load(Breaker, claim.key)
            if breaker is not None and breaker.open_until is not None:
                ends = held.expires if claim.probe is None else min(held.expires, now + claim.probe)
                breaker.probe, breaker.probe_until = call_id, ends
                held.probes.append(claim.key)
                breaker.until = held.expires + IDLE
                book.save(claim.key, breaker)


def _correct(book: Book, now: float, claim: Rate, more: int) -> None:
    """What was taken more, or less, than expected. A bucket that is full gains nothing."""
    bucket = book.load(Bucket, claim.key) or Bucket()
    bucket.full_at = max(bucket.full_at, now) + more * claim.period / claim.limit
    bucket.until = max(bucket.full_at, now) + IDLE
    book.save(claim.key, bucket)


def _learn(book: Book, now: float, claim: Circuit, signal: Signal, *, probed: bool) -> None:
    known = book.load(Breaker, claim.key)
    pause = signal.retry_after or 0.0
    if known is None and signal.health in ("good", "unknown") and pause <= 0:
        return
    breaker = known or Breaker()
    closed = breaker.open_until is None
    if signal.health == "good" and (probed or closed):
        book.drop(Breaker, claim.key)
        return
    if signal.health == "bad":
        breaker.failures += 1
    # A failed call that began before the circuit opened says nothing new of it.
    failed = signal.health == "bad" and (probed or (closed and breaker.failures >= claim.failures))
    if failed or signal.health == "down":
        breaker.openings += int(probed or closed)
        pause = max(pause, min(claim.cooldown * 2 ** min(breaker.openings - 1, 32), claim.longest))
    if pause > 0:
        breaker.open_until = max(breaker.open_until or 0.0, now + pause)
    breaker.until = max(breaker.open_until or now, now) + IDLE
    book.save(claim.key, breaker)


def _give_back(book: Book, call_id: str, held: Held) -> None:
    """Frees what the call has set aside; a rate's share is not given back, for it may have been used."""
    if held.lapsed:
        return
    for key, amount in held.accounts.items():
        account = book.load(Account, key)
        if account is not None:
            account.reserved -= amount
            book.save(key, account)
    for key in held.places:
        places = book.load(Places, key)
        if places is not None:
            places.holders.remove(call_id)
            if places.holders:
                book.save(key, places)
            else:
                book.drop(Places, key)
    for key in held.probes:
        breaker = book.load(Breaker, key)
        if breaker is not None and breaker.probe == call_id:
            breaker.probe = None
            book.save(key, breaker)
