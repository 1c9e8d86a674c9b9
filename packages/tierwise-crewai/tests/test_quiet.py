"""What an LLM says of a draft or a judge reaches nobody: no listener, no callback."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from crewai import LLM, BaseLLM
from tierwise import Cascade, Outcome, Router
from tierwise_crewai import RoutedLLM
from tierwise_crewai.quiet import Quiet


def voices(llm: type[BaseLLM]) -> set[str]:
    return {name for name in dir(llm) if name.startswith(("_emit_", "_handle_emit_"))}


@pytest.mark.parametrize("llm", [BaseLLM, LLM])
def test_every_way_in_which_an_llm_tells_of_a_call_is_replaced(llm: type[BaseLLM]) -> None:
    """A release of CrewAI with one more way, or with other names, would show drafts: it is noticed here."""
    assert len(voices(llm)) >= 6
    assert voices(llm) <= vars(Quiet(Calling(model="own"), {}, None).llm).keys()


class Calling(BaseLLM):
    """It hands each answer to the callbacks that came with the call, as the LLM does that goes through LiteLLM."""

    says: str = ""

    def call(self, messages: Any, tools: Any = None, callbacks: Any = None, *args: Any, **kwargs: Any) -> str:
        for callback in callbacks or ():
            callback(self.says)
        return self.says


def good(outcome: Outcome) -> bool:
    return outcome.text == "answer"


async def test_no_callback_is_told_of_a_draft() -> None:
    told: list[str] = []
    router = Router.simple(small="own:small", large="own:large", strategy=Cascade(good))
    models: dict[str, BaseLLM] = {
        "small": Calling(model="small", says="draft"),
        "large": Calling(model="large", says="answer"),
    }
    llm = RoutedLLM(router, models=models)
    assert llm.call("Why?", callbacks=[told.append]) == "answer"
    assert await llm.acall("Why?", callbacks=[told.append]) == "answer"
    assert "draft" not in told


def test_a_copy_is_gone_with_its_call_and_waits_for_no_garbage_collector() -> None:
    gc.disable()
    try:
        quiet = Quiet(Calling(model="own"), {}, None)
        copy = weakref.ref(quiet.llm)
        del quiet
        assert copy() is None
    finally:
        gc.enable()
