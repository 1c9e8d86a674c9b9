"""Claims and answers as they go to a server's script, and come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from tierwise.errors import ConfigError
from tierwise.state.claims import Balance, Circuit, Claim, Denied, Granted, Rate, Signal, Slot, Spend, Taken, Turn
from tierwise.state.once import KeyState, Once
from tierwise.state.shared import Averages, Session, storable

__all__ = ["averages", "balance", "kept_once", "kept_session", "outcome", "reservation", "settlement"]

_LARGEST = 2**53
"""The largest whole number that a script reckons with exactly."""


def reservation(
    call_id: str, claims: Sequence[Claim], lease: float, least: int, most: int, wait: float
) -> dict[str, Any]:
    """The arguments of `reserve`.

    Raises:
        ConfigError: A call would take more of an account than a script can reckon with.
    """
    for claim in claims:
        most_of_it = claim.amount + claim.each * most if isinstance(claim, Spend) else 0
        if most_of_it > _LARGEST:
            raise ConfigError(
                f"{claim.key}: a call would set aside {most_of_it}, and a state on a server takes no more than "
                f"{_LARGEST} for one: give the model a smaller price, or the call a smaller output cap",
                setting=claim.key,
                value=most_of_it,
            )
    told = [_claim(claim) for claim in claims]
    amounts = {"lease": lease, "least": least, "most": most, "wait": wait}
    return {"call": storable(call_id), "claims": told} | amounts


def settlement(call_id: str, claims: Sequence[Claim], taken: Sequence[Taken]) -> dict[str, Any]:
    """The arguments of `settle`."""
    told = [_claim(claim) | _taken(claim, took) for claim, took in zip(claims, taken, strict=True)]
    return {"call": storable(call_id), "claims": told}


def _claim(claim: Claim) -> dict[str, Any]:
    key = storable(claim.key)
    match claim:
        case Spend():
            told = {"kind": "spend", "key": key, "cap": str(claim.cap), "amount": claim.amount, "each": claim.each}
            return told if claim.keep is None else told | {"keep": claim.keep}
        case Slot():
            return {"kind": "slot", "key": key, "size": claim.size}
        case Rate():
            burst = claim.limit if claim.burst is None else claim.burst
            figures = {"limit": claim.limit, "period": claim.period, "amount": claim.amount, "burst": burst}
            return {"kind": "rate", "key": key} | figures
        case Circuit():
            figures = {"failures": claim.failures, "cooldown": claim.cooldown, "longest": claim.longest}
            told = {"kind": "circuit", "key": key} | figures
            return told if claim.probe is None else told | {"probe": claim.probe}
        case Turn():
            return {"kind": "turn", "key": key, "party": storable(claim.party)}


def _taken(claim: Claim, took: Taken) -> dict[str, Any]:
    if isinstance(took, Signal):
        told: dict[str, Any] = {"health": took.health}
        return told if took.retry_after is None else told | {"retry_after": took.retry_after}
    if took is None:
        return {}
    return {"taken": str(took) if isinstance(claim, Spend) else took}


def outcome(reply: Any) -> Granted | Denied:
    """The answer to `reserve`."""
    if int(reply[0]):
        return Granted(int(reply[1]), probe=bool(int(reply[2])))
    _, index, wait, spent, reserved, cap, ahead = reply
    return Denied(
        int(index),
        retry_after=float(wait) if wait else None,
        spent=int(spent),
        reserved=int(reserved),
        cap=int(cap),
        ahead=int(ahead),
    )


def balance(reply: Any) -> Balance:
    """The answer to `balance`."""
    spent, reserved, cap = reply
    return Balance(int(spent), int(reserved), None if cap is None else int(cap))


def averages(reply: Any) -> Averages:
    """The answer to whatever tells how a model has done."""
    latency, error_rate = reply
    return Averages(None if latency is None else float(latency), None if error_rate is None else float(error_rate))


def kept_once(reply: Any) -> Once:
    """The answer to `begin_once`."""
    state, run_id, left, body = (_text(value) for value in reply)
    return Once(cast("KeyState", state), run_id, float(left), body)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value


def kept_session(reply: Any) -> Session | None:
    """The answer to `session`."""
    if not reply:
        return None
    tier, tokens, idle = reply
    return Session(_text(tier), int(tokens), float(idle))
