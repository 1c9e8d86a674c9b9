"""Credentials are cut out of messages, wherever they stand and however they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise.backends.secrets import without_secrets


@given(st.text("abcdefgh ", max_size=60), st.text("0123456789", min_size=8, max_size=30))
def test_a_secret_is_cut_out_wherever_it_stands(words: str, secret: str) -> None:
    shown = without_secrets(f"{words}{secret}{words}{secret}", {"extra_headers": {"x-api-key": secret}})
    assert shown == f"{words}***{words}***"


@pytest.mark.parametrize(
    "text",
    ["https://host/v1?key=abcdef", "Authorization: Bearer abcdef", "key sk-abcdef012345 is wrong"],
)
def test_what_looks_like_a_secret_is_cut_out(text: str) -> None:
    assert "abcdef" not in without_secrets(text, {})


@pytest.mark.parametrize("secret", ["canary\r\nX-Other: 1", "canary with spaces/and?signs"])
def test_a_secret_is_cut_out_however_it_is_written(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from urllib.parse import quote

    monkeypatch.setenv("SOME_API_KEY", secret)
    shown = without_secrets(f"{secret} {secret!r} {secret.encode()!r} {quote(secret, safe='')}")
    assert "canary" not in shown


def test_short_values_and_other_variables_are_ordinary_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "none")
    monkeypatch.setenv("SOME_MODEL", "llama3.2:3b")
    assert without_secrets("none of llama3.2:3b") == "none of llama3.2:3b"
