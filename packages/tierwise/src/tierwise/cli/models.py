"""`tierwise models`: what can answer, at what price, and whether it can be reached."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tierwise.cli.exits import Exit
from tierwise.cli.pulling import pull_missing
from tierwise.cli.reach import Reach
from tierwise.cli.screen import table, waiting
from tierwise.cli.settings import ConfigPath, read
from tierwise.fleet.fleet import Tier
from tierwise.fleet.price import Price
from tierwise.fleet.pricing import Pricing

__all__ = ["models"]

_DEFAULT = Path("tierwise.toml")
_HEADINGS = ("tier", "model", "USD per million in / out", "window", "capabilities", "trust", "reachable")


@dataclass(frozen=True, slots=True)
class _Line:
    tier: str
    model: str
    price: Price | None
    window: int | None
    capabilities: tuple[str, ...] | None
    trust: str
    unreachable: str | None
    """Why it cannot be reached."""

    @property
    def cells(self) -> tuple[str, ...]:
        window = "unknown" if self.window is None else f"{self.window:,}"
        capabilities = "unknown" if self.capabilities is None else ", ".join(self.capabilities)
        reachable = "yes" if self.unreachable is None else f"no: {self.unreachable}"
        return (self.tier, self.model, _price(self.price), window, capabilities, self.trust, reachable)


def models(
    *,
    config: ConfigPath = _DEFAULT,
    pull: Annotated[bool, Parameter(help="Pull the Ollama models that are missing.", negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", help="Give the table as JSON.", negative="")] = False,
) -> int:
    """Show every model: tier, price, window, capabilities, and whether it can be reached.

    No cloud provider is called: of those, only the key is looked for. The exit code is 4 if no model can be reached.
    """
    settings = read(config)
    router = settings.router(ledger=None)
    with waiting("asking the local Ollama"):
        reach = Reach.of(settings)
    if pull:
        pull_missing(settings, reach)
        reach = Reach.of(settings)
    pricing = Pricing(router.fleet)
    lines = list(_lines(router.fleet.tiers, reach, pricing))
    if as_json:
        print(json.dumps([asdict(line) for line in lines], indent=2, default=str))
    else:
        table(_HEADINGS, [line.cells for line in lines], right=("window",))
    return Exit.UNREACHABLE if all(line.unreachable for line in lines) else Exit.DONE


def _lines(tiers: tuple[Tier, ...], reach: Reach, pricing: Pricing) -> Iterator[_Line]:
    for tier in tiers:
        for model in tier.models:
            known = reach.filled_in(model)
            capabilities = known.capabilities
            yield _Line(
                tier.name,
                model.key if model.key == model.id else f"{model.key} ({model.id})",
                pricing.price(model),
                pricing.window(known),
                None if capabilities is None else tuple(sorted(capabilities)),
                model.trust or "any",
                reach.why_not(model),
            )


def _price(price: Price | None) -> str:
    if price is None:
        return "unknown"
    return "free" if price.is_free else f"{price.input:f} / {price.output:f}"
