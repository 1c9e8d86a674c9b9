"""Tests that forbid real calls: connections that leave this machine are refused, by an error that names the address."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, cast

__all__ = ["NetworkForbiddenError", "forbidden"]

_ADDRESSED = ("socket.connect", "socket.sendto")
_NAMED = ("socket.getaddrinfo", "socket.gethostbyname")


class NetworkForbiddenError(RuntimeError):
    """A test tried to reach another machine. No backend takes it for a failure, so nothing falls back on it.

    Attributes:
        address: What was to be reached.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(
            f"a test tried to reach {address}, and real calls are forbidden: use tierwise.testing's ScriptedBackend or "
            "LoopbackProvider"
        )


class _Guard:
    """An audit hook cannot be removed: it is added once, and does nothing while nobody forbids anything."""

    def __init__(self) -> None:
        self._lists: list[list[str]] = []
        self._added = False

    def add(self, blocked: list[str]) -> None:
        self._lists.append(blocked)
        if not self._added:
            self._added = True
            sys.addaudithook(self._hook)

    def remove(self, blocked: list[str]) -> None:
        self._lists = [kept for kept in self._lists if kept is not blocked]

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._lists or not event.startswith("socket."):
            return
        address = _outside(event, args)
        if address is not None:
            self._lists[-1].append(address)
            raise NetworkForbiddenError(address)


_GUARD = _Guard()


@contextmanager
def forbidden() -> Generator[list[str]]:
    """Refuses, within the block, to look up or to reach any machine but this one. Sockets in the file system are free.

    Yields:
        The addresses that were refused so far: a library may have swallowed the error. Of blocks within each other the
        innermost is told.
    """
    blocked: list[str] = []
    _GUARD.add(blocked)
    try:
        yield blocked
    finally:
        _GUARD.remove(blocked)


def _outside(event: str, args: tuple[Any, ...]) -> str | None:
    """The address that the event would reach, if that is not on this machine."""
    if event in _ADDRESSED and len(args) > 1 and isinstance(args[1], tuple):
        address = cast("tuple[Any, ...]", args[1])
        return None if _is_here(address[0]) else ":".join(map(str, address[:2]))
    if event in _NAMED and args and _address(args[0]) is None:  # an address needs no lookup: reaching it is refused
        return None if _is_here(args[0]) else _text(args[0])
    return None


def _is_here(host: Any) -> bool:
    name = _text(host)
    if name in ("", "None", "localhost") or name.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and (address.is_loopback or address.is_unspecified)


def _address(host: Any) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(_text(host).partition("%")[0])
    except ValueError:
        return None


def _text(host: Any) -> str:
    return host.decode(errors="replace") if isinstance(host, bytes) else str(host)
