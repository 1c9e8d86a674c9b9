"""Which server is meant."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from tierwise.errors import ConfigError

__all__ = ["base_url"]

_PORTS = {"http": 80, "https": 443}
_OLLAMA_PORT = 11434
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - an address to call, not one to bind


def base_url(host: str | None = None) -> str:
    """The server's root URL, read as Ollama's own clients read a host.

    Args:
        host: A URL, a host name or an address, each with or without a port; `OLLAMA_HOST`, else this machine's
            usual address, if not given. `0.0.0.0`, which a server binds to, is called as `127.0.0.1`.

    Raises:
        ConfigError: It is no host.
    """
    given = (host or os.environ.get("OLLAMA_HOST") or "").strip()
    shown = f"***@{given.rpartition('@')[2]}" if "@" in given else given
    scheme, mark, rest = given.partition("://")
    scheme, rest = (scheme.lower(), rest) if mark else ("http", given)
    try:
        parts = urlsplit(f"//{rest}")
        name, port = parts.hostname or "127.0.0.1", parts.port
    except ValueError as error:
        raise ConfigError(f"host={shown!r} is no host: {error}", setting="host", value=shown) from None
    if scheme not in _PORTS or parts.username is not None:
        raise ConfigError(
            f"host={shown!r} must be http://NAME:PORT or https://NAME:PORT, without a user", setting="host", value=shown
        )
    name = _ANY_ADDRESS.get(name, name)
    port = port or (_PORTS[scheme] if mark else _OLLAMA_PORT)
    path = parts.path.strip("/")
    named = f"[{name}]" if ":" in name else name
    return f"{scheme}://{named}:{port}" + (f"/{path}" if path else "")
