from decimal import Decimal
from typing import Any

import genai_prices
import pytest
from tierwise import Router, Usage
from tierwise.ledger.rows import Row
from tierwise_examples.billing import at_list_prices, note
from tierwise_examples.ladders import CLOUD, Ladder
from tierwise_examples.scripted import scripted

LOCAL = Ladder({"small": "ollama:s", "code": "ollama:c", "large": "ollama:l"})


def row(tier: str, into: int, out: int, **fields: Any) -> Row:
    given: dict[str, Any] = {
        "model": f"ollama:{tier}",
        "cost": Decimal(0),
        "cost_source": "local",
        "usage": Usage(into, out),
    }
    return Row(f"{tier}-{into}", "run", tier=tier, state="settled", **(given | fields))


def listed(model: str, into: int, out: int) -> Decimal:
    """What the price list itself says, asked without Tierwise."""
    provider, _, name = model.partition(":")
    usage = genai_prices.Usage(input_tokens=into, output_tokens=out)
    return genai_prices.calc_price(usage, name, provider_id=provider).total_price


def test_the_sum_is_the_price_lists_own() -> None:
    rows = [row("small", 400, 20), row("code", 700, 300), row("large", 500, 120), row("small", 90, 9)]
    receipt = at_list_prices(rows, LOCAL)
    small, code, large = CLOUD.models.values()
    by_hand = [listed(small, 400, 20), listed(code, 700, 300), listed(large, 500, 120), listed(small, 90, 9)]
    assert [r.cost for r in receipt.rows] == by_hand
    assert receipt.cost == sum(by_hand)


def test_the_sum_is_the_one_worked_out_on_paper() -> None:
    """Of prices that are written here: USD 2 and 10, and 5 and 25, for a million tokens in and out."""
    cloud = Ladder({"small": "anthropic:claude-sonnet-5", "large": "anthropic:claude-opus-4-7"})
    receipt = at_list_prices([row("small", 1_000, 100), row("large", 2_000, 200)], LOCAL, cloud)
    assert receipt.cost == Decimal("0.003") + Decimal("0.015")
    assert receipt.saving is not None
    assert receipt.saving.baseline == "anthropic:claude-opus-4-7"


def test_a_line_names_the_model_that_is_billed_and_the_one_that_answered() -> None:
    receipt = at_list_prices([row("small", 10, 1, answered_by="smollm2:135m")], LOCAL)
    assert "openai:gpt-5-nano (answered by smollm2:135m)" in str(receipt)
    assert note(LOCAL).startswith("Estimated")
    assert "ollama:s as openai:gpt-5-nano" in note(LOCAL)


def test_the_top_tier_alone_costs_what_it_costs_in_the_ladder() -> None:
    alone = at_list_prices([row("large", 500, 120)], LOCAL.alone())
    assert alone.cost == at_list_prices([row("large", 500, 120)], LOCAL).cost
    assert alone.saving is not None
    assert alone.saving.baseline == "anthropic:claude-opus-4-7"


@pytest.mark.parametrize("source", ["refused", "failed"])
def test_what_was_never_billed_costs_nothing(source: str) -> None:
    (line,) = at_list_prices([row("code", 5, 5, usage=None, cost_source=source)], LOCAL).rows
    assert line.cost == 0


def test_a_call_without_counts_has_no_known_price() -> None:
    assert at_list_prices([row("code", 5, 5, usage=None)], LOCAL).cost is None


def test_a_check_that_no_model_made_stays_as_it_is() -> None:
    check = row("", 0, 0, model="check:pytest", usage=None)
    assert at_list_prices([check], LOCAL).rows == (check,)


def test_a_real_runs_rows_are_billed() -> None:
    with scripted({"Say": "ab cd"}) as script:
        reply = Router(script.ladder.fleet()).run("Say it", min_tier="large")
        (billed,) = at_list_prices(reply.attempts, script.ladder).rows
    assert billed.cost == listed("anthropic:claude-opus-4-7", 2, 2)
