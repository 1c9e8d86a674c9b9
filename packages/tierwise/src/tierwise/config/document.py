"""A TOML file whose errors name their line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from tierwise.backends.secrets import without_secrets
from tierwise.errors import ConfigError, ConfigFileError

__all__ = ["Document", "Table"]

T = TypeVar("T")

Key = str | int
"""A table's key, or a place in a list."""

_NAMES: dict[type, str] = {
    str: "a text in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
}


class Document:
    """A parsed file, and where in it each setting stands.

    Args:
        path: The file.

    Raises:
        ConfigFileError: There is no such file, or it is no TOML.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigFileError(f"{path}: {getattr(error, 'strerror', None) or error}", path=path) from error
        try:
            self._values = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            place = re.search(r"line (\d+)", str(error))
            line = int(place[1]) if place else self._text.count("\n") + 1
            raise ConfigFileError(f"{path}, line {line}: {error}", path=path, line=line) from error

    @property
    def root(self) -> Table:
        """The whole file as a table."""
        return Table(self, (), self._values)

    def error(self, place: Sequence[Key], message: str, value: Any = None) -> ConfigFileError:
        """An error that names file, line and setting."""
        line = self.line(place)
        name = dotted(place)
        return ConfigFileError(
            f"{self.path}, line {line}: {name + ': ' if name else ''}{without_secrets(message)}",
            setting=name,
            value=value,
            path=self.path,
            line=line,
        )

    def line(self, place: Sequence[Key]) -> int:
        """The line on which a setting stands, from 1.

        The standard library's parser gives no positions, but it knows what a line means: the setting stands on the
        first line whose change changes it.
        """
        for length in range(len(place), 0, -1):
            line = self._find(place[:length])
            if line is not None:
                return line
        return 1

    def _find(self, place: Sequence[Key]) -> int | None:
        value = _at(self._values, place)
        if isinstance(place[-1], int) and isinstance(value, dict):
            # A table in a list is known by what is in it: its header is the same as its neighbours'.
            place = (*place, *list(cast("dict[str, Any]", value))[:1])
            value = _at(self._values, place)
        written = str(cast("object", value)) if isinstance(place[-1], int) else place[-1]
        word = re.compile(rf"(?<![\w-]){re.escape(written)}(?![\w-])")
        lines = self._text.split("\n")
        for i, line in enumerate(lines):
            for match in word.finditer(line):
                changed = f"{line[: match.end()]}_changed_{line[match.end() :]}"
                if self._changes(place, [*lines[:i], changed, *lines[i + 1 :]]):
                    return i + 1
        return None

    def _changes(self, place: Sequence[Key], lines: list[str]) -> bool:
        """True if these lines differ in the setting, and in nothing else that stands beside it."""
        try:
            changed = _beside(tomllib.loads("\n".join(lines)), place)
        except tomllib.TOMLDecodeError:
            return False
        before, last = _beside(self._values, place), place[-1]
        same = all(changed.get(key) == value for key, value in before.items() if key != last)
        return bool(changed) and same and changed.get(last) != before.get(last)


class Table:
    """One table of a file: reads settings by type, and says where a wrong one stands."""

    def __init__(self, document: Document, place: tuple[Key, ...], values: dict[str, Any]) -> None:
        self._document = document
        self._place = place
        self._values = values

    def __contains__(self, key: str) -> bool:
        return key in self._values

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys, in the order in which they stand."""
        return tuple(self._values)

    def only(self, known: Iterable[str]) -> None:
        """Refuses every key that is not known.

        Raises:
            ConfigFileError: There is one; the message names the nearest that is known.
        """
        known = tuple(known)
        for key in self._values:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
                raise self.error(f"unknown key {key!r}; {hint}", key)

    def get(self, key: str, kind: type[T]) -> T | None:
        """The setting, if it is there; a whole number passes as a float.

        Raises:
            ConfigFileError: It is of another type.
        """
        value = self._values.get(key)
        if value is None:
            return None
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return cast("T", float(value))
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise self.error(f"must be {_NAMES[kind]}, not {value!r}", key)
        return value

    def need(self, key: str, kind: type[T]) -> T:
        """The setting, which must be there.

        Raises:
            ConfigFileError: It is missing, or of another type.
        """
        value = self.get(key, kind)
        if value is None:
            raise self.error(f"needs {key!r}: {_NAMES[kind]}")
        return value

    def one_of(self, key: str, allowed: Iterable[str]) -> str | None:
        """The setting, which may only have one of some values.

        Raises:
            ConfigFileError: It has another.
        """
        value = self.get(key, str)
        if value is not None:
            allowed = tuple(allowed)
            if value not in allowed:
                near = difflib.get_close_matches(value, allowed, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise self.error(f"{value!r} must be one of {', '.join(allowed)}{hint}", key)
        return value

    def texts(self, key: str) -> tuple[str, ...] | None:
        """A setting that is one text or a list of texts.

        Raises:
            ConfigFileError: It is something else.
        """
        value = self._values.get(key)
        if value is None:
            return None
        listed = cast("list[Any]", value if isinstance(value, list) else [value])
        if not all(isinstance(item, str) for item in listed):
            raise self.error(f"must be a text in quotes, or a list of them, not {value!r}", key)
        return tuple(listed)

    def table(self, key: str) -> Table | None:
        """The table under a key, if it is there.

        Raises:
            ConfigFileError: It is no table.
        """
        value = cast("dict[str, Any] | None", self.get(key, dict))
        return None if value is None else Table(self._document, (*self._place, key), value)

    def tables(self, key: str) -> list[Table]:
        """The list of tables under a key; empty if it is not there.

        Raises:
            ConfigFileError: It is no list of tables.
        """
        found: list[Table] = []
        for i, value in enumerate(cast("list[Any]", self.get(key, list) or [])):
            if not isinstance(value, dict):
                raise self.error(f"must be a table, not {value!r}", key, i)
            found.append(Table(self._document, (*self._place, key, i), cast("dict[str, Any]", value)))
        return found

    def items(self, key: str) -> list[str | Table]:
        """What stands under a key: texts and tables, one or a list of them.

        Raises:
            ConfigFileError: It is something else.
        """
        value = self._values.get(key)
        place = (*self._place, key)
        if isinstance(value, str):
            return [value]
        if isinstance(value, dict):
            return [Table(self._document, place, cast("dict[str, Any]", value))]
        found: list[str | Table] = []
        for i, item in enumerate(cast("list[Any]", self.get(key, list) or [])):
            if isinstance(item, dict):
                found.append(Table(self._document, (*place, i), cast("dict[str, Any]", item)))
            elif isinstance(item, str):
                found.append(item)
            else:
                raise self.error(f"must be a text in quotes or a table, not {item!r}", key, i)
        return found

    def as_dict(self) -> dict[str, Any]:
        """The settings as they stand."""
        return dict(self._values)

    def error(self, message: str, *key: Key) -> ConfigFileError:
        """An error about this table, or about a setting in it."""
        value = self._values.get(key[0]) if key and isinstance(key[0], str) else None
        return self._document.error((*self._place, *key), message, value)

    @contextmanager
    def placing(self, *key: Key) -> Generator[None]:
        """Adds file and line to what is wrong with values that are read from this table."""
        try:
            yield
        except ConfigFileError:
            raise
        except ConfigError as error:
            at = key or ((error.setting,) if error.setting in self._values else ())
            raise self.error(str(error), *at) from None  # it says all that the other does, and without credentials

    def build(self, make: Callable[..., T], *args: Any, **fields: Any) -> T:
        """Makes a value of settings; those that are not there are left to their defaults."""
        with self.placing():
            return make(*args, **{name: value for name, value in fields.items() if value is not None})


def dotted(place: Sequence[Key]) -> str:
    """A setting's name as TOML writes it; places in lists count from 1, in brackets."""
    name = ""
    for key in place:
        if isinstance(key, int):
            name += f"[{key + 1}]"
        else:
            name += ("." if name else "") + (key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else f'"{key}"')
    return name


def _at(values: Any, place: Sequence[Key]) -> Any:
    """What stands at a place; `None`, which TOML does not have, if nothing does."""
    for key in place:
        try:
            values = values[key]
        except (KeyError, IndexError, TypeError):
            return None
    return values


def _beside(values: Any, place: Sequence[Key]) -> dict[Key, Any]:
    """What stands in the same table or list as a setting, the setting included; nothing if there is none."""
    found = _at(values, place[:-1])
    if isinstance(found, list):
        return dict(enumerate(cast("list[Any]", found)))
    return cast("dict[Key, Any]", found) if isinstance(found, dict) else {}
