"""Runs that are made once under a key: what is known of one, and the rules for stores that can run Python."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from tierwise.state.records import Book, Keyed

__all__ = ["KeyState", "Once", "begin_once", "end_once"]

KeyState: TypeAlias = Literal["new", "running", "done", "unknown", "other"]
"""`new`: the run is the caller's to make. `running`: another makes it. `done`: it was made, and its reply is kept.
`unknown`: it began, and nothing is known of its end. `other`: the key is another request's."""


class Once(NamedTuple):
    """What is known of a key."""

    state: KeyState
    run_id: str = ""
    """The run that has the key."""
    left: float = 0.0
    """Seconds that a run under way has left."""
    body: str = ""
    """What was kept of a run that is done."""


_REMEMBERED = 86_400.0
"""Seconds after the end of its lease for which a run is remembered that came to no end."""


def begin_once(book: Book, now: float, key: str, fingerprint: str, run_id: str, *, lease: float, again: bool) -> Once:
    """See `State.begin_once`."""
    kept = book.keyed.get(key)
    if kept is None or kept.until <= now:
        return _begun(book, now, key, fingerprint, run_id, lease)
    if kept.fingerprint != fingerprint:
        return Once("other", kept.run_id)
    if kept.body is not None:
        return Once("done", kept.run_id, body=kept.body)
    if kept.expires > now:
        return Once("new", run_id) if kept.run_id == run_id else Once("running", kept.run_id, kept.expires - now)
    return _begun(book, now, key, fingerprint, run_id, lease) if again else Once("unknown", kept.run_id)


def end_once(book: Book, now: float, key: str, run_id: str, body: str | None, *, keep: float) -> None:
    """See `State.end_once`."""
    kept = book.keyed.get(key)
    if kept is None or kept.run_id != run_id or kept.until <= now:
        return
    if keep <= 0:
        book.keyed.pop(key, None)
    else:
        book.add(key, Keyed(kept.fingerprint, run_id, now, now + keep, body))


def _begun(book: Book, now: float, key: str, fingerprint: str, run_id: str, lease: float) -> Once:
    book.add(key, Keyed(fingerprint, run_id, now + lease, now + lease + _REMEMBERED))
    return Once("new", run_id)
