"""Rules over what is known of a task: job, node, role, tags, and a pattern in the latest request."""

from __future__ import annotations

from collections.abc import Iterable

from tierwise.context import Context, Decision
from tierwise.errors import ConfigError
from tierwise.patterns import compiled
from tierwise.policies.base import Policy
from tierwise.policies.window import window
from tierwise.task import Task

__all__ = ["Rule"]


def _names(setting: str, value: str | Iterable[str] | None) -> frozenset[str]:
    if value is None:
        return frozenset()
    names = frozenset([value] if isinstance(value, str) else value)
    if not names or "" in names:
        raise ConfigError(f"{setting}={value!r} names nothing: leave it out, or name one", setting=setting, value=value)
    return names


class Rule(Policy):
    """Sends tasks that meet every given condition to a tier, and abstains on all others.

    Args:
        tier: The tier's name.
        job: The task's job, or several of which any will do.
        node: The graph node's or step's name, or several.
        role: The agent's name, or several.
        tags: Tags that the task must all have.
        pattern: A regular expression to search for in the latest request. Only a bounded window of it is read (its
            head and its tail), so that a decision takes as long for a long request as for a short one.

    Raises:
        ConfigError: There is no condition, one names nothing, or the pattern is no regular expression.
    """

    def __init__(
        self,
        *,
        tier: str,
        job: str | Iterable[str] | None = None,
        node: str | Iterable[str] | None = None,
        role: str | Iterable[str] | None = None,
        tags: str | Iterable[str] | None = None,
        pattern: str | None = None,
    ) -> None:
        self._tier = tier
        self._fields = {
            name: names
            for name, given in (("job", job), ("node", node), ("role", role))
            if (names := _names(name, given))
        }
        self._tags = _names("tags", tags)
        self._pattern = compiled(pattern)
        if not (self._fields or self._tags or self._pattern):
            raise ConfigError(
                f"Rule(tier={tier!r}) has no condition: give job, node, role, tags or pattern, or use Always({tier!r})",
                setting="rule",
                value=tier,
            )

    def decide(self, task: Task, context: Context) -> Decision | None:
        """See `Policy`."""
        met: list[str] = []
        for name, allowed in self._fields.items():
            value = getattr(task, name)
            if value not in allowed:
                return None
            met.append(f"{name} is {value!r}")
        if self._tags:
            if not self._tags <= task.tags:
                return None
            met.append(f"tags {sorted(self._tags)}")
        if self._pattern is not None:
            if not self._pattern.search(window(task.latest_request)):
                return None
            met.append(f"the request matches {self._pattern.pattern!r}")
        return Decision(self._tier, rule="rule", reason=", ".join(met))

    def refs(self) -> Iterable[str]:
        """See `Policy`."""
        return (self._tier,)
