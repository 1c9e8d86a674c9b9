"""A budget: spend no more than so much, however many calls run at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from math import inf
from typing import Any, Literal, TypeAlias, cast, get_args

from tierwise.attempt import Outcome, Purpose
from tierwise.errors import BudgetExceededError, ConfigError
from tierwise.fleet.price import Price, Usage
from tierwise.limits.base import LEAST_OUTPUT, Call, Limit
from tierwise.limits.estimate import Estimate, Rates, as_usd, checked, cost, nano, rates
from tierwise.limits.tokens import used
from tierwise.limits.windows import KEEP, Window, window, zone
from tierwise.state import Claim, Denied, Spend, Taken

__all__ = ["Budget", "OnExhausted", "Per", "Unit"]

Per: TypeAlias = Literal["call", "run", "session", "hour", "day", "week", "month", "total"]
"""What has an account of its own."""

Unit: TypeAlias = Literal["usd", "tokens"]

OnExhausted: TypeAlias = "Literal['stop', 'downgrade'] | Callable[[BudgetExceededError], Any]"

HELPERS: frozenset[Purpose] = frozenset({"judge", "classify", "check"})
"""What is not worth ending a run for: a verifier or a policy that is refused its call abstains."""

_MILLION = 1_000_000
_HOUR, _DAY = 3_600.0, 86_400.0
_MOST_KNOWN = 1_000
"""The most prices whose rates are remembered."""

_MEND = ": raise the cap, or go down to tiers that it can pay (on_exhausted='downgrade')"

_KEPT: Mapping[str, float | None] = {"call": _HOUR, "run": 6 * _HOUR, "session": 30 * _DAY, "total": None, **KEEP}
"""Seconds after its last use for which an account is kept. There are as many as there are calls and runs, so those are
kept no longer than a run waits for anything, a person among it."""

_Accounts: TypeAlias = Sequence[tuple[Unit, int, Sequence[str]]]
"""For each unit that a budget counts: its cap, and the keys of the accounts."""


@dataclass(frozen=True, slots=True)
class _Period:
    """A stretch of time in which a budget's accounts are the same."""

    known: float
    """From when it is known to hold; it may have begun before."""
    ends: float
    name: str
    """Empty where there are no windows."""
    accounts: _Accounts
    """Of the calls in it, if they are counted on the same."""


