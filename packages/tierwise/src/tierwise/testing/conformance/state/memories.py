"""What is remembered of models and sessions, and of runs that are made once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tierwise.ids import new_id
from tierwise.state import (
    Observed,
    Once,
    State,
)
from tierwise.testing.conformance.state.suite import LEASE, StateSuite, Wait, key

__all__ = ["Memories"]


class Memories(StateSuite):
    """What is remembered of models and sessions, and of runs that are made once."""

    def test_latency_and_error_rate_are_moving_averages(self, state: State) -> None:
        """Nothing is known of a model that was never called."""
        model = key()
        assert (state.latency(model), state.error_rate(model)) == (None, None)
        state.settle(new_id(), [], [], Observed(model, 2.0))
        assert (state.latency(model), state.error_rate(model)) == (2.0, 0.0)
        state.observe(Observed(model, failed=True))
        assert state.latency(model) == 2.0
        assert 0 < (state.error_rate(model) or 0) < 1
        state.observe(Observed(model, 1.0))
        assert 1.0 < (state.latency(model) or 0) < 2.0

    def test_an_error_rate_fades_while_nobody_calls(self, state: State, passes: Wait) -> None:
        """So that there is a way back."""
        model, other = key(), key()
        for name in (model, other):
            state.observe(Observed(name, failed=True))
        passes(0.5)
        state.observe(Observed(model, failed=True))
        state.observe(Observed(other, 1.0))
        assert 0.7 < (state.error_rate(model) or 0) < 1
        assert 0.5 < (state.error_rate(other) or 0) < 0.8

    def test_a_session_keeps_its_tier(self, state: State) -> None:
        """And how long it has been idle."""
        name = key()
        assert (state.session_tier(name), state.session_idle(name)) == (None, None)
        state.keep_session(name, "small", 100)
        state.keep_session(name, "large", 200)
        assert state.session_tier(name) == ("large", 200)
        assert 0 <= (state.session_idle(name) or 0.0) < 60

    def test_a_key_is_taken_once_and_what_came_of_the_run_is_given_to_all_who_ask(self, state: State) -> None:
        """Whoever asks while the run is under way is told how long it may take."""
        name = key()
        assert state.begin_once(name, "request", "run 1", lease=LEASE) == Once("new", "run 1")
        assert state.begin_once(name, "request", "run 1", lease=LEASE) == Once("new", "run 1"), "asked again"
        running = state.begin_once(name, "request", "run 2", lease=LEASE)
        assert running[:2] == ("running", "run 1")
        assert 0 < running.left <= LEASE
        state.end_once(name, "run 1", '{"text": "a reply"}', keep=60)
        done = Once("done", "run 1", body='{"text": "a reply"}')
        assert state.begin_once(name, "request", "run 2", lease=LEASE) == done
        assert state.begin_once(name, "request", "run 3", lease=LEASE, again=True) == done

    def test_a_key_is_of_one_request(self, state: State) -> None:
        """Whether its run is under way, done or lost."""
        name = key()
        state.begin_once(name, "request", "run 1", lease=LEASE)
        assert state.begin_once(name, "another", "run 2", lease=LEASE) == Once("other", "run 1")
        for body in (None, "body"):
            state.end_once(name, "run 1", body, keep=60)
            assert state.begin_once(name, "another", "run 2", lease=LEASE, again=True) == Once("other", "run 1")

    def test_a_run_that_is_not_heard_of_any_more_is_unknown(self, state: State, passes: Wait) -> None:
        """It is made again only for who says so; and if it ends after all, its end counts."""
        name, late = key(), key()
        for one in (name, late):
            state.begin_once(one, "request", "run 1", lease=0.05)
        passes(0.1)
        assert state.begin_once(name, "request", "run 2", lease=LEASE) == Once("unknown", "run 1")
        assert state.begin_once(name, "request", "run 3", lease=LEASE, again=True) == Once("new", "run 3")
        state.end_once(name, "run 1", "too late", keep=60)
        assert state.begin_once(name, "request", "run 4", lease=LEASE, again=True)[:2] == ("running", "run 3")
        state.end_once(late, "run 1", "late", keep=60)
        assert state.begin_once(late, "request", "run 2", lease=LEASE) == Once("done", "run 1", body="late")

    def test_a_run_may_say_that_its_outcome_is_unknown_or_give_the_key_back(self, state: State) -> None:
        """It was broken off in the middle; or it was never begun."""
        name = key()
        state.begin_once(name, "request", "run 1", lease=LEASE)
        state.end_once(name, "run 1", None, keep=60)
        assert state.begin_once(name, "request", "run 2", lease=LEASE) == Once("unknown", "run 1")
        assert state.begin_once(name, "request", "run 2", lease=LEASE, again=True) == Once("new", "run 2")
        state.end_once(name, "run 2", None, keep=0)
        assert state.begin_once(name, "another", "run 3", lease=LEASE) == Once("new", "run 3")

    def test_what_is_kept_is_forgotten_in_time(self, state: State, passes: Wait) -> None:
        """The key is free then."""
        name = key()
        state.begin_once(name, "request", "run 1", lease=LEASE)
        state.end_once(name, "run 1", "body", keep=0.05)
        passes(0.1)
        assert state.begin_once(name, "another", "run 2", lease=LEASE) == Once("new", "run 2")

    def test_of_many_threads_one_gets_the_key(self, state: State) -> None:
        """However they interleave, also where it is taken over."""
        name = key()

        def one(number: int) -> bool:
            return state.begin_once(name, "request", f"run {number}", lease=LEASE, again=True).state == "new"

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(one, range(40))) == 1
            state.end_once(name, state.begin_once(name, "request", "run", lease=LEASE).run_id, None, keep=60)
            assert sum(pool.map(one, range(40, 80))) == 1
