"""The pages run: their Python, their commands, and the examples of CONTRIBUTING.md.

The Python blocks of a page run in order, in one process and a folder that has a trained run,
pictures and the files that the page itself shows. A block with ``title="FILE"`` is such a file.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import call_chain
import click
import numpy as np
import pytest
from click.testing import CliRunner
from processes import python_path
from selection import slow_except

from gpucnn import Tensor, data, optim
from gpucnn.cli import outcome
from gpucnn.cli.main import COMMANDS, main
from gpucnn.errors import DeviceError
from gpucnn.functions import activation

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
}
NOT_INSTALLED = re.compile(
    r"^\s*(import|from) (cupy|keras|mlflow|tensorflow|torch|wandb)\b", re.MULTILINE
)


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int  # of its first line of text, from 1
    language: str
    title: str | None
    text: str


def blocks(page: str, *languages: str) -> list[Block]:
    found = []
    for match in re.finditer(
        r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```$", PAGES[page], re.DOTALL | re.MULTILINE
    ):
        if match[2] in languages:
            line = PAGES[page].count("\n", 0, match.start(4)) + 1
            title = re.search(r'title="(.*?)"', match[3])
            text = textwrap.dedent(match[4])
            found.append(Block(page, line, match[2], title and title[1], text))
    return found


def commands(page: str) -> list[str]:
    """The calls of `gpucnn` in the shell blocks and the indented lines of a page."""
    lines = re.findall(r"^    (gpucnn .*)", PAGES[page], re.MULTILINE)
    for block in blocks(page, "sh", "console"):
        shown = block.text.splitlines()
        lines += [line for line in shown if line.startswith("$ ") or block.language == "sh"]
    calls = []
    for line in lines:
        for part in re.split(r"&&|\||>", line.removeprefix("$ ")):
            words = shlex.split(part, comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):
                words = words[1:]
            if words[:1] == ["gpucnn"]:
                calls.append(shlex.join(words))
    return calls


WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]
# The examples of CONTRIBUTING.md are parts of files; tests/keras runs docs/keras.md.
RUN = [page for page in WITH_PYTHON if page not in ("CONTRIBUTING.md", "docs/keras.md")]
CALLS = [(page, call) for page in PAGES for call in commands(page)]


@pytest.fixture(scope="module", autouse=True)
def _no_pictures() -> Iterator[None]:
    """`train` draws nothing here; tests/cli/test_report.py looks at its pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outcome, "save_pictures", lambda *given: None)
        yield


