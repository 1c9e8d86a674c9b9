"""A credential goes to its provider, and nowhere else."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Any

import pytest
from tierwise import Cascade, Fleet, ModelSpec, Price, Single, Tier
from tierwise.attempt import Attempt
from tierwise.backends import FunctionBackend
from tierwise.errors import ConfigError
from tierwise.ledger import SQLiteLedger
from tierwise.testing.provider import Reply
from tierwise_ollama import OllamaBackend

from .scene import CANARY, Scene, Way

HELLO = Reply(text="Hello there.")
TELLING = f"Incorrect API key provided: {CANARY}. See https://user:{CANARY}@host/?key={CANARY}"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=401, error=TELLING),
        Reply(status=403, error=TELLING),
        Reply(status=400, error=TELLING),
        Reply(status=500, error=TELLING),
        Reply(text="One two three", error_after=0, error=TELLING),
    ],
    ids=["401", "403", "400", "500", "in the stream"],
)
def test_fault_41_a_provider_that_tells_a_key_is_not_repeated(scene: Scene, way: Way, reply: Reply) -> None:
    """What is searched for the key after each test of this suite: the log, the ledger's file, receipts, errors."""
    scene.provider.on("small", reply)
    scene.provider.on("large", HELLO)
    scene.use(SQLiteLedger(scene.path, content=True))
    got = scene.ask(scene.router(strategy=Single()), way=way)
    assert "Incorrect API key provided: ***" in (got.rows[0].error or "")


def test_fault_41_nor_is_one_that_tells_it_in_the_end(scene: Scene, way: Way) -> None:
    scene.provider.on("small", Reply(status=401, error=TELLING))
    got = scene.ask(scene.router("small", strategy=Single()), way=way)
    assert "Incorrect API key provided: ***" in str(got.error)


@pytest.mark.parametrize("error", [OSError(TELLING), TimeoutError(TELLING), ConnectionError(TELLING)], ids=repr)
def test_fault_41_an_error_of_a_users_own_backend_is_kept_without_it(scene: Scene, error: Exception, way: Way) -> None:
    def failing(attempt: Attempt) -> str:
        raise error

    scene.provider.on("large", HELLO)
    fleet = Fleet([Tier("small", "mine:x"), Tier("large", ModelSpec("ollama:large", price=Price(1, 1)))])
    backends = {"mine": FunctionBackend(failing), "ollama": scene.backend()}
    got = scene.ask(scene.router(fleet=fleet, strategy=Single(), backends=backends), way=way)
    scene.unreached = 1
    assert "***" in (got.rows[0].error or "")


@pytest.mark.parametrize("host", [f"http://user:{CANARY}@127.0.0.1:1", f"user:{CANARY}@host", f"{CANARY}@host:x"])
def test_fault_41_a_password_in_an_address_is_refused_without_being_shown(host: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OllamaBackend(host)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(caught.value.value)
    assert CANARY not in shown
    assert "***@" in shown


def test_fault_41_a_models_options_are_not_shown(scene: Scene) -> None:
    spec = ModelSpec(
        "ollama:small", options={"api_key": CANARY, "headers": {"Authorization": CANARY}}, price=Price(1, 1)
    )
    fleet = Fleet([Tier("small", spec)])
    router = scene.router(fleet=fleet)
    scene.said = [repr(spec), repr(fleet), repr(router), str(router.decide("q")), repr(scene.backend())]


def test_fault_41_a_key_with_a_line_break_injects_no_header(
    scene: Scene, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", f"{CANARY}\r\nX-Injected: yes")
    scene.provider.on("small", HELLO)
    got = scene.ask(scene.router("small", strategy=Single()), way=way)
    assert "is a line break in OLLAMA_API_KEY?" in str(got.error)
    assert scene.provider.count() == 0
    scene.unreached = 1
    assert all("x-injected" not in call.headers for call in scene.provider.probes)


def test_fault_41_the_whole_log_is_searched_and_not_ours_alone(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.provider.on("small", Reply(status=500, error=TELLING))
    scene.provider.on("large", HELLO)
    with caplog.at_level(logging.DEBUG):
        scene.ask(scene.router(strategy=Cascade()))
    ours = [record for record in caplog.records if record.name.startswith("tierwise")]
    assert all(CANARY not in record.getMessage() for record in ours)


def test_fault_41_a_key_that_was_put_into_the_settings_file_is_in_no_error(tmp_path: Path) -> None:
    from tierwise.config import load

    path = tmp_path / "tierwise.toml"
    tiers = '[tiers]\nsmall = "ollama:small"\n'
    wrong: list[str] = [
        f'[backends.ollama]\napi_key = "{CANARY}"',
        f'[backends.ollama]\nhost = "http://u:{CANARY}@h"',
        f'[tiers.large]\nmodels = [{{ id = "ollama:x", options = {{ api_key = "{CANARY}" }}, widnow = 1 }}]',
        f'[tiers.large]\nmodels = [{{ id = "ollama:x", api_key = "{CANARY}" }}]',
        f'api_key = "{CANARY}"',
        f'[ledger]\npath = "x.db"\nkey = "{CANARY}"',
        f'[ledger]\npath = ["{CANARY}"]',
        f'[backends.ollama]\nkeep_alive = ["{CANARY}"]',
    ]
    told: dict[str, str] = {}
    for text in wrong:
        path.write_text(tiers + text if not text.startswith("api_key") else text + "\n" + tiers)
        with pytest.raises(ConfigError) as caught:
            load(path).router()
        error: Any = caught.value
        told[text] = "".join(traceback.format_exception(error)) + repr(error)
    assert [text for text, shown in told.items() if CANARY in shown] == []
