"""Who goes next of those that wait in a line (start-time fair queuing), and what those before a call will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tierwise.state.claims import Claim, Rate, Slot, Turn
from tierwise.state.records import Book, Line, Waiter

__all__ = ["NOBODY", "Before", "before", "join", "leave", "next_of"]

Before = tuple[int, Mapping[str, int]]
"""How many wait before a call, and what they want, by the key of the slot or rate."""

NOBODY: Before = (0, {})


def before(book: Book, now: float, call_id: str, claims: Sequence[Claim]) -> Before:
    """Those who wait before a call, in whatever line it stands or would stand."""
    found = NOBODY
    for claim in claims:
        line = book.lines.get(claim.key) if type(claim) is Turn else None
        if line is not None and type(claim) is Turn:
            _prune(book, now, claim.key, line)
            place = _place(line, call_id, claim.party)
            ahead = [w for call, w in line.waiting.items() if call != call_id and _order(w) < place]
            wanted = dict(found[1])
            for *_, wants in ahead:
                for key, amount in wants.items():
                    wanted[key] = wanted.get(key, 0) + amount
            found = max(found[0], len(ahead)), wanted
    return found


def join(book: Book, call_id: str, claims: Sequence[Claim], until: float) -> None:
    """Has a call wait in its lines until that time; one that waits already keeps its place."""
    wants = {
        claim.key: claim.amount if isinstance(claim, Rate) else 1 for claim in claims if isinstance(claim, Slot | Rate)
    }
    for claim in claims:
        if type(claim) is Turn:
            known = book.lines.get(claim.key)
            line = known or Line()
            rank, number = _place(line, call_id, claim.party)
            line.came = max(line.came, number)
            line.waiting[call_id] = (rank, number, claim.party, until, wants)
            line.until = max(line.until or 0.0, until)
            if known is None:
                book.add(claim.key, line)


def leave(book: Book, call_id: str, claims: Sequence[Claim], *, served: bool) -> None:
    """Takes a call out of its lines: it goes, or gives up."""
    for claim in claims:
        line = book.lines.get(claim.key) if type(claim) is Turn else None
        if line is None or type(claim) is not Turn:
            continue
        if served:
            line.served = max(line.served, _place(line, call_id, claim.party)[0])
        elif call_id not in line.waiting:
            continue
        line.waiting.pop(call_id, None)
        if not line.waiting:
            book.lines.pop(claim.key, None)


def next_of(book: Book, claims: Sequence[Claim]) -> list[str]:
    """Whose turn it is in each line of a call, where anybody waits."""
    lines = [book.lines.get(claim.key) for claim in claims if type(claim) is Turn]
    return [min(line.waiting, key=lambda call: _order(line.waiting[call])) for line in lines if line is not None]


def _order(waiter: Waiter) -> tuple[int, int]:
    return waiter[0], waiter[1]


def _place(line: Line, call_id: str, party: str) -> tuple[int, int]:
    """The rank of a call, and its number: where it waits, or would if it came now."""
    known = line.waiting.get(call_id)
    if known is not None:
        return _order(known)
    latest = max((rank for rank, _, whose, *_ in line.waiting.values() if whose == party), default=line.served)
    return max(latest, line.served) + 1, line.came + 1


def _prune(book: Book, now: float, key: str, line: Line) -> None:
    """Forgets those who have not asked again in time: they may be dead."""
    gone = [call for call, waiter in line.waiting.items() if waiter[3] <= now]
    for call in gone:
        del line.waiting[call]
    if not line.waiting:
        book.lines.pop(key, None)
