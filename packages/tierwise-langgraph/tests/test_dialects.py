"""Settings of one call, as each provider's class takes them."""

from collections.abc import Callable
from typing import Any

import pytest
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise_langgraph import RoutedChatModel

Make = Callable[..., RoutedChatModel]

EPHEMERAL = {"type": "ephemeral"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.fixture
def both(provider: LoopbackProvider) -> LoopbackProvider:
    """The small tier fails, so that each call asks both."""
    provider.on("small", Reply(status=500))
    provider.on("large", Reply(text="Large."))
    return provider


def test_settings_reach_both_under_their_own_names(both: LoopbackProvider, routed: Make) -> None:
    routed().bind(temperature=0.25, max_tokens=33, seed=7).invoke("Why?")
    small, large = both.calls
    assert {"temperature": 0.25, "num_predict": 33, "seed": 7}.items() <= small.options.items()
    assert {"temperature": 0.25, "max_completion_tokens": 33, "seed": 7}.items() <= large.body.items()


def test_what_one_has_no_word_for_reaches_the_other(both: LoopbackProvider, routed: Make) -> None:
    answer = routed().bind_tools([TOOL], parallel_tool_calls=False, prompt_cache_key="key").invoke("Why?")
    assert answer.text == "Large."
    small, large = both.calls
    assert small.tools == large.tools == [TOOL]
    assert {"parallel_tool_calls": False, "prompt_cache_key": "key"}.items() <= large.body.items()


def test_markers_for_a_cache_reach_none_that_cannot_read_them(both: LoopbackProvider, routed: Make) -> None:
    model: Any = routed().bind_tools([TOOL | {"cache_control": EPHEMERAL}], cache_control=EPHEMERAL)
    model.invoke("Why?")
    assert all("cache_control" not in str(call.body) for call in both.calls)
