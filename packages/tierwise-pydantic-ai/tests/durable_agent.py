"""A durable agent in a process of its own, which may be killed in the middle of its run. `test_durable` starts it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

from dbos import DBOS, SetWorkflowID, WorkflowHandle
from pydantic_ai import Agent
from pydantic_ai.durable_exec.dbos import DBOSDurability
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from tierwise import Cascade, ModelSpec, Outcome, Price, Router
from tierwise.policies import AfterError
from tierwise_pydantic_ai import RoutedModel, receipt_of

FOLDER, URL, PHASE = sys.argv[1:]


def short(outcome: Outcome) -> bool:
    return bool(outcome.tool_calls) or len(outcome.text) < 40


router = Router.simple(
    small="ollama:small",
    large=ModelSpec("openai:large", price=Price(2, 8)),
    policy=AfterError(),
    strategy=Cascade(short),
    ledger=f"{FOLDER}/ledger.db",
)
models = {
    "small": OllamaModel("small", provider=OllamaProvider(base_url=URL)),
    "large": OpenAIChatModel("large", provider=OpenAIProvider(URL, api_key="key")),
}
agent = Agent(RoutedModel(router, models=models), name="weather", capabilities=[DBOSDurability()])


@agent.tool_plain
def weather(city: str) -> str:
    """Ends the first process: nothing of it is left but what was written down."""
    if PHASE == "first":
        os.kill(os.getpid(), signal.SIGKILL)
    return f"Rain in {city}"


@DBOS.workflow()
async def job(prompt: str) -> str:
    """The run, and its bill."""
    result = await agent.run(prompt)
    rows = receipt_of(router, result).rows
    return json.dumps({"output": result.output, "calls": [(row.model, row.purpose) for row in rows]})


if __name__ == "__main__":
    DBOS(config={"name": "durable-agent", "system_database_url": f"sqlite:///{FOLDER}/dbos.sqlite"})
    DBOS.launch()
    if PHASE == "resumed":
        resumed: WorkflowHandle[str] = DBOS.retrieve_workflow("one")  # DBOS has taken the killed run up again
        print(resumed.get_result())
    else:
        with SetWorkflowID("one"):
            print(asyncio.run(job("The weather in Oslo?")))
    DBOS.destroy()
