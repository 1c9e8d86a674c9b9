"""Installed backends and their options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tierwise.backends import Backend, registry
from tierwise.backends.function import FunctionBackend
from tierwise.backends.registry import installed
from tierwise.errors import MissingExtraError, UnknownNameError


class Point:
    """An installed backend."""

    def __init__(self, make: Callable[..., Backend]) -> None:
        self._make = make

    def load(self) -> Callable[..., Backend]:
        return self._make


def strict(*, host: str = "here", timeout: float = 1.0) -> Backend:
    return FunctionBackend(lambda _: f"{host}, {timeout:g} s")


def lenient(*, timeout: float = 1.0, **further: Any) -> Backend:
    return FunctionBackend(lambda _: f"{timeout:g} s, {further}")


@pytest.fixture(autouse=True)
def _two_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"strict": Point(strict), "*": Point(lenient)}
    monkeypatch.setattr(registry, "_installed", lambda: points)


def test_an_option_is_handed_over() -> None:
    assert isinstance(installed("strict", host="there"), Backend)


def test_an_option_that_does_not_exist_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="backend 'strict': unknown option 'hst'; did you mean 'host'"):
        installed("strict", hst="there")


def test_a_backend_that_takes_any_option_is_given_any() -> None:
    assert isinstance(installed("*", timeout=2, user="nightly"), Backend)


def test_a_backend_that_is_not_there_names_its_package() -> None:
    with pytest.raises(MissingExtraError, match='pip install "tierwise-ollama"'):
        installed("ollama")
