from __future__ import annotations

from tierwise import Verdict


def test_a_verdict_that_may_quote_is_shown_plain_by_its_figures() -> None:
    quoting = Verdict("reject", "said: secret", verifier="Judge", score=0.3, threshold=0.7)
    assert quoting.summary == "Judge: said: secret"
    assert quoting.plain == "Judge: 0.3, threshold 0.7"
    assert Verdict("accept", "valid", verifier="V", quotes=False).plain == "V: valid"
