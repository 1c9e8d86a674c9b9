"""What every agent's command line does: it tells plainly what failed, and ends with the bill."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from tierwise import Router
from tierwise.errors import ConfigError, TierwiseError

from tierwise_examples.billing import at_list_prices, note, rows_of
from tierwise_examples.ladders import Ladder

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Failures", "ended", "failures_of", "plain_errors", "show_bill"]

T = TypeVar("T")

Failures: TypeAlias = tuple[type[Exception], ...]
"""The exceptions of a framework which say that an agent gave up, e.g. after too many invalid answers."""


def failures_of(agent: object) -> Failures:
    """What an agent's program names in `FAILURES`; nothing if it names none.

    Args:
        agent: The program.
    """
    return getattr(agent, "FAILURES", ())


def ended(agent: Callable[[T], object], subject: T, failures: Failures = ()) -> str:
    """Runs an agent, and says why it came to no end; the empty text if it did.

    That a router or the framework gives up is a result, as models are weak. Any other error is one of the program, and
    is raised.

    Args:
        agent: The framework's part.
        subject: What it works on.
        failures: The framework's own exceptions that are such results.

    Raises:
        ConfigError: A setting is wrong.
    """
    try:
        agent(subject)
    except Exception as error:
        cause = next((e for e in _chain(error) if isinstance(e, (TierwiseError, *failures))), None)
        if cause is None or isinstance(cause, ConfigError):
            raise
        return f"{type(cause).__name__}: {cause}"
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came from: a framework may wrap what a router raised in an error of its own."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@contextmanager
def plain_errors() -> Generator[None]:
    """Ends the program with the text of a wrong setting, which says how to mend it, and without a traceback."""
    try:
        yield
    except ConfigError as error:
        raise SystemExit(str(error)) from error


def show_bill(console: Console, router: Router, ladder: Ladder) -> None:
    """Prints every call, and what it would have cost at the list prices of cloud models.

    Args:
        console: Where to print.
        router: Whose calls.
        ladder: The models that made them.
    """
    console.rule("The bill", align="left")
    receipt = at_list_prices(rows_of(router), ladder)
    if console.is_terminal:
        console.print(receipt)
    else:
        console.out(str(receipt), highlight=False)
    console.print(note(ladder), style="dim", markup=False)
