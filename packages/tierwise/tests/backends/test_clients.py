"""What a framework's model object says of the client beneath it."""

from __future__ import annotations

from types import SimpleNamespace as Made
from typing import Any

import pytest
from tierwise import ModelSpec
from tierwise.attempt import Attempt, Outcome
from tierwise.backends import NativeBackend, fingerprint

KEY = "sk-one-1234567890"
MODEL = ModelSpec("x:m")


class Secret:
    """As pydantic wraps one."""

    def get_secret_value(self) -> str:
        return KEY


class Native(NativeBackend):
    def __init__(self, target: object) -> None:
        self._target = target

    def call(self, attempt: Attempt) -> Outcome:
        raise AssertionError("nobody is called here")

    def is_local(self, model: ModelSpec) -> bool:
        return False

    def target(self, model: ModelSpec) -> object:
        return self._target


@pytest.mark.parametrize(
    "target",
    [
        Made(root_client=Made(api_key=KEY, max_retries=2), client=object(), max_retries=None),
        Made(client=Made(api_key=KEY, max_retries=2)),
        Made(api_key=KEY, max_retries=2),
        Made(openai_api_key=Secret(), max_retries=2),
        Made(anthropic_api_key=Secret(), api_key=None, max_retries=2, client=None),
    ],
    ids=["LangChain", "Pydantic AI", "CrewAI", "a secret", "another vendor's"],
)
def test_the_key_and_the_repetitions_are_the_client_s(target: Any) -> None:
    backend = Native(target)
    assert backend.credential(MODEL) == fingerprint(KEY)
    assert backend.client_retries(MODEL) == 2


@pytest.mark.parametrize("target", [None, object(), Made(api_key="", max_retries=0), Made(api_key=7, max_retries=True)])
def test_what_it_does_not_say_is_not_known(target: Any) -> None:
    backend = Native(target)
    assert (backend.credential(MODEL), backend.client_retries(MODEL)) == (None, 0)