class Budget(Limit):
    """Refuses a call that may cost more than is left.

    Before a call its estimated price is set aside: the prompt (estimated tokens), and the longest answer it may have.
    Where nothing bounds the answer, the budget does: by what it can pay, at most 4,096 tokens. After the call, what it
    took replaces that. A call that failed unbilled, or was never sent, gives everything back; of one that was broken
    off, and whose cost nobody told, the prompt is charged. All calls count: drafts, judges, votes, retries.

    A call that takes more than was estimated is charged in full, and the next is refused.

    Args:
        usd: The cap in USD.
        tokens: The cap in tokens, input and output together.
        per: What has an account of its own: each call, run, session or calendar window; by default there is one in
            all. A task without a session is not counted per session.
        tag: Counts only tasks that have this tag. A tag that ends in a colon stands for all that begin so, each with an
            account of its own: `user:` is for each user.
        timezone: Whose midnight ends a day.
        name: Tells it from others, in errors and in what the state keeps; made of `per` and `tag` if not given.
        on_exhausted: `stop` ends the run with `BudgetExceededError`; `downgrade` goes down to tiers that still fit; a
            function is called with the error and returns a new cap, in the error's unit, or `None` to stop. It may ask
            a person, and be a coroutine function in async runs.
        estimate: The price to count with where a model's is not known: one for all, or by a model's alias, its id, or
            its provider (for each model of it). A call to a model without either is refused.

    Raises:
        ConfigError: A cap is missing or not above zero, or an option is none of those above.
    """

    def __init__(
        self,
        usd: Decimal | float | str | None = None,
        *,
        tokens: int | None = None,
        per: Per = "total",
        tag: str | None = None,
        timezone: str = "UTC",
        name: str | None = None,
        on_exhausted: OnExhausted = "stop",
        estimate: Estimate = None,
    ) -> None:
        self.caps = _caps(usd, tokens)
        if per not in get_args(Per):
            raise ConfigError(f"per={per!r} must be one of {', '.join(get_args(Per))}", setting="per", value=per)
        if not callable(on_exhausted) and on_exhausted not in ("stop", "downgrade"):
            raise ConfigError(
                f"on_exhausted={on_exhausted!r} must be 'stop', 'downgrade' or a function",
                setting="on_exhausted",
                value=on_exhausted,
            )
        self.name = name or (f"{per} budget" + (f" of {tag}" if tag else ""))
        self.ask = on_exhausted if callable(on_exhausted) else None
        self._per: Per = per
        self._window: Window | None = cast("Window", per) if per in get_args(Window) else None
        self._tag = tag
        self._zone = zone(timezone)
        self._downgrades = on_exhausted == "downgrade"
        self._estimate = checked(estimate)
        self._keep = _KEPT[per]
        self._rates: dict[int, Rates] = {}
        """By the price's `id`, which is its own while they keep it."""
        self._shared = tag is None and (per == "total" or self._window is not None)
        """Whether all calls of a period are counted on the same accounts."""
        self._latest = _Period(0.0, 0.0, "", ())
        self._prefix = f"budget:{self.name}:"

    def claims(self, call: Call) -> Sequence[Claim]:
        """See `Limit`."""
        accounts = self._period(call.at).accounts if self._shared else self._accounts(self._scopes(call))
        claims: list[Claim] = []
        for unit, cap, keys in accounts:
            amount, each = self._estimated(call, unit)
            if call.bound is not None:
                amount, each = amount + each * call.bound, 0
            if amount or each:  # what costs nothing goes, whatever is left
                for key in keys:
                    claims.append(Spend(key, cap, amount, each, self._keep))  # noqa: PERF401 - it would close over all five
        return claims

    def taken(self, claim: Claim, outcome: Outcome, call: Call) -> Taken:
        """See `Limit`."""
        if _unit(claim) == "tokens":
            return _tokens(outcome)
        billed = outcome.cost
        if billed is None:  # then at the asked model's price
            billed = cost(call, used(outcome), self._estimate, self.name)
        return nano(billed)

    def refusal(self, claim: Claim, denied: Denied, call: Call) -> BudgetExceededError:
        """See `Limit`."""
        assert isinstance(claim, Spend)  # noqa: S101 - a budget makes no other
        unit = _unit(claim)
        spent, reserved, cap = (_given(unit, n) for n in (denied.spent, denied.reserved, denied.cap))
        wanted = _given(unit, claim.amount + claim.each * LEAST_OUTPUT)
        shown = [_shown(unit, n) for n in (cap, spent, reserved, wanted)]
        final = not self._downgrades and call.attempt.purpose not in HELPERS
        return BudgetExceededError(
            f"{self._account(claim)}: {shown[1]} spent and {shown[2]} set aside, of {shown[0]}; "
            f"a call to {call.attempt.model.key} needs {shown[3]}{_MEND if final else ''}",
            limit=self.name,
            unit=unit,
            allowed=cap,
            spent=spent,
            reserved=reserved,
            value=spent + reserved + wanted,
            retry_after=self._rest(call.at),
            final=final,
        )

    def refs(self) -> Iterable[str]:
        """See `Limit`."""
        return self._estimate if isinstance(self._estimate, Mapping) else ()

    def raised(self, claim: Claim, answer: Any) -> int | None:
        """See `Limit`."""
        if answer is None or answer is False:
            return None
        return _cap(_unit(claim), answer, "on_exhausted")

    def key(self, scope: str, unit: Unit) -> str:
        """The account's key in the state."""
        return f"{self._prefix}{scope}:{unit}"

    def scope(self, at: float, *, run: str = "", session: str | None = None, tag: str | None = None) -> str:
        """The part of the key that tells one account of this budget from another.

        Args:
            at: Seconds since 1970.
            run: The run's id, or the call's for a budget per call.
            session: The session.
            tag: The tag, where the budget counts each by itself.
        """
        own = self._whose(at, run, session)
        return f"{tag}:{own}" if tag is not None and self._tag is not None else own

    def _whose(self, at: float, run: str, session: str | None) -> str:
        if self._window is not None:
            return self._period(at).name
        if self._per == "session":
            return session or ""
        return "" if self._per == "total" else run

    def _period(self, at: float) -> _Period:
        """The one that a moment lies in. That of a budget without windows never ends."""
        latest = self._latest
        if not latest.known <= at < latest.ends:
            name, ends = ("", inf) if self._window is None else window(at, self._window, self._zone)
            latest = self._latest = _Period(at, ends, name, self._accounts((name,)))
        return latest

    def _accounts(self, scopes: Sequence[str]) -> _Accounts:
        if not scopes:
            return ()
        return tuple((unit, cap, [self.key(scope, unit) for scope in scopes]) for unit, cap in self.caps.items())

    def _scopes(self, call: Call) -> Sequence[str]:
        """The scopes that a call is counted in."""
        task = call.attempt.task
        if self._per == "session" and task.session is None:
            return ()
        run = call.call_id if self._per == "call" else call.run_id
        if self._tag is None:
            return (self._whose(call.at, run, task.session),)
        wanted = self._tag
        tags = sorted(t for t in task.tags if t == wanted or (wanted.endswith(":") and t.startswith(wanted)))
        return [self.scope(call.at, run=run, session=task.session, tag=tag) for tag in tags]

    def _estimated(self, call: Call, unit: Unit) -> tuple[int, int]:
        """What the prompt takes, and what each output token does."""
        tokens, model = call.prompt_tokens, call.attempt.model
        if unit == "tokens":
            return tokens, 1
        written = call.caches
        if model.price is not None:
            known = self._rates.get(id(model.price)) or self._own(model.price)
            return known.of(tokens, written=written), known.each
        write = tokens if written else 0  # the catalogue's prices may depend on the prompt's length, so they are asked
        prompt = cost(call, Usage(tokens, 0, cache_write_tokens=write), self._estimate, self.name)
        full = cost(call, Usage(tokens, _MILLION, cache_write_tokens=write), self._estimate, self.name)
        return nano(prompt), nano((full - prompt) / _MILLION)

    def _own(self, price: Price) -> Rates:
        if len(self._rates) >= _MOST_KNOWN:
            self._rates.clear()
        own = self._rates[id(price)] = rates(price)
        return own

    def _rest(self, at: float) -> float | None:
        return None if self._window is None else window(at, self._window, self._zone)[1] - at

    def _account(self, claim: Spend) -> str:
        own = claim.key.removeprefix(self._prefix).removesuffix(f":{_unit(claim)}").strip(":")
        return f"{self.name} ({own})" if own and self._per not in ("call", "run") else self.name


