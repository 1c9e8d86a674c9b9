"""The command line: `python -m tierwise_embedded serve|fetch|list`."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from tierwise_embedded.errors import EmbeddedError
from tierwise_embedded.models import DEFAULT_MODELS, MODELS, EmbeddedModel
from tierwise_embedded.process import READY
from tierwise_embedded.provision import provision
from tierwise_embedded.server import EmbeddedServer, select_models
from tierwise_embedded.weights import locate

__all__ = ["main"]

_GRACE_SECONDS = 15.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        models = select_models(options.models or None)
        match options.command:
            case "list":
                _list()
            case "fetch":
                provision(models)
            case _:
                _serve(models, options)
    except (EmbeddedError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tierwise-embedded", description="Real small models behind Ollama's API.")
    commands = parser.add_subparsers(dest="command", required=True)
    names = ", ".join(MODELS)
    serve = commands.add_parser("serve", help="serve models on a loopback port")
    fetch_parser = commands.add_parser("fetch", help="download the weights of models")
    listing = commands.add_parser("list", help="list the models that can be embedded")
    listing.set_defaults(models=[])
    for command in (serve, fetch_parser):
        command.add_argument("models", nargs="*", help=f"of {names}; {' and '.join(DEFAULT_MODELS)} when none")
    serve.add_argument("--port", type=int, default=0, help="the port to listen on; 0 lets the system choose")
    serve.add_argument("--max-loaded", type=int, default=2, help="models in memory at a time")
    serve.add_argument("--keep-alive", type=float, default=300.0, help="seconds an idle model stays loaded")
    serve.add_argument("--until-stdin-closes", action="store_true", help="end with the parent process")
    return parser


def _list() -> None:
    for model in MODELS.values():
        place = locate(model)
        state = f"at {place}" if place else "not fetched"
        print(f"{model.name:20} {model.size / 1e6:6,.0f} MB  {model.license}  {state}")


def _serve(models: Sequence[EmbeddedModel], options: argparse.Namespace) -> None:
    stop = threading.Event()
    listening = threading.Event()
    if options.until_stdin_closes:
        threading.Thread(target=_stop_at_end_of_input, args=(stop, listening), daemon=True).start()
    server = EmbeddedServer(
        [model.name for model in models],
        port=options.port,
        max_loaded=options.max_loaded,
        keep_alive=options.keep_alive,
    )

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    with server:
        listening.set()
        print(f"{READY}{server.url}", flush=True)
        stop.wait()


def _stop_at_end_of_input(stop: threading.Event, listening: threading.Event) -> None:
    # The descriptor is read, not the buffered stream, whose lock would trouble the interpreter's exit.
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        while stdin.read(4096):
            pass
    stop.set()
    if listening.is_set():
        threading.Event().wait(_GRACE_SECONDS)
    # A download or a load that does not end by itself must not outlive the parent.
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
