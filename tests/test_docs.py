"""What the documentation shows is run: Python, pytest files, commands, `make` targets, settings, links.

The models that the examples name are served over real HTTP by the loopback provider.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from cyclopts import App
from pytest_examples import CodeExample, EvalExample, find_examples
from tierwise.attempt import Attempt, Outcome
from tierwise.backends import registry
from tierwise.cli.app import app
from tierwise.cli.exits import Exit
from tierwise.config import load
from tierwise.fleet import ModelSpec, Price
from tierwise.task import Task, Trust
from tierwise.testing import documents
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise.testing.provider.script import Request
from tierwise.verifiers import Verifier, as_verifier
from tierwise_ollama import OllamaBackend

ROOT = Path(__file__).parent.parent
# The READMEs of the other packages are run by their own tests: some need environments of their own.
READMES = [ROOT / "README.md", ROOT / "packages" / "tierwise" / "README.md", ROOT / "examples" / "kit" / "README.md"]
SOURCES = [ROOT / "packages" / name / "src" for name in ("tierwise", "tierwise-ollama")]
SITE = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*READMES, *SITE]
FOUND = list(find_examples(*PAGES, *SOURCES))


def missing(example: CodeExample) -> set[str]:
    """What an example imports that is not installed here."""
    imported = documents.Block(example.path, example.start_line, example.source).imports
    return {name for name in imported if find_spec(name) is None}


EXAMPLES = [example for example in FOUND if not missing(example)]
LEFT = [example for example in FOUND if missing(example)]
"""What is run in an adapter's environment."""
TEXTS = [*PAGES, ROOT / "examples" / "README.md", *sorted(set(ROOT.glob("*/*/README.md")) - set(PAGES))]

WIDTH = 88
"""Characters of a line of code that the site's column holds."""

ANSWERS: Sequence[tuple[str, str]] = (
    ("is_prime", "```python\ndef is_prime(n: int) -> bool:\n    return n > 1 and all(n % d for d in range(2, n))\n```"),
    ("17 * 23", "391"),
    ("capital of France", "Paris."),
    ("Nordwind GmbH", '{"vendor": "Nordwind GmbH", "total": 128.50, "currency": "EUR"}'),
    ("Extract name and city", '{"name": "Ann Lee", "city": "Oslo"}'),
)
"""What the models say: the first whose words stand in the conversation."""


def answer(request: Request) -> Reply:
    """A plausible answer to what the examples ask."""
    properties = (request.schema or {}).get("properties", {})
    if "score" in properties:
        return Reply(json={"reason": "It is right and complete.", "score": 9})
    if "label" in properties:
        return Reply(json={"label": properties["label"]["enum"][0]})
    said = json.dumps(request.messages, ensure_ascii=False)
    for words, text in ANSWERS:
        if words in said:
            return Reply(text=text)
    raise LookupError(f"the docs ask something for which there is no answer: {said}")


class Cloud(OllamaBackend):
    """Stands for the cloud's backend: neither trust nor price is known of its models."""

    def trust(self, model: ModelSpec) -> Trust | None:
        return None

    def price(self, model: ModelSpec) -> Price | None:
        return None


