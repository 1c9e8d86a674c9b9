"""Does what is sent to a model stay on this machine? Backends and adapters label trust and price by the answer."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["is_cloud", "is_loopback", "runs_here"]


def is_loopback(url: str) -> bool:
    """True if a server at that address is on this machine. What it does with what it is sent is another question.

    Args:
        url: The server's address, with or without a scheme.
    """
    import ipaddress

    try:
        name = urlsplit(url if "://" in url else f"//{url}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_cloud(model: str) -> bool:
    """True if the name says that Ollama's cloud runs the model, whichever server is asked for it."""
    return model.endswith((":cloud", "-cloud"))


def runs_here(url: str, model: str) -> bool:
    """True if an Ollama server at that address is on this machine, and runs the model itself.

    Ask it of servers that run models. Any other server on this machine may be a gateway that sends content on.

    Args:
        url: The server's address, with or without a scheme.
        model: The model's name at the server.
    """
    return is_loopback(url) and not is_cloud(model)
