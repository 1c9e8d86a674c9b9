"""Puts models' weights on this machine, and says so: what is downloaded, how much of it, under which licence."""

import sys
from collections.abc import Sequence
from typing import TextIO

from tierwise_embedded.management import Fetcher
from tierwise_embedded.models import EmbeddedModel
from tierwise_embedded.progress import Progress, ProgressLine
from tierwise_embedded.weights import fetch, locate

__all__ = ["provision", "fetch_weights"]


def provision(models: Sequence[EmbeddedModel], fetcher: Fetcher | None = None, *, stream: TextIO | None = None) -> None:
    """Fetch the models that this machine has not, telling of it on `stream` (standard error by default).

    Raises:
        WeightsError: When the weights of one of them are not to be had.
    """
    output = stream or sys.stderr
    missing = [model for model in models if locate(model) is None]
    if missing and fetcher is None:
        total = sum(model.size for model in missing) / 1e6
        output.write(f"Weights to download: {total:,.0f} MB\n")
        output.writelines(f"  {model.notice}\n" for model in missing)
        output.flush()
    for model in models:
        (fetcher or fetch_weights)(model, ProgressLine(model.name, output))


def fetch_weights(model: EmbeddedModel, progress: Progress) -> object:
    """Fetch one model, as `/api/pull` does."""
    return fetch(model, progress=progress)
