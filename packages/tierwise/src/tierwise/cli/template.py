"""The text of a first `tierwise.toml`."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tierwise.fleet.discovery import CloudProvider, Discovery, LocalModel, ladder_of

__all__ = ["first_settings"]

_HEAD = """\
# Tierwise: each step goes to the smallest model that can do it.
#
# Check this file with `tierwise models`, try it with `tierwise ask --explain "..."`. Lines that begin with `#` and no
# space are examples: take the `#` away.
"""

_TIERS = """
# The ladder, smallest tier first; in each tier the models in order of preference: the later are fallbacks.
# A model is "provider:name", or a table with settings:
#   { id = "ollama:qwen3:4b", num_ctx = 8192, temperature = 0 }
[tiers]
"""

_REST = """
# Rules are asked in order; the first that applies decides who tries first. A rule may ask for a task's job, node,
# role, tags, a pattern in the request, its length in tokens (longer_than), or what it needs (tools, vision, ...).
#[[rules]]
#job = ["plan", "review"]
#tier = {top}

# What kind of job starts where, if no rule applies.
#[policy.jobs]
#orchestration = {bottom}
#reasoning = {top}

# In what shape calls are made: "cascade" tries small first and climbs when the evidence is weak; "single" asks once.
[strategy]
name = "cascade"
# Who judges prose: a tier or a model; by default the tier above the one that answered.
#judge = {{ model = {top}, threshold = 0.7 }}

# Every call, its cost and its verdict. Without content = true no word of a prompt or an answer is kept.
[ledger]
path = "tierwise.db"
"""


def first_settings(found: Discovery, ollama_host: str | None = None) -> str:
    """A commented file for what this machine has. Cloud models are shown how to name, and not named.

    Args:
        found: What this machine has.
        ollama_host: Where its Ollama is, if not at the usual address.
    """
    tiers = ladder_of(found.local)
    sizes = {m.spec.id: _size(m) for m in found.local}
    lines = [_HEAD, _TIERS]
    for tier in tiers:
        models = "".join(f"    {_text(m.id)},{sizes[m.id]}\n" for m in tier.models)
        lines.append(f"{tier.name} = [\n{models}]\n")
    lines += _cloud(found.available, first=not tiers)
    names = [tier.name for tier in tiers] or ["large"]
    lines.append(_REST.format(top=_text(names[-1]), bottom=_text(names[0])))
    if ollama_host is not None:
        lines.append(f"\n[backends.ollama]\nhost = {_text(ollama_host)}\n")
    return "".join(lines)


def _size(model: LocalModel) -> str:
    if model.parameters is None:
        return ""
    return f"  # {model.parameters / 1e9:.1f} billion weights"


def _cloud(available: tuple[CloudProvider, ...], *, first: bool) -> Iterator[str]:
    """How to name a cloud model. It costs money and takes content away, so it is the user who names it."""
    for provider in available:
        yield f"# {provider.variable} is set. To use a model of {provider.prefix}, name it:\n"
        yield f'#{"large" if first else provider.prefix} = ["{provider.prefix}:MODEL"]\n'


def _text(value: str) -> str:
    """A text as TOML writes it: JSON's form is one of TOML's."""
    return json.dumps(value)