class Point:
    """An installed backend."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def load(self) -> Callable[..., Any]:
        return self._make


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackProvider]:
    """Serves every model of the examples, whichever provider they name."""
    with LoopbackProvider() as served:
        monkeypatch.setenv("OLLAMA_HOST", served.url)
        points = {"ollama": Point(OllamaBackend), "*": Point(Cloud)}
        monkeypatch.setattr(registry, "_installed", lambda: points)
        yield served


def blocks(language: str, pages: Sequence[Path] = TEXTS) -> list[Any]:
    """The fenced blocks of a language, with page and line as their ids."""
    found: list[Any] = []
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^( *)```{language}\b[^\n]*\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE):
            line = text.count("\n", 0, match.start()) + 1
            found.append(pytest.param(inspect.cleandoc(match[2]), id=f"{page.relative_to(ROOT)}:{line}"))
    return found


def commands(name: str) -> list[Any]:
    """Every use of a command: the lines of console blocks, and what stands in backticks in running text."""
    found: dict[str, Any] = {}
    for page in TEXTS:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"(?:^\$ (?:.* \| )?|`)({name} [^`\n#<]+)", text, re.MULTILINE):
            use = match[1].strip()
            found.setdefault(use, pytest.param(use, id=f"{page.relative_to(ROOT)}: {use}"))
    return list(found.values())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: str(e).removeprefix(f"{ROOT}/"))
def test_python(
    example: CodeExample,
    eval_example: EvalExample,
    provider: LoopbackProvider,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if "REDIS_URL" in example.source:
        monkeypatch.setenv("REDIS_URL", request.getfixturevalue("tierwise_redis"))
    assert "# >" not in example.source, "what is printed stands after `#>`"
    monkeypatch.chdir(tmp_path)
    if re.search(r"^(async def|def|class) [Tt]est_?[A-Z_a-z]", example.source, re.MULTILINE):
        run_pytest(example.source, tmp_path)
        return
    for name in re.findall(r'"[a-z-]+:([a-zA-Z0-9][\w.:-]*)"', example.source):
        provider.on(name, answer)
    lines = example.source.splitlines()

    def shown(path: Path, frame: inspect.FrameInfo, _: Sequence[Any]) -> bool:
        """Only a print that is followed by what it prints is compared."""
        following = "".join(lines[frame.lineno : frame.lineno + 1])
        return path.samefile(frame.filename) and following.lstrip().startswith("#>")

    eval_example.set_config(line_length=120)
    eval_example.include_print = shown
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # an example runs under that name
    # The traceback that it would make up for an example's error cannot be printed: it has positions outside its code.
    monkeypatch.setattr("pytest_examples.run_code.create_example_traceback", _none)
    eval_example.run_print_check(example)


def frameworks() -> Mapping[str, Sequence[str]]:
    """For each package with an environment of its own, the packages of a framework whose examples its test runs."""
    claimed: dict[str, Sequence[str]] = {}
    for test in (ROOT / "packages").glob("*/tests/test_readme.py"):
        for node in ast.parse(test.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FRAMEWORK":
                claimed[test.parent.parent.name] = ast.literal_eval(node.value)
    return claimed


@pytest.mark.parametrize("example", LEFT, ids=lambda e: str(e).removeprefix(f"{ROOT}/"))
def test_what_is_not_run_here_is_run_by_one_adapter(example: CodeExample) -> None:
    assert example.path in (ROOT / "README.md", *SITE), "the adapters run these pages, and their own READMEs"
    takers = [
        package
        for package, prefixes in frameworks().items()
        if all(name.startswith(tuple(prefixes)) for name in missing(example))
    ]
    assert len(takers) == 1, f"no test runs this, or several: it imports {sorted(missing(example))}"


BLOCKS = documents.blocks(ROOT / "docs" / "drop-in.md")
DROPPED_IN = list(zip(BLOCKS[::2], BLOCKS[1::2], strict=True))


@pytest.mark.parametrize(("before", "after"), DROPPED_IN, ids=str)
def test_dropping_it_in_changes_less_than_ten_lines(before: documents.Block, after: documents.Block) -> None:
    compared = difflib.ndiff(before.source.splitlines(), after.source.splitlines())
    changed = [line for line in compared if line[0] in "+-"]
    assert "tierwise" not in before.source
    assert 0 < len(changed) < 10


def _none(*_: object) -> None:
    """Nothing."""


def run_pytest(source: str, folder: Path) -> None:
    """Runs an example that is a test file, as its reader would."""
    (folder / "test_example.py").write_text(source, encoding="utf-8")
    settings = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    (folder / "pytest.ini").write_text(settings, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("source", blocks("toml"))
def test_toml(source: str, tmp_path: Path, provider: LoopbackProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that is a part of a file is completed by the rest of the first tiers of the documentation."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9")  # a state connects when it is first asked
    path = tmp_path / "tierwise.toml"
    rest = "" if "[tiers]" in source else '\n[tiers]\nsmall = "ollama:qwen3:4b"\nlarge = "anthropic:claude-opus-4-7"\n'
    path.write_text(source + rest, encoding="utf-8")
    load(path).router(ledger=None)


@pytest.mark.parametrize("page", SITE, ids=lambda p: str(p.relative_to(ROOT)))
def test_code_fits_the_page(page: Path) -> None:
    code = re.findall(r"```\w+\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert [line for block in code for line in block.splitlines() if len(line) > WIDTH] == []


@pytest.mark.parametrize("use", commands("tierwise"))
def test_command(use: str) -> None:
    app.parse_args(shlex.split(use)[1:], print_error=False, exit_on_error=False)


def test_command_line_page_tells_every_command_option_and_exit_code() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)$", page, re.MULTILINE) == _commands(app)
    named = set(re.findall(r"--[a-z][a-z-]*", page))
    assert named - {"--debug"} <= set(_options(app))
    codes = re.findall(r"^\| (\d+) \|", page, re.MULTILINE)
    assert codes == [str(int(code)) for code in Exit]


def _commands(of: App) -> list[str]:
    return [name for name in of if not name.startswith("-")]


def _options(of: App) -> Iterator[str]:
    yield from ("--help", "--version")
    for name in _commands(of):
        if _commands(of[name]):
            yield from _options(of[name])
        else:
            yield from (option for argument in of[name].assemble_argument_collection() for option in argument.names)


@pytest.mark.parametrize("use", commands("make"))
def test_make(use: str) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert use.split()[1] in targets


@pytest.mark.parametrize("use", commands("python"))
def test_script(use: str) -> None:
    script = use.split()[1]
    # An example's own page stands beside its program.
    folders = [ROOT, *ROOT.glob("examples/*")]
    assert not script.endswith(".py") or any((folder / script).exists() for folder in folders)


@pytest.mark.parametrize("use", commands("pip install"))
def test_pip(use: str) -> None:
    for name, extra in re.findall(r'"?(tierwise[\w-]*)(?:\[(\w+)\])?"?', use):
        project = tomllib.loads((ROOT / "packages" / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert project["name"] == name
        assert not extra or extra in project["optional-dependencies"]


RESULTS = ("accept", "reject", "abstain")
TRUTHS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in (ROOT / "docs/concepts/verifiers.md").read_text(encoding="utf-8").splitlines()
    if line.strip("| ").startswith(RESULTS) and line.count("|") == 5
]


@pytest.mark.parametrize(("a", "b", "both", "either"), TRUTHS)
def test_truth_table(a: str, b: str, both: str, either: str) -> None:
    """Each row of the table, and whether it is right in saying that B is not asked."""
    assert len(TRUTHS) == len(RESULTS) ** 2
    assert _said(lambda one, other: one & other, a, b) == both
    assert _said(lambda one, other: one | other, a, b) == either


def _said(together: Callable[[Verifier, Verifier], Verifier], a: str, b: str) -> str:
    asked: list[str] = []

    def says(name: str, result: str) -> Verifier:
        def verifier(_: Outcome) -> bool | None:
            asked.append(name)
            return {"accept": True, "reject": False}.get(result)

        return as_verifier(verifier)

    task = Task("Is it so?")
    outcome = Outcome(Attempt(task, ModelSpec("mine:model")), text="Yes.")
    verdict = together(says("A", a), says("B", b)).check(task, outcome)
    return verdict.result + (", B is not asked" if "B" not in asked else "")


def test_every_page_stands_in_the_navigation() -> None:
    listed = _pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert sorted(listed) == sorted(page.relative_to(ROOT / "docs").as_posix() for page in SITE)


def _pages(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    items = cast("Iterable[Any]", nav.values() if isinstance(nav, dict) else nav)
    return [page for item in items for page in _pages(item)]


@pytest.mark.parametrize("page", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []
