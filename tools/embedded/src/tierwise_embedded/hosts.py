"""Guards against DNS rebinding: a page in a browser may reach this server only under a name of this machine."""

import ipaddress
import socket
from urllib.parse import urlsplit

__all__ = ["is_local_host"]

_SUFFIXES = (".localhost", ".local", ".internal")


def is_local_host(header: str | None) -> bool:
    """Tell whether a Host header names this machine, by Ollama's rules."""
    if not header:
        return True
    try:
        host = (urlsplit(f"//{header}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if host in ("", "localhost", socket.gethostname().lower()) or host.endswith(_SUFFIXES):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_private or address.is_unspecified