def _unit(claim: Claim) -> Unit:
    return "usd" if claim.key.endswith(":usd") else "tokens"


def _tokens(outcome: Outcome) -> int:
    if outcome.usage is None and outcome.cost == 0:
        return 0  # it was never sent, or refused
    usage = used(outcome)
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)


def _given(unit: Unit, amount: int) -> Decimal | int:
    """An amount in the unit that the user thinks in."""
    return as_usd(amount) if unit == "usd" else amount


def _shown(unit: Unit, amount: Decimal | int) -> str:
    return f"${amount.normalize():f}" if isinstance(amount, Decimal) else f"{amount:,} {unit}"


def _caps(usd: Any, tokens: Any) -> Mapping[Unit, int]:
    given: dict[Unit, Any] = {"usd": usd, "tokens": tokens}
    caps: dict[Unit, int] = {unit: _cap(unit, value, unit) for unit, value in given.items() if value is not None}
    if not caps:
        raise ConfigError("a budget needs a cap: Budget(usd=0.50), or Budget(tokens=100_000)", setting="usd")
    return caps


def _cap(unit: Unit, value: Any, setting: str) -> int:
    """A cap as the state counts it."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number <= 0 or (unit == "tokens" and number % 1):
        kind = "USD" if unit == "usd" else "a whole number of tokens"
        raise ConfigError(f"{setting}={value!r} must be {kind}, above zero", setting=setting, value=value)
    return nano(number) if unit == "usd" else int(number)
