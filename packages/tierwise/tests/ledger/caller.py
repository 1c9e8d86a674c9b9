"""A program that calls a provider over HTTP as fast as it can, from threads and from an event loop, with a ledger.

Arguments: the ledger's path, the provider's address, how many calls each thread makes.
"""

import asyncio
import json
import sys
import threading
from http.client import HTTPConnection

from tierwise import FREE, Attempt, Fleet, ModelSpec, Outcome, Router, Tier, Usage
from tierwise.ledger import SQLiteLedger


def post(attempt: Attempt) -> Outcome:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": False}
    connection = HTTPConnection(sys.argv[2], timeout=30)
    try:
        connection.request("POST", "/api/chat", json.dumps(body), {"X-Call-Id": attempt.call_id})
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    usage = Usage(answer["prompt_eval_count"], answer["eval_count"])
    return Outcome(attempt, text=answer["message"]["content"], usage=usage)


def main(path: str, count: int) -> None:
    with SQLiteLedger(path, on_error="raise") as ledger:
        router = Router(Fleet([Tier("only", [ModelSpec("a:m", price=FREE)])]), backends={"a": post}, ledger=ledger)

        def one_by_one() -> None:
            for _ in range(count):
                router.run("hi")

        async def side_by_side() -> None:
            for _ in range(count):
                await asyncio.gather(router.arun("hi"), router.arun("hi"))

        threads = [threading.Thread(target=one_by_one) for _ in range(2)]
        for thread in threads:
            thread.start()
        asyncio.run(side_by_side())
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[3]))
