"""Rate limits through the router: how many go at once and in a minute, who waits, and who goes first."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise import FREE, Always, Cascade, Fleet, ModelLimits, ModelSpec, RateLimit, Router, Single, Task, Tier, Usage
from tierwise.attempt import Attempt, Outcome
from tierwise.errors import AllModelsFailedError, ConfigError, RateLimitedError, UnavailableError
from tierwise.fleet.pricing import Pricing
from tierwise.limits import Call
from tierwise.state import Denied, Granted, MemoryState, Rate, Slot, State, Turn
from tierwise.task import Trust
from tierwise.testing import ScriptedBackend

from ..driving import Driver, every_driver, nothing_is_held, sure, until

PROMPT = Task("q" * 399)
"""About 100 tokens."""


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Crowd(ScriptedBackend):
    """Answers once so many were there at once; remembers who came, and how many were there."""

    def __init__(self, together: int = 1) -> None:
        super().__init__({"*": "fine"})
        self.most: Counter[str] = Counter()
        self.sessions: list[str | None] = []
        self.ready = threading.Event()
        """They are let go: the first wait for it."""
        self._together = together
        self._inside: Counter[str] = Counter()
        self._lock = threading.Lock()

    def call(self, attempt: Attempt) -> Outcome:
        self._enter(attempt)
        try:
            assert self.ready.wait(60)
            threading.Event().wait(0.005)  # one too many would be seen
            return super().call(attempt)
        finally:
            self._leave(attempt)

    async def acall(self, attempt: Attempt) -> Outcome:
        self._enter(attempt)
        try:
            await until(self.ready.is_set)
            await asyncio.sleep(0.005)
            return await super().acall(attempt)
        finally:
            self._leave(attempt)

    def _enter(self, attempt: Attempt) -> None:
        name = attempt.model.name
        with self._lock:
            self._inside[name] += 1
            self.most[name] = max(self.most[name], self._inside[name])
            self.sessions.append(attempt.task.session)
            if self._together and self._inside.total() >= self._together:
                self.ready.set()

    def _leave(self, attempt: Attempt) -> None:
        with self._lock:
            self._inside[attempt.model.name] -= 1


def model(name: str, **settings: Any) -> ModelSpec:
    return ModelSpec(f"x:{name}", price=FREE, **settings)


def router(backend: ScriptedBackend, *tiers: Sequence[ModelSpec], **options: Any) -> Router:
    options.setdefault("strategy", Single())
    named = [Tier(f"t{i}", models) for i, models in enumerate(tiers)]
    return Router(Fleet(named), backends={"x": backend}, **options)


def in_threads(made: Router, sessions: Sequence[str | None]) -> None:
    with ThreadPoolExecutor(len(sessions)) as pool:
        for done in [pool.submit(made.run, "q", session=session) for session in sessions]:
            done.result()


def in_tasks(made: Router, sessions: Sequence[str | None]) -> None:
    async def main() -> None:
        await asyncio.gather(*(made.arun("q", session=session) for session in sessions))

    asyncio.run(main())


at_once = pytest.mark.parametrize("run", [in_threads, in_tasks])
Run = Callable[[Router, Sequence[str | None]], None]

# Concurrency.


@at_once
@pytest.mark.parametrize("places", [1, 2])
def test_no_more_calls_than_places_are_under_way(run: Run, places: int) -> None:
    backend = Crowd(together=places)
    made = router(backend, [model("a", concurrency=places)])
    run(made, [None] * 20)
    assert (backend.most, len(backend.asked)) == ({"a": places}, 20)
    assert nothing_is_held(made)


@at_once
def test_calls_spread_over_a_tier_before_any_waits_and_none_goes_up(run: Run) -> None:
    backend = Crowd(together=3)
    made = router(backend, [model("a", concurrency=1), model("b", concurrency=2)], [model("dear")])
    run(made, [None] * 20)
    assert backend.most == {"a": 1, "b": 2}
    assert set(backend.asked) == {"x:a", "x:b"}


def test_a_call_shifts_at_once_and_the_receipt_says_why() -> None:
    state, backend = MemoryState(), ScriptedBackend({"*": "fine"})
    made = router(backend, [model("a", concurrency=1), model("b", concurrency=1)], state=state)
    state.reserve("another", [Slot("rate:rate limit:x:a:concurrency", size=1)], lease=600)
    reply = made.run("q")
    assert [(row.model, row.state, row.error_type) for row in reply.attempts] == [
        ("x:a", "refused", RateLimitedError.__name__),
        ("x:b", "settled", None),
    ]
    assert reply.attempts[1].reason == "fallback: x:a was refused"


@every_driver
def test_who_waits_in_vain_is_refused_and_the_next_tier_answers(drive: Driver) -> None:
    state, backend = MemoryState(), ScriptedBackend({"*": "fine"})
    tiers = [model("a", concurrency=1), model("b", concurrency=1)], [model("dear")]
    made = router(backend, *tiers, state=state, limits=[RateLimit(wait=0.05)])
    for name in ("a", "b"):
        state.reserve(name, [Slot(f"rate:rate limit:x:{name}:concurrency", size=1)], lease=600)
    got = drive(made, Task("q"))
    assert got.answer is not None
    assert [(row.model, row.state) for row in got.rows] == [
        ("x:a", "refused"),
        ("x:b", "refused"),
        ("x:a", "refused"),
        ("x:dear", "settled"),
    ]
    state.settle("a", [Slot("rate:rate limit:x:a:concurrency", size=1)], [None])
    assert drive(made, Task("q")).rows[0].state == "settled"


@every_driver
def test_a_full_model_is_waited_for_where_the_rest_of_its_tier_fails(drive: Driver) -> None:
    state = MemoryState()
    slot = Slot("rate:rate limit:x:a:concurrency", size=1)
    state.reserve("another", [slot], lease=600)

    def fails(_: Attempt) -> str:
        state.settle("another", [slot], [None])
        raise UnavailableError("down", status=503)

    backend = ScriptedBackend({"a": "fine", "b": fails})
    got = drive(router(backend, [model("a", concurrency=1), model("b")], state=state), Task("q"))
    assert got.answer is not None
    assert backend.asked == ["x:b", "x:a"]
    assert got.rows[-1].reason == "waits: no model of the tier has room"


def test_the_error_names_the_setting_and_what_is_ahead() -> None:
    state = MemoryState()
    made = router(ScriptedBackend({"*": "fine"}), [model("a", concurrency=1)], state=state, limits=[RateLimit(wait=0)])
    slot, line = Slot("rate:rate limit:x:a:concurrency", size=1), "rate:rate limit:x:a:line"
    state.reserve("first", [slot], lease=600)
    state.reserve("second", [slot, Turn(line, party="s")], lease=600, wait=600)
    with pytest.raises(AllModelsFailedError) as caught:
        made.run("q")
    error = caught.value.outcomes[0].error
    assert isinstance(error, RateLimitedError)
    assert (error.setting, error.value, error.allowed, error.limit) == ("concurrency", 2, 1, "rate limit")
    assert error.retry_after is not None
    assert "x:a has 1 of 1 calls under way, and 1 wait before this one (concurrency=1)" in str(error)
    assert "calls wait 0 s at most (wait)" in str(error)


# Fairness.


class Lined(MemoryState):
    """Says when so many calls wait in line."""

    def __init__(self, calls: int, full: threading.Event) -> None:
        super().__init__()
        self._calls = calls
        self._full = full
        self._waiting: set[str] = set()

    def pause(self, call_id: str, seconds: float, *, most: float) -> None:
        self._waits(call_id)
        super().pause(call_id, seconds, most=most)

    async def apause(self, call_id: str, seconds: float, *, most: float) -> None:
        self._waits(call_id)
        await super().apause(call_id, seconds, most=most)

    def _waits(self, call_id: str) -> None:
        self._waiting.add(call_id)
        if len(self._waiting) == self._calls:
            self._full.set()


@at_once
def test_one_call_of_a_session_does_not_wait_for_all_of_another(run: Run) -> None:
    backend = Crowd(together=0)
    made = router(backend, [model("a", concurrency=1)], state=Lined(30, backend.ready))
    run(made, [*["many"] * 30, "one"])
    assert backend.sessions.index("one") < 15, "it came when all others were there, and waited for one of them"


parties = st.lists(st.sampled_from("abc"), min_size=1, max_size=12)


@given(parties)
def test_no_party_gets_two_turns_while_another_waits_for_its_own(names: list[str]) -> None:
    state, slot = MemoryState(), Slot("s", size=1)
    state.reserve("holder", [slot], lease=600)
    waiting = {f"{name} {i}": [slot, Turn("line", party=name)] for i, name in enumerate(names)}
    for call_id, claims in waiting.items():
        assert isinstance(state.reserve(call_id, claims, lease=600, wait=600), Denied)
    state.settle("holder", [slot], [None])
    order: list[str] = []
    while waiting:
        (gone,) = [c for c, claims in waiting.items() if _goes(state, c, claims)]
        state.settle(gone, waiting.pop(gone), [None, None])
        order.append(gone)
    for name in set(names):
        own = [call for call in order if call[0] == name]
        assert own == [f"{n} {i}" for i, n in enumerate(names) if n == name], "its own calls go in their order"
    for start in range(len(order)):
        left = Counter(call[0] for call in order[start:])
        turns = [call[0] for call in order[start : start + len(left)]]
        assert max(Counter(turns).values()) <= 2, "whoever waits, gets a turn in each round"


def _goes(state: State, call_id: str, claims: list[Slot | Turn]) -> bool:
    return isinstance(state.reserve(call_id, claims, lease=600, wait=600), Granted)


async def test_who_is_cancelled_while_it_waits_holds_nobody_up() -> None:
    backend = Crowd()
    made = router(backend, [model("a", concurrency=1)])
    waiting = [asyncio.create_task(made.arun("q", session=f"s{i}")) for i in range(6)]
    await asyncio.sleep(0.002)
    for task in waiting[1:5]:
        task.cancel()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in done] == [False, True, True, True, True, False]
    assert nothing_is_held(made)
    assert (await made.arun("q")).text == "fine"


# Rates.


@every_driver
def test_requests_a_minute(drive: Driver) -> None:
    clock = Clock()
    backend = ScriptedBackend({"*": "fine"})
    tiers = [model("a", requests_per_minute=2)], [model("b")]
    made = router(backend, *tiers, state=MemoryState(clock=clock), limits=[RateLimit(wait=0)])
    for _ in range(3):
        drive(made, PROMPT)
    clock.now += 30.1
    drive(made, PROMPT)
    assert backend.asked == ["x:a", "x:a", "x:b", "x:a"]


@every_driver
def test_tokens_a_minute_are_estimated_and_then_corrected(drive: Driver) -> None:
    backend = ScriptedBackend({"*": Outcome(Attempt(PROMPT, model("a")), text="fine", usage=Usage(100, 50))})
    tiers = [model("a", tokens_per_minute=1_000, max_output_tokens=400)], [model("b")]
    made = router(backend, *tiers, state=MemoryState(clock=Clock()), limits=[RateLimit(wait=0)])
    for _ in range(5):
        drive(made, PROMPT)
    # 500 are set aside for each, and 150 taken: the fifth finds 400 of 1,000.
    assert backend.asked == ["x:a"] * 4 + ["x:b"]


@every_driver
def test_a_call_that_fits_into_no_minute_is_refused_and_waits_for_nothing(drive: Driver) -> None:
    got = drive(router(ScriptedBackend({"*": "fine"}), [model("a", tokens_per_minute=50)], [model("b")]), PROMPT)
    assert [row.model for row in got.rows] == ["x:a", "x:b"]
    assert "is sent no call of about 100 tokens (tokens_per_minute=50)" in (got.rows[0].error or "")


@every_driver
def test_a_call_that_was_refused_unbilled_takes_no_tokens(drive: Driver) -> None:
    backend = ScriptedBackend({"*": UnavailableError("down", status=503)})
    state = MemoryState(clock=Clock())
    made = router(backend, [model("a", tokens_per_minute=600)], state=state, limits=[RateLimit(wait=0)])
    for _ in range(5):
        drive(made, PROMPT)
    assert backend.asked == ["x:a"] * 5


@given(
    limit=st.integers(1, 20),
    burst=st.none() | st.integers(1, 20),
    calls=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 5)), min_size=1, max_size=40),
)
def test_no_window_holds_more_than_its_share_and_a_burst(
    limit: int, burst: int | None, calls: list[tuple[float, int]]
) -> None:
    clock, period = Clock(), 10.0
    state = MemoryState(clock=clock)
    went: list[tuple[float, int]] = []
    for i, (pause, amount) in enumerate(calls):
        clock.now += pause
        claim = Rate("r", limit=limit, period=period, amount=amount, burst=burst)
        if isinstance(state.reserve(f"call {i}", [claim], lease=600), Granted):
            went.append((clock.now, amount))
    for first, (begins, _) in enumerate(went):
        total = 0
        for at, amount in went[first:]:
            total += amount
            assert total <= (burst or limit) + limit * (at - begins) / period + 1e-3


# Whose limits.


def test_the_most_specific_figure_holds() -> None:
    limit = RateLimit(
        {
            "quick": ModelLimits(concurrency=1),
            "x:a": ModelLimits(concurrency=2, requests_per_minute=20),
            "x": ModelLimits(concurrency=4, requests_per_minute=40, tokens_per_minute=400),
        },
        local=9,
    )
    own = {"concurrency": 3, "requests_per_minute": 30, "tokens_per_minute": 300}
    assert limit.of(model("a", alias="quick", **own)) == ModelLimits(1, 20, 300)
    assert limit.of(model("a", **own)) == ModelLimits(2, 20, 300)
    assert limit.of(model("b", **own)) == ModelLimits(3, 30, 300)
    assert limit.of(model("b", trust="local")) == ModelLimits(4, 40, 400)
    assert limit.of(ModelSpec("y:b", trust="local")) == ModelLimits(9)
    assert limit.of(ModelSpec("y:b", trust="approved")) == ModelLimits()


@at_once
def test_a_local_model_is_one_at_a_time(run: Run) -> None:
    backend = Crowd()
    run(router(backend, [model("a", trust="local")], limits=[RateLimit()]), [None] * 8)
    assert backend.most == {"a": 1}


@pytest.mark.parametrize(
    ("trust", "other", "models"),
    [
        ("local", "there", ["x:a"]),
        ("local", "here", ["x:a", "x:b"]),
        ("any", "there", ["x:a", "x:b"]),
    ],
)
def test_a_model_of_each_machine_is_limited_by_itself_where_they_share_a_state(
    trust: Trust, other: str, models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, node = MemoryState(), "here"
    monkeypatch.setattr("platform.node", lambda: node)

    def machine(answer: Any) -> Router:
        fleet = [model("a", trust=trust, concurrency=1)], [model("b", trust=trust)]
        return router(ScriptedBackend({"*": answer}), *fleet, limits=[RateLimit(wait=0, local=None)], state=state)

    def asked_meanwhile(attempt: Attempt) -> str:
        nonlocal node
        node = other
        reply = machine("fine").run("q")
        assert [row.model for row in reply.attempts] == models
        return "fine"

    assert machine(asked_meanwhile).run("q").text == "fine"


def test_entries_of_one_model_share_its_limits() -> None:
    backend = ScriptedBackend({"*": "bad"})
    cold, warm = (model("a", alias=alias, requests_per_minute=1) for alias in ("cold", "warm"))
    made = router(backend, [cold], [warm], [model("b")], strategy=Cascade(sure), limits=[RateLimit(wait=0)])
    made.run("q")
    assert [attempt.model.key for attempt in backend.attempts] == ["cold", "x:b"]


def test_each_entry_has_its_own_limits_and_few_are_remembered() -> None:
    limit, pricing = RateLimit(), Pricing(Fleet([Tier("only", model("a"))]))
    for places in range(1, 3_000):
        attempt = Attempt(Task("q"), model("a", concurrency=places))
        claims = limit.claims(Call(attempt, "call", "run", 0.0, pricing, 10, ScriptedBackend({})))
        assert [claim.size for claim in claims if isinstance(claim, Slot)] == [places]
    assert len(limit._known) <= 1_000


def test_what_a_fleet_names_holds_without_being_asked_for() -> None:
    named, plain = [model("a", requests_per_minute=1)], [model("a")]
    assert [type(limit) for limit in router(ScriptedBackend({}), named)._setup.limits] == [RateLimit]
    assert router(ScriptedBackend({}), plain)._setup.limits == ()
    own = RateLimit(name="mine")
    assert router(ScriptedBackend({}), named, limits=[own])._setup.limits == (own,)
    backend = Crowd()
    in_tasks(router(backend, [model("a", trust="local")], [model("b", concurrency=1)], policy=Always("t0")), [None] * 8)
    assert backend.most["a"] > 1, "no model is bounded that names no bound"


WRONG: dict[str, Any] = {
    "text": "30",
    "nan": float("nan"),
    "half": 1.5,
    "models": {"acme:a": 5},
    "limits": ModelLimits(concurrency=1),
}
"""What is of another type than it should be."""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RateLimit(wait=-1), "wait=-1 must be zero or more"),
        (lambda: RateLimit(wait=float("nan")), "wait=nan"),
        (lambda: RateLimit(local=0), "local=0 must be above zero"),
        (lambda: RateLimit(wait=WRONG["text"]), "wait='30' must be zero or more, and finite"),
        (lambda: RateLimit(WRONG["models"]), r"models={'acme:a': 5} must be limits by name"),
        (lambda: RateLimit(WRONG["limits"]), "must be limits by name, e.g. {'ollama': ModelLimits"),
        (lambda: ModelLimits(tokens_per_minute=0), "tokens_per_minute=0 must be above zero"),
        (lambda: ModelLimits(requests_per_minute=WRONG["nan"]), "requests_per_minute=nan must be above zero"),
        (lambda: ModelLimits(concurrency=WRONG["half"]), "concurrency=1.5 must be above zero, and a whole number"),
        (lambda: ModelLimits(concurrency=WRONG["text"]), "concurrency='30' must be above zero"),
        (lambda: ModelLimits(concurrency=True), "concurrency=True must be above zero"),
    ],
)
def test_a_figure_that_makes_no_sense_is_an_error(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
