"""A run that is made once: under a key of the caller's own, however often and from wherever it is asked for."""

from tierwise.idempotency.kept import Again, packed
from tierwise.idempotency.keyed import Keyed

__all__ = ["Again", "Keyed", "packed"]
