"""What all models of a fleet can do."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any, cast

from pydantic_ai.models import Model
from pydantic_ai.profiles import ModelProfile

__all__ = ["shared_profile"]

_BY_EACH: ModelProfile = {"may_tokenize_special_tokens_in_content": False}
"""What each model does for itself: done once more in front of them, it would be undone too early."""


def shared_profile(models: Iterable[Model]) -> ModelProfile:
    """The profile that all models share.

    Of what one can do and another cannot, it says no; of two context windows, it has the smaller; whatever else they
    do not agree on is left out. A model without a profile of its own (a fallback model) counts for nothing.
    """
    profiles = [cast("dict[str, Any]", profile) for model in models if (profile := _profile(model)) is not None]
    shared = reduce(_both, profiles) if profiles else {}
    windows = [p["context_window"] for p in profiles if p.get("context_window") is not None]
    if windows:
        shared = {**shared, "context_window": min(windows)}
    return cast("ModelProfile", {**shared, **_BY_EACH})


def _profile(model: Model) -> ModelProfile | None:
    try:
        return model.profile
    except NotImplementedError:
        return None


def _both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    shared: dict[str, Any] = {}
    for name in one.keys() & other.keys():
        mine, theirs = one[name], other[name]
        if mine is theirs or mine == theirs:
            shared[name] = mine
        elif isinstance(mine, bool) and isinstance(theirs, bool):
            shared[name] = False
        elif isinstance(mine, frozenset) and isinstance(theirs, frozenset):
            shared[name] = cast("frozenset[Any]", mine & theirs)
    return shared
