from decimal import Decimal
from typing import Any

import pytest
from tierwise import Receipt
from tierwise.fleet.price import Usage
from tierwise.ledger.rows import Row
from tierwise_examples.charts import receipt_chart


def drawn(*rows: Row) -> Any:
    [axes] = receipt_chart(Receipt.of(rows)).axes
    return axes


def row(tier: str, **fields: Any) -> Row:
    return Row("call", "run", tier=tier, model=f"ollama:{tier}", usage=Usage(30, 12), **fields)


def words(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_a_bar_for_every_call_of_a_model_says_what_it_cost() -> None:
    rows = [row("small", job="look", cost=Decimal("0.001")), row("large", job="plan", cost=Decimal("0.02"))]
    axes = drawn(*rows, Row("call", "run", purpose="check", model="work:check"))
    assert [bar.get_width() for bar in axes.patches] == [0.001, 0.02]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["look: ollama:small", "plan: ollama:large"]
    assert (words(axes), axes.get_xlabel()) == (["$0.001000", "$0.020000"], "USD")
    small, large = (bar.get_facecolor() for bar in axes.patches)
    assert small != large


def test_where_nothing_was_to_be_paid_tokens_are_drawn() -> None:
    axes = drawn(row("small", cost=Decimal(0)))
    assert [bar.get_width() for bar in axes.patches] == [42]
    assert (words(axes), axes.get_xlabel()) == (["42 tokens"], "tokens")


@pytest.mark.parametrize(
    ("fields", "fate"), [({"verdict": "reject"}, ", rejected"), ({"error_type": "TransientError"}, ", failed")]
)
def test_what_went_up_a_tier_is_told_apart(fields: Any, fate: str) -> None:
    axes = drawn(row("small", cost=Decimal(0), **fields), row("code", cost=Decimal(0), verdict="accept"))
    rejected, accepted = axes.patches
    assert (bool(rejected.get_hatch()), bool(accepted.get_hatch())) == (True, False)
    assert words(axes) == [f"42 tokens{fate}", "42 tokens"]
