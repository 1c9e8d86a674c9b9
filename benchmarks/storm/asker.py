"""A process of the storm: it asks questions, from threads and from an event loop, and says how each of them ended.

Its only argument is JSON: the fields of `Place`, the `numbers` of its questions, how many are `in_flight` at once. Each
line that it writes is JSON too: how one question ended, and how often calls have waited so far.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

from tierwise import Reply, Router
from tierwise.errors import TierwiseError
from weather import END
from wiring import Counted, Place, question

LEFT = "left by its caller"


class Asker:
    """Asks until no question is left. Even numbers are asked in threads, odd ones in tasks; every other is streamed."""

    def __init__(self, router: Router, state: Counted, numbers: Sequence[int]) -> None:
        self._router = router
        self._state = state
        self._even = deque(n for n in numbers if n % 2 == 0)
        self._odd = deque(n for n in numbers if n % 2)
        self._lock = threading.Lock()

    async def ask_all(self, in_flight: int) -> None:
        threads = [threading.Thread(target=self._in_thread) for _ in range(in_flight // 2)]
        for thread in threads:
            thread.start()
        await asyncio.gather(*(self._in_task() for _ in range(in_flight - len(threads))))
        await asyncio.to_thread(lambda: [thread.join() for thread in threads])

    def _in_thread(self) -> None:
        while (number := _next(self._even)) is not None:
            try:
                self._say(number, (self._streamed if number % 4 else self._run)(number))
            except BaseException as error:  # what is none of our own is what the storm looks for
                self._say(number, type(error).__name__, "" if isinstance(error, TierwiseError) else repr(error))

    async def _in_task(self) -> None:
        while (number := _next(self._odd)) is not None:
            try:
                self._say(number, await (self._astreamed if number % 4 == 3 else self._arun)(number))
            except BaseException as error:
                self._say(number, type(error).__name__, "" if isinstance(error, TierwiseError) else repr(error))

    def _run(self, number: int) -> str:
        return _whole(number, self._router.run(question(number)))

    async def _arun(self, number: int) -> str:
        if number % 20 != 5:
            return _whole(number, await self._router.arun(question(number)))
        try:
            return _whole(number, await asyncio.wait_for(self._router.arun(question(number)), 0.05))
        except TimeoutError:
            return LEFT

    def _streamed(self, number: int) -> str:
        shown = ""
        with self._router.stream(question(number)) as stream:
            for chunk in stream:
                shown += chunk.text
                if number % 20 == 6:
                    return LEFT
        return _whole(number, stream.reply, shown)

    async def _astreamed(self, number: int) -> str:
        shown = ""
        async with self._router.astream(question(number)) as stream:
            async for chunk in stream:
                shown += chunk.text
                if number % 20 == 3:
                    return LEFT
        return _whole(number, stream.reply, shown)

    def _say(self, number: int, ended: str, problem: str = "") -> None:
        with self._lock:
            said = {"number": number, "ended": ended, "problem": problem, "waits": self._state.waits}
            print(json.dumps(said), flush=True)


def _next(numbers: deque[int]) -> int | None:
    try:
        return numbers.popleft()
    except IndexError:
        return None


def _whole(number: int, reply: Reply, shown: str | None = None) -> str:
    """How a question ended that was answered: by which tier.

    Raises:
        ValueError: What came is not the whole answer to this question, or not what was shown.
    """
    if f"question {number} " not in reply.text or not reply.text.endswith(END):
        raise ValueError(f"no whole answer: {reply.text!r}")
    if shown is not None and shown != reply.text:
        raise ValueError(f"shown was {shown!r}, and answered {reply.text!r}")
    return f"answered by {reply.tier}"


def main(numbers: Sequence[int], in_flight: int, **where: Any) -> None:
    with Place(**where).opened() as (router, state):
        asyncio.run(Asker(router, state, numbers).ask_all(in_flight))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
