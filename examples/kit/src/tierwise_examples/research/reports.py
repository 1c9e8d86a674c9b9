"""What an inquiry comes to: the claims that stand, with their places, and what became of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tierwise_examples.research.claims import NOT_TOLD, Claim
from tierwise_examples.research.shapes import Supported

__all__ = ["Report"]


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to a question."""

    question: str
    supported: tuple[Claim, ...]
    """What the cited lines say."""
    flagged: tuple[tuple[Claim, str], ...] = ()
    """What they may say, and why that is doubted."""
    dropped: tuple[tuple[Claim, str], ...] = ()
    """What they do not say, and how that is known."""

    @classmethod
    def of(cls, question: str, claims: Sequence[Claim], checks: Mapping[int, Supported]) -> Report:
        """Sorts claims by what their words and the checks say.

        Args:
            question: What was asked.
            claims: The sentences of the answer.
            checks: By a claim's number; an open claim without a check is flagged.
        """
        flagged: list[tuple[Claim, str]] = []
        supported: list[Claim] = []
        for claim in claims:
            check = checks.get(claim.number)
            if claim.standing == "supported" or (claim.standing == "open" and check is not None and check.supported):
                supported.append(claim)
            elif claim.standing == "open":
                flagged.append(
                    (claim, f"{claim.reason}, and {'it was not checked' if check is None else 'the check says no'}")
                )
        dropped = tuple((claim, claim.reason) for claim in claims if claim.standing == "unsupported")
        return cls(question, tuple(supported), tuple(flagged), dropped)

    @property
    def answered(self) -> bool:
        """True if there is a claim that is supported."""
        return bool(self.supported)

    @property
    def answer(self) -> str:
        """The supported claims, or that the documents do not tell."""
        return " ".join(claim.text for claim in self.supported) or NOT_TOLD

    @property
    def places(self) -> tuple[str, ...]:
        """What the answer cites, as `file:line` or `file:first-last`, each once."""
        return tuple(dict.fromkeys(str(lines) for claim in self.supported for lines in claim.lines))

    def __str__(self) -> str:
        said = [_cited(claim) for claim in self.supported] or [NOT_TOLD]
        said += [f"Flagged: {claim.text} ({why})" for claim, why in self.flagged]
        said += [f"Dropped: {claim.text} ({why})" for claim, why in self.dropped]
        return "\n".join(said)


def _cited(claim: Claim) -> str:
    said = f"{claim.text} [{', '.join(map(str, claim.lines))}]"
    return said if claim.against is None else f"{said} (but see {claim.against}: {claim.against.text})"
