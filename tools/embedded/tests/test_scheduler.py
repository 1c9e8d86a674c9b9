import math
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
from tierwise_embedded.engine import Cancellation, Engine, EngineSettings
from tierwise_embedded.errors import ApiError, CancelledError, EngineError
from tierwise_embedded.models import MODELS, EmbeddedModel
from tierwise_embedded.scheduler import Scheduler

SMALLEST, SMALL, MEDIUM = MODELS.values()
SETTINGS = EngineSettings(num_ctx=4096)


class Engines:
    """Counts loads and closes; a load may be held."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.closed: list[str] = []
        self.held = threading.Event()
        self.held.set()
        self.loading = threading.Semaphore(0)
        self.fail = False

    def load(self, model: EmbeddedModel, settings: EngineSettings) -> Engine:
        self.loading.release()
        self.held.wait()
        if self.fail:
            raise EngineError("no memory")
        self.loads.append(f"{model.name}@{settings.num_ctx}")
        engines = self

        class Closable:
            def close(self) -> None:
                engines.closed.append(model.name)

        return cast(Any, Closable())


@pytest.fixture
def engines() -> Engines:
    return Engines()


@pytest.fixture
def scheduler(engines: Engines) -> Iterator[Scheduler]:
    scheduler = Scheduler(engines.load, max_loaded=2, max_queue=1, keep_alive=300)
    yield scheduler
    scheduler.close()


def use(scheduler: Scheduler, model: EmbeddedModel, num_ctx: int = 4096, keep_alive: float | None = None) -> None:
    with scheduler.lease(model, EngineSettings(num_ctx=num_ctx), keep_alive, Cancellation()):
        pass


def names(scheduler: Scheduler) -> list[str]:
    return [entry.model.name for entry in scheduler.loaded()]


def test_a_loaded_model_is_used_again(scheduler: Scheduler, engines: Engines) -> None:
    use(scheduler, SMALLEST)
    use(scheduler, SMALLEST)
    assert engines.loads == ["smollm2:135m@4096"]


def test_another_context_length_reloads(scheduler: Scheduler, engines: Engines) -> None:
    use(scheduler, SMALLEST)
    use(scheduler, SMALLEST, num_ctx=256)
    assert engines.loads == ["smollm2:135m@4096", "smollm2:135m@256"]
    assert engines.closed == ["smollm2:135m"]


def test_the_least_recently_used_model_makes_room(scheduler: Scheduler, engines: Engines) -> None:
    use(scheduler, SMALLEST)
    use(scheduler, SMALL)
    use(scheduler, SMALLEST)
    use(scheduler, MEDIUM)
    assert names(scheduler) == [MEDIUM.name, SMALLEST.name]
    assert engines.closed == [SMALL.name]


def test_a_model_in_use_does_not_make_room(scheduler: Scheduler) -> None:
    with scheduler.lease(SMALLEST, SETTINGS, None, Cancellation()):
        use(scheduler, SMALL)
        use(scheduler, MEDIUM)
        assert set(names(scheduler)) == {SMALLEST.name, MEDIUM.name}


def test_keep_alive_zero_unloads_after_the_request(scheduler: Scheduler) -> None:
    use(scheduler, SMALLEST, keep_alive=0)
    assert names(scheduler) == []


def test_an_idle_model_is_unloaded_when_its_keep_alive_ends(scheduler: Scheduler, engines: Engines) -> None:
    use(scheduler, SMALL, keep_alive=math.inf)
    use(scheduler, SMALLEST, keep_alive=0.01)
    with scheduler._changed:
        assert scheduler._changed.wait_for(lambda: engines.closed == [SMALLEST.name], 30)
    assert names(scheduler) == [SMALL.name]


def test_unload_waits_for_the_running_request(scheduler: Scheduler) -> None:
    with scheduler.lease(SMALLEST, SETTINGS, None, Cancellation()):
        scheduler.unload(SMALLEST)
        assert names(scheduler) == [SMALLEST.name]
    assert names(scheduler) == []


def test_a_model_serves_one_request_at_a_time_in_order(scheduler: Scheduler) -> None:
    served: list[int] = []

    def request(number: int) -> None:
        with scheduler.lease(SMALLEST, SETTINGS, None, Cancellation()):
            served.append(number)

    threads: list[threading.Thread] = []
    with scheduler.lease(SMALLEST, SETTINGS, None, Cancellation()):
        for number in range(5):
            thread = threading.Thread(target=request, args=(number,))
            thread.start()
            threads.append(thread)
            with scheduler._changed:
                assert scheduler._changed.wait_for(lambda n=number: len(scheduler._queues[SMALLEST.name]) == n + 1, 30)
        assert served == []
    for thread in threads:
        thread.join()
    assert served == [0, 1, 2, 3, 4]


def test_a_full_load_queue_is_busy_only_for_requests_that_need_a_load(scheduler: Scheduler, engines: Engines) -> None:
    use(scheduler, SMALLEST)
    with (
        scheduler.lease(SMALLEST, SETTINGS, None, Cancellation()),
        scheduler.lease(SMALL, SETTINGS, None, Cancellation()),
    ):
        gone = Cancellation()
        waiting = threading.Thread(target=_wait_in_vain, args=(scheduler, gone))
        waiting.start()
        with scheduler._changed:
            assert scheduler._changed.wait_for(lambda: scheduler._pending_loads == 1, 30)
        with pytest.raises(ApiError, match="server busy, please try again") as refused:
            use(scheduler, MEDIUM)
        assert refused.value.status == 503
        gone.cancel()
        waiting.join()
    use(scheduler, SMALLEST)


def _wait_in_vain(scheduler: Scheduler, cancellation: Cancellation) -> None:
    with pytest.raises(CancelledError), scheduler.lease(MEDIUM, SETTINGS, None, cancellation):
        raise AssertionError("there is no room")


def test_a_failed_load_leaves_the_model_unloaded_and_its_queue_open(scheduler: Scheduler, engines: Engines) -> None:
    engines.fail = True
    with pytest.raises(EngineError):
        use(scheduler, SMALLEST)
    engines.fail = False
    use(scheduler, SMALLEST)
    assert names(scheduler) == [SMALLEST.name]


def test_models_load_at_the_same_time_within_the_bound(scheduler: Scheduler, engines: Engines) -> None:
    engines.held.clear()
    threads = [threading.Thread(target=use, args=(scheduler, model)) for model in (SMALLEST, SMALL)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert engines.loading.acquire(timeout=30)
    engines.held.set()
    for thread in threads:
        thread.join()
    assert set(names(scheduler)) == {SMALLEST.name, SMALL.name}


def test_closing_ends_the_waiting_and_unloads(engines: Engines) -> None:
    scheduler = Scheduler(engines.load)
    use(scheduler, SMALLEST)
    scheduler.close()
    assert engines.closed == [SMALLEST.name]
    with pytest.raises(CancelledError):
        use(scheduler, SMALLEST)
