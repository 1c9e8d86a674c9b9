"""What goes up a tier, and that nobody sees what it went up from."""

from __future__ import annotations

import pytest

from tierwise.attempt import Outcome
from tierwise.strategies import Cascade, Perspectives, Vote
from tierwise.testing.conformance.harness import Asked
from tierwise.testing.conformance.suite import DRAFT, Suite, router
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise.verifiers import Agreement, Check, Judge, Logprob, free_verifier

__all__ = ["Escalation"]


def is_oslo(outcome: Outcome) -> bool:
    """Whether the answer is the right one."""
    return "Oslo" in outcome.text


CASCADES = {
    "function": (Cascade(free_verifier() & is_oslo), 1),
    "check": (Cascade(free_verifier() & Check(is_oslo)), 1),
    "agreement": (Cascade(free_verifier() & Agreement(n=3)), 3),
    "vote": (Cascade(free_verifier(), each=Vote(["small"] * 3)), 3),
    "log probabilities": (Cascade(free_verifier() & Logprob(-0.5)), 1),
}
"""Each with the number of the small model's calls."""


class Escalation(Suite):
    """What goes up a tier, and that nobody sees what it went up from."""

    async def test_a_rejected_draft_is_never_seen(self, provider: LoopbackProvider, ask: Asked) -> None:
        """Escalation by a function: what is shown is the second answer, and comes in pieces."""
        provider.on("small", Reply(text=DRAFT))
        answer = await ask(self.harness.build(provider, router()))
        assert answer.text == "Large says Oslo."
        assert [c.model for c in provider.calls] == ["small", "large"]
        if ask.streams:
            assert ask.visible == "Large says Oslo."
            assert len([text for text in ask.shown if text]) > 1

    @pytest.mark.parametrize(("strategy", "drafts"), CASCADES.values(), ids=CASCADES)
    async def test_each_kind_of_verifier_sends_a_weak_answer_up(
        self, provider: LoopbackProvider, ask: Asked, strategy: Cascade, drafts: int
    ) -> None:
        """Where the framework gives no log probabilities they abstain: nothing is made up, and it goes up too."""
        cities = ("Bergen", "Oslo", "Rome")
        provider.on("small", *(Reply(text=c, logprobs=[-4.0]) for c in cities))
        answer = await ask(self.harness.build(provider, router(strategy)))
        assert answer.text == "Large says Oslo."
        assert (provider.count("small"), provider.count("large")) == (drafts, 1)
        assert not any(c in ask.visible for c in ("Bergen", "Rome"))

    async def test_voices_that_agree_are_an_answer(self, provider: LoopbackProvider, ask: Asked) -> None:
        """Further answers of the same model are evidence, and are not seen."""
        provider.on("small", Reply(text="Oslo"))
        answer = await ask(self.harness.build(provider, router(Cascade(free_verifier() & Agreement(n=3)))))
        assert answer.text == "Oslo"
        assert (provider.count("small"), provider.count("large")) == (3, 0)
        assert ask.visible == ("Oslo" if ask.streams else "")

    async def test_a_judge_is_asked_and_not_seen(self, provider: LoopbackProvider, ask: Asked) -> None:
        """Escalation by a model."""
        provider.on("large", Reply(json={"reason": "wrong", "score": 2}), Reply(text="Large says Oslo."))
        answer = await ask(self.harness.build(provider, router(Cascade(free_verifier() & Judge("large")))))
        assert answer.text == "Large says Oslo."
        assert [c.model for c in provider.calls] == ["small", "large", "large"]
        assert "score" not in ask.visible
        assert "Oslo is it." not in ask.visible

    async def test_voices_are_asked_and_only_the_answer_is_seen(self, provider: LoopbackProvider, ask: Asked) -> None:
        """Side by side, under any framework."""
        provider.on("small", Reply(text="Oslo"))
        provider.on("large", Reply(text="Oslo."))
        answer = await ask(self.harness.build(provider, router(Vote(["small", "large", "small"]))))
        assert answer.text in ("Oslo", "Oslo.")
        assert provider.count() == 3
        assert ask.visible == (answer.text if ask.streams else "")

    async def test_a_synthesis_is_shown_as_it_is_written(self, provider: LoopbackProvider, ask: Asked) -> None:
        """The voices are held, the synthesis is live."""
        provider.on("large", Reply(text="A view."), Reply(text="Both say Oslo."))
        answer = await ask(self.harness.build(provider, router(Perspectives(["small", "large"]))))
        assert answer.text == "Both say Oslo."
        assert ask.visible == ("Both say Oslo." if ask.streams else "")
