"""What a router is given: a slip is told when the router is made, by the setting's name and with the mend."""

from __future__ import annotations

from typing import Any

import pytest
from tierwise import Budget, Cascade, Fleet, ModelLimits, ModelSpec, Price, RateLimit, Retry, Router, Rule, Tier
from tierwise.errors import ConfigError, UnknownNameError
from tierwise.state import MemoryState

FLEET = Fleet([Tier("only", ModelSpec("acme:a", alias="first"))])


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("fleet", ["acme:a"], r"fleet=\['acme:a'\] must be a Fleet: Fleet"),
        ("backends", print, r"must be by provider: backends=\{'ollama': OllamaBackend\(\)\}"),
        ("policy", Rule, "Rule'> is a class, and no policy yet: make one"),
        ("strategy", "cascade", r"strategy='cascade' must be a Strategy: strategy=Cascade\(\)"),
        ("strategy", Cascade, "must be a Strategy"),
        ("ledger", 5, "ledger=5 must be a path, 'ledger.db', or a ledger"),
        ("limits", Budget(usd=1), r"must be several: limits=\[Budget\(usd=5\)\]"),
        ("limits", None, "limits=None must be several"),
        ("limits", [Retry()], r"Retry\(total=3, .*\) is no limit: give a Budget"),
        ("limits", [Budget], "is no limit"),
        ("retry", 3, r"retry=3 must be a Retry: retry=Retry\(total=3\)"),
        ("retry", True, "retry=True must be a Retry"),
        ("state", MemoryState, r"must be MemoryState\(\), SQLiteState\('state.db'\)"),
        ("on_state_loss", "fail-closed", "on_state_loss='fail-closed' must be 'fail_closed' or 'fail_open'"),
        ("on_state_loss", None, "on_state_loss=None must be"),
        ("max_calls", "5", "max_calls='5' must be above zero, and a whole number"),
        ("max_calls", float("nan"), "max_calls=nan must be above zero"),
        ("keep_replies", "1d", "keep_replies='1d' must be above zero, and finite"),
    ],
    ids=str,
)
def test_what_is_none_is_refused_by_name(setting: str, value: Any, message: str) -> None:
    given: dict[str, Any] = {"fleet": FLEET} | {setting: value}
    with pytest.raises(ConfigError, match=message) as caught:
        Router(**given)
    assert caught.value.setting == setting


def test_a_url_in_the_place_of_a_state_is_not_shown() -> None:
    url: Any = "redis://:hunter2@localhost"
    with pytest.raises(ConfigError, match="not of <class 'str'>") as caught:
        Router(FLEET, state=url)
    assert "hunter2" not in f"{caught.value!r} {vars(caught.value)}"


@pytest.mark.parametrize("name", ["first", "acme:a", "acme"])
def test_a_limit_may_name_a_model_by_alias_id_or_provider(name: str) -> None:
    limits = [RateLimit({name: ModelLimits(concurrency=1)}), Budget(usd=1, estimate={name: Price(1, 1)})]
    made = Router(FLEET, limits=limits, backends={"acme": lambda attempt: "fine"})
    assert made.run("q").text == "fine"


@pytest.mark.parametrize(
    "limit",
    [RateLimit({"acme:b": ModelLimits(concurrency=1)}), Budget(usd=1, estimate={"acme:b": Price(1, 1)})],
    ids=["rate", "estimate"],
)
def test_a_limit_that_names_a_model_that_is_not_there_would_limit_nothing(limit: Any) -> None:
    with pytest.raises(UnknownNameError, match=f"{limit.name}: unknown model 'acme:b'; did you mean 'acme:a'"):
        Router(FLEET, limits=[limit])
