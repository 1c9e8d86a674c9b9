"""Does what is sent to a model stay on this machine? Backends and adapters label trust and price by the answer."""

from __future__ import annotations

__all__ = ["is_cloud", "is_loopback", "runs_here"]


def is_loopback(url: str) -> bool:
    """True if a server at that address is on this machine. What it does with what it is sent is another question.

    Args:
        url: The server's address, with or without a scheme.
    """
    import ipaddress
    from urllib.parse import urlsplit

    try:
        name = urlsplit(url if "://" in url else f"//{url}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_cloud(model: str) -> bool:
    """True if the name says that Ollama's cloud runs the model, whichever server is asked for it."""
    return model.endswith((":cloud", "-cloud"))


def runs_here(url: str, model: str) -> bool:
    """True if an Ollama server at that address is on this machine, runs the model itself, and no proxy is between.

    Ask it of servers that run models: any other server on this machine may be a gateway that sends content on. And ask
    it where the client heeds the environment's proxies, as most do: `HTTP_PROXY` without `NO_PROXY=localhost,127.0.0.1`
    takes what is meant for this machine elsewhere.

    Args:
        url: The server's address, with or without a scheme.
        model: The model's name at the server.
    """
    return is_loopback(url) and not is_cloud(model) and not _has_proxy(url)


def _has_proxy(url: str) -> bool:
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    if not proxies:
        return False
    parts = urlsplit(url if "://" in url else f"http://{url}")
    return not proxies.keys().isdisjoint((parts.scheme, "all")) and not proxy_bypass(parts.hostname or "")
