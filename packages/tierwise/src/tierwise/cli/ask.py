"""`tierwise ask`: one task, its answer, and on what it stands."""

from __future__ import annotations

import base64
import json
import mimetypes
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, cast

from cyclopts import Parameter

from tierwise.cli.exits import Exit
from tierwise.cli.screen import bill, harmless, say, waiting
from tierwise.cli.settings import ConfigPath, read
from tierwise.context import Decision
from tierwise.errors import ConfigError, RunError
from tierwise.ledger.receipt import Receipt
from tierwise.messages import Message, Stakes
from tierwise.policies.base import Always
from tierwise.reply import Reply
from tierwise.router import Router
from tierwise.task import Task, Trust

__all__ = ["ask"]

_DEFAULT = Path("tierwise.toml")
_OPTION = re.compile(r"--?[A-Za-z][\w-]*")
"""What is taken for a mistyped option, and not for a request that begins with a hyphen."""


def ask(
    prompt: Annotated[
        str | None,
        Parameter(help="The request; `-`, or nothing, reads standard input.", allow_leading_hyphen=True),
    ] = None,
    *,
    config: ConfigPath = _DEFAULT,
    job: Annotated[str | None, Parameter(help="What this step does, e.g. summarize, plan, code.")] = None,
    tier: Annotated[str | None, Parameter(help="Start at this tier, whatever the rules say.")] = None,
    system: Annotated[str | None, Parameter(help="A system prompt.")] = None,
    files: Annotated[
        tuple[Path, ...], Parameter(name=["--files", "-f"], help="Files to read: texts and images.", negative="")
    ] = (),
    json_schema: Annotated[Path | None, Parameter(help="A file with the JSON schema of the answer.")] = None,
    trust: Annotated[Trust, Parameter(help="Where the content may go.")] = "any",
    stakes: Annotated[Stakes, Parameter(help="`high` starts at a high tier.")] = "normal",
    deadline: Annotated[float | None, Parameter(help="Seconds that the answer may take.")] = None,
    explain: Annotated[bool, Parameter(help="Show the decision and every attempt.", negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", help="Give answer and receipt as JSON.", negative="")] = False,
) -> int:
    """Answer a request. The answer is shown as it comes."""
    settings = read(config)
    task = Task(
        [_request(prompt, files)],
        system=system,
        job=job,
        output_schema=_schema(json_schema),
        trust=trust,
        stakes=stakes,
        deadline=deadline,
    )
    if tier is not None:
        settings.fleet.tier(tier, where="--tier")
    router = settings.router(**({} if tier is None else {"policy": Always(tier)}))
    try:
        reply = _run(router, task, shown=not as_json)
    except RunError as error:
        if explain and error.attempts:
            bill(Receipt.of(error.attempts))
        raise
    if as_json:
        print(json.dumps(_record(reply), indent=2))
    if explain:
        _explain(reply)
    return Exit.FAILED if reply.status == "rejected" else Exit.DONE


def _run(router: Router, task: Task, *, shown: bool) -> Reply:
    with router.stream(task) as stream:
        texts = (chunk.text for chunk in stream if chunk.text)
        with waiting("asking"):
            first = next(texts, "")
        if shown and first:
            _show(chain([first], texts))
        for _ in texts:
            continue
    if shown and not first:
        sys.stdout.write("\n")
    return stream.reply


def _show(texts: Iterable[str]) -> None:
    """Writes an answer as it comes, and ends its line even if it breaks off: what follows is not part of it."""
    write = harmless if sys.stdout.isatty() else str
    try:
        for text in texts:
            sys.stdout.write(write(text))
            sys.stdout.flush()
    finally:
        sys.stdout.write("\n")
        sys.stdout.flush()


def _request(prompt: str | None, files: tuple[Path, ...]) -> Message:
    """One message of the request, of what comes in from a pipe, and of the files."""
    if _OPTION.fullmatch(prompt or ""):
        raise ConfigError(f"unknown option {prompt!r} (see tierwise ask --help)", setting="prompt", value=prompt)
    parts = [] if prompt in (None, "-") else [prompt]
    if prompt in (None, "-") or _is_piped():
        parts.append(_standard_input(required=not parts and not files))
    images: list[str] = []
    for path in files:
        kind = mimetypes.guess_type(path.name)[0] or ""
        try:
            content = path.read_bytes()
            if kind.startswith("image/"):
                images.append(f"data:{kind};base64,{base64.b64encode(content).decode()}")
            else:
                parts.append(f"File {path.name}:\n{content.decode()}")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--files {path}: {_cause(error)}", setting="files", value=path) from error
    text = "\n\n".join(part for part in parts if part.strip())
    if not text and not images:
        raise ConfigError("there is no request: it is empty", setting="prompt", value=prompt)
    return Message("user", text, images=tuple(images))


def _cause(error: Exception) -> str:
    """What went wrong, without the path that stands before it."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _is_piped() -> bool:
    """True if standard input is a pipe or a file. Of a terminal, or of no one, nothing is to be waited for."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except OSError:  # not the process's own: it was replaced
        return True
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _standard_input(*, required: bool) -> str:
    if sys.stdin.isatty():
        raise ConfigError('there is no request: tierwise ask "...", or pipe one in', setting="prompt")
    text = sys.stdin.read().strip()
    if required and not text:
        raise ConfigError("there is no request: standard input is empty", setting="prompt")
    return text


def _schema(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        schema: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--json-schema {path}: {_cause(error)}", setting="json_schema", value=path) from error
    if not isinstance(schema, dict):
        raise ConfigError(f"--json-schema {path}: it must hold a JSON object", setting="json_schema", value=path)
    return cast("dict[str, Any]", schema)


def _explain(reply: Reply) -> None:
    for line in _decision(reply.decision):
        say(line)
    say(f"status: {reply.status}" + (f" ({reply.evidence})" if reply.evidence else ""))
    bill(reply.receipt)


def _decision(decision: Decision) -> Iterator[str]:
    model = f", {decision.model} first" if decision.model else ""
    yield f"decision: start at {decision.tier}{model} ({decision.rule}: {decision.reason})"
    yield from (f"adjusted: {change}" for change in decision.adjusted)


def _record(reply: Reply) -> dict[str, Any]:
    decision = reply.decision
    return {
        "text": reply.text,
        "output": reply.output,
        "status": reply.status,
        "evidence": reply.evidence,
        "tier": reply.tier,
        "model": reply.model,
        "run_id": reply.run_id,
        "decision": {
            "tier": decision.tier,
            "rule": decision.rule,
            "reason": decision.reason,
            "adjusted": list(decision.adjusted),
        },
        "receipt": json.loads(reply.receipt.to_json()),
    }
