"""What a verifier says of an answer: accept, reject or abstain, and on what evidence."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

from tierwise.values import quick

__all__ = ["Verdict"]


@quick
@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier says of an answer, and on what evidence."""

    result: Literal["accept", "reject", "abstain"]
    evidence: str = ""
    _: KW_ONLY
    verifier: str = ""
    conclusive: bool = False
    """Ends the matter: nothing dearer is asked."""
    score: float | None = None
    """The measured figure, where there is one. It is never invented: a signal that is not there abstains, and so does a
    score that is no finite number, whatever the verifier made of it."""
    threshold: float | None = None
    calibrated: bool | None = None
    """Whether the threshold comes from calibration on labelled rows; `None` where there is no threshold."""
    quotes: bool = field(default=True, compare=False)
    """Whether the evidence may repeat words of the request, of a model or of a program. It counts as content then, and
    a ledger that keeps no content leaves it out. True unless a verifier says otherwise."""
    parts: tuple[Verdict, ...] = ()

    def __post_init__(self) -> None:
        if self.score is not None and not math.isfinite(self.score):
            put = object.__setattr__
            put(self, "evidence", f"a score of {self.score} proves nothing: {self.evidence}")
            put(self, "result", "abstain")
            put(self, "conclusive", False)
            put(self, "score", None)

    @property
    def accepted(self) -> bool:
        """True if the verifier accepts."""
        return self.result == "accept"

    @property
    def rejected(self) -> bool:
        """True if the verifier rejects."""
        return self.result == "reject"

    @property
    def summary(self) -> str:
        """One line for a receipt."""
        return f"{self.verifier}: {self.evidence}" if self.verifier else self.evidence

    @property
    def plain(self) -> str:
        """One line that repeats nobody's words: verifier and figures in place of evidence that may quote."""
        if not self.quotes:
            return self.summary
        figures = [] if self.score is None else [f"{self.score:g}"]
        if self.threshold is not None:
            figures.append(f"threshold {self.threshold:g}")
        return ": ".join(filter(None, [self.verifier, ", ".join(figures)])) or self.result
