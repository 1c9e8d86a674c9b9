"""Classify, and send each request to its specialist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tierwise.attempt import Outcome
from tierwise.context import Context, Decision
from tierwise.errors import ConfigError
from tierwise.flow import Decided, Flow, Stated, held, note
from tierwise.policies.base import PolicyLike, as_policy
from tierwise.policies.classifier import Classifier
from tierwise.strategies.base import Strategy
from tierwise.strategies.cascade import Single
from tierwise.task import Task

__all__ = ["Specialists"]

_OTHER = "other"
_INSTRUCTIONS = f"Whose field is this request? {_OTHER!r} if it is nobody's, or if you are not sure."


class Specialists(Strategy):
    """Asks who is the right one, and starts there. What nobody is known for goes to the top tier.

    Args:
        classifier: A policy, or a function, that names a tier; or the small model that picks one of `labels`.
        labels: Fields and the tier of each, for a model that classifies.
        each: What happens at the tier that was picked; by default it answers, and the tiers above are its fallbacks.

    Raises:
        ConfigError: A model is to classify and there are no labels, or there are labels and something else classifies.
    """

    def __init__(
        self,
        classifier: PolicyLike | str,
        labels: Mapping[str, str] | None = None,
        *,
        each: Strategy | None = None,
    ) -> None:
        if isinstance(classifier, str) != bool(labels):
            raise ConfigError(
                f"labels={labels!r}: a model that classifies needs them, a policy names tiers by itself",
                setting="labels",
                value=labels,
            )
        if isinstance(classifier, str):
            classifier = Classifier(classifier, labels={**(labels or {}), _OTHER: ""}, instructions=_INSTRUCTIONS)
        self._policy = as_policy(classifier)
        self._each = each if each is not None else Single()

    def flow(self, task: Task, context: Context) -> Flow[Outcome]:
        """See `Strategy`."""
        decision = yield from held(self._policy.flow(task, context))
        known = {t.name for t in (*context.reach, *context.specialists)}
        if decision is None or decision.tier not in known:
            named = f"{decision.tier!r} cannot take it" if decision and decision.tier else "nobody is known for it"
            decision = Decision(context.top.name, rule="specialists", reason=f"{named}: the top tier answers")
            yield from note(Stated(f"specialists: {decision.reason}"))
        yield from note(Decided(decision))
        return (yield from self._each.flow(task, context.starting(decision)))

    def refs(self) -> Iterable[str]:
        """See `Strategy`."""
        return [ref for ref in (*self._policy.refs(), *self._policy.model_refs(), *self._each.refs()) if ref]