@pytest.fixture
def folder(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a reader, who has trained on digits and has pictures of them."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = pytest.importorskip("PIL.Image", reason="the extra `image` is not installed")
    folder = tmp_path_factory.mktemp("reader")
    (folder / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "seven.png", folder / "docs")
    image.open(ROOT / "docs" / "seven.png").convert("RGB").save(folder / "photo.jpg")
    digits = data.load("digits").train
    for i in range(40):
        for name in ("pictures", "other"):
            of_class = folder / name / str(digits.labels[i])
            of_class.mkdir(parents=True, exist_ok=True)
            image.fromarray(digits.images[i, 0]).save(of_class / f"{i}.png")
    header = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    rows = np.column_stack([digits.labels, digits.images.reshape(-1, 784)])[:40]
    for name in ("test.csv", "my_digits.csv"):
        np.savetxt(folder / name, rows, "%d", ",", header=header, comments="")
    short = ["--model", "softmax", "--epochs", "1", "--limit-batches", "1", "--device", "cpu"]
    call(["train", "--data", "digits", *short, "--runs-dir", str(folder / "runs")])
    shutil.copytree(folder / "runs" / "train-1", folder / "runs" / "train-2")
    return folder


def call(words: list[str]) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("page", slow_except(RUN, "README.md", "docs/index.md"))
def test_python_runs(page: str, folder: Path) -> None:
    source = ""
    for block in blocks(page, "python"):
        if block.title:
            (folder / block.title).write_text(block.text)
        elif not NOT_INSTALLED.search(block.text):
            # At the line where it stands, so that an error names it.
            source += "\n" * (block.line - 1 - source.count("\n")) + block.text
    if '"sim"' in source:
        require_simulator()
    script = f"exec(compile({source!r}, {page!r}, 'exec'))"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": python_path(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr


def require_simulator() -> None:
    from gpucnn import backend

    try:
        backend.get("sim")
    except DeviceError as error:
        pytest.skip(f"sim: {error}")


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_python_that_needs_other_packages_compiles(page: str) -> None:
    for block in blocks(page, "python"):
        compile(block.text, f"{page}:{block.line}", "exec")


@pytest.mark.parametrize(("page", "line"), CALLS)
def test_command_is_understood(page: str, line: str) -> None:
    _, *words = shlex.split(line)
    command: Any = main
    names = ["gpucnn"]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        command = command.get_command(click.Context(command), name)
        assert command is not None, f"{' '.join(names)} has no command {name}"
        names.append(name)
    if "--help" not in words:
        command.make_context(" ".join(names), words)


def runs_here(line: str) -> bool:
    """Whether a command needs no download, no GPU and no more than a second, and ends."""
    long = r"mnist|cuda|profile|bench|report|doctor|sim|--config|\bserve\b| data "
    return not re.search(long, line)


@pytest.mark.parametrize(("page", "line"), [each for each in CALLS if runs_here(each[1])])
def test_command_runs(page: str, line: str, folder: Path) -> None:
    _, *words = shlex.split(line)
    if words[0] == "train" and "--resume" not in words:
        words += ["--dry-run", "--device", "cpu"]
    for block in blocks(page, "python"):
        if block.title:
            (folder / block.title).write_text(block.text)
    call(words)


@pytest.mark.parametrize("page", ["README.md", "docs/explain.md"])
def test_explain_prints_what_a_page_shows(page: str) -> None:
    shown = next(b.text for b in blocks(page, "console") if "$ gpucnn explain" in b.text)
    line, *rest = shown.splitlines()
    printed = CliRunner().invoke(main, shlex.split(line)[2:]).stdout.splitlines()
    assert len(rest) > 5
    for each in rest:
        assert each == "..." or each in printed


def flags(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            yield from flags(command.get_command(click.Context(command), name))


@pytest.mark.parametrize("page", ["README.md", *(page for page in PAGES if "docs/" in page)])
def test_options_in_the_text_exist(page: str) -> None:
    known = {*flags(main), "--help", "--version"}
    for span in re.findall(r"`((?:gpucnn|--)[^`\n]*)`", PAGES[page]):
        words = span.split()
        assert set(re.findall(r"(?<!\S)--[a-z-]+", span)) <= known, f"{page}: {span}"
        if words[0] == "gpucnn" and words[1:] and words[1].islower() and words[1].isalpha():
            assert words[1] in COMMANDS, f"{page}: {span}"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_files_in_the_text_exist(page: str) -> None:
    """Paths in code spans that begin with a folder of the checkout; FAMILY stands for any name."""
    folders = "gpucnn|cli|kernels|tests|docs|\\.ci|\\.github"
    for span in re.findall(rf"`((?:{folders})/[\w./-]*)`", PAGES[page]):
        pattern = span.rstrip("/").replace("FAMILY", "*")
        assert list(ROOT.glob(pattern)), f"{page}: there is no {span}"
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", PAGES[page]):
        assert (ROOT / link).exists(), f"{page}: there is no {link}"


def test_tests_in_the_table_of_proofs_exist() -> None:
    """Files without a folder; each column of the table names its own."""
    text = PAGES["docs/cuda.md"]
    table = text[text.index("| property |") :].partition("\n\n")[0]
    named = re.findall(r"`(\w+\.py)\b", table)
    assert len(named) > 20
    for name in named:
        assert list((ROOT / "tests").rglob(name)), f"there is no {name}"
    parts = re.findall(r"`(\w+)`", "".join(re.findall(r"\bparts? ([^|;]*)", table)))
    sources = (ROOT / "tests" / "gpu" / "parts.py").read_text()
    assert len(parts) >= 10
    for part in parts:
        assert f'"{part}": ' in sources, f"there is no part {part}"


def example(text: str, module: ModuleType) -> dict[str, Any]:
    """The names of a module after an example of CONTRIBUTING.md is added to it."""
    found = next(b for b in blocks("CONTRIBUTING.md", "python") if text in b.text)
    names = dict(vars(module))
    exec(found.text, names)
    return names


def test_function_of_contributing() -> None:
    softplus = example("class Softplus", activation)["softplus"]
    x = Tensor(np.linspace(-30, 30, 13), requires_grad=True)
    y = softplus(x)
    y.sum().backward()
    assert np.allclose(y.numpy(), np.log1p(np.exp(x.numpy())), rtol=1e-12)
    assert np.allclose(x.grad, 1 / (1 + np.exp(-x.numpy())), rtol=1e-12)


def test_optimizer_of_contributing() -> None:
    w = Tensor(np.array([1.0, -2.0, 3.0]), requires_grad=True)
    optimizer = example("class Lion", optim)["Lion"]([w], 0.5, weight_decay=0.1)
    expected, m = w.numpy().copy(), np.zeros(3)
    for grad in ([1.0, -4.0, 0.5], [-3.0, 1.0, 0.25]):
        w.grad = np.array(grad)
        optimizer.step()
        decayed = w.grad + 0.1 * expected
        expected = expected - 0.5 * np.sign(0.9 * m + 0.1 * decayed)
        m = 0.99 * m + 0.01 * decayed
        assert np.allclose(w.numpy(), expected, rtol=1e-12)
    optimizer.found_inf[:] = 1
    w.grad = np.full(3, np.nan)
    optimizer.step()
    assert np.allclose(w.numpy(), expected, rtol=1e-12)


def test_call_chain_is_the_real_one() -> None:
    require_simulator()
    assert call_chain.shown() == call_chain.text(call_chain.find()), (
        "docs/call-chain.md is out of date; run: python tests/call_chain.py --write"
    )


def test_make_runs_what_contributing_shows() -> None:
    recipes = re.findall(r"^\t(.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    shown = [
        re.split(r"\s+#", line)[0]
        for block in blocks("CONTRIBUTING.md", "sh")
        for line in block.text.splitlines()
    ]
    assert recipes
    assert set(recipes) <= set(shown)
