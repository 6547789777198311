"""What a shell offers: by what `gpucnn` answers it, and in bash itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from processes import python_path, run_python

from gpucnn.cli.completion import BashWithFiles
from gpucnn.cli.main import main

#: Options of free text: there is nothing to offer.
FREE = {"inputs", "label_column", "image_shape", "image_size", "name", "names", "stray"}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("gpucnn tr", ["train"]),
        ("gpucnn data f", ["fetch"]),
        ("gpucnn train --optim", ["--optimizer"]),
        ("gpucnn train --optimizer ", ["sgd", "rmsprop", "adam", "adamw"]),
        ("gpucnn train --model l", ["lenet", "l"]),
        ("gpucnn train --data di", ["digits", "di"]),
        ("gpucnn train --device cu", ["cuda", "cuda:1"]),
        ("gpucnn train --schedule co", ["constant", "cosine"]),
        ("gpucnn train --convert ", ["mnist", "none"]),
        ("gpucnn predict runs/t", ["runs/t"]),
        ("gpucnn evaluate --split ", ["test", "validation", "train", "all"]),
        ("gpucnn evaluate runs/train-1 --weights b", ["best"]),
        ("gpucnn explain s", ["softmax", "step"]),
    ],
)
def test_shell_completion(
    run: Any, monkeypatch: pytest.MonkeyPatch, words: str, offered: list[str]
) -> None:
    """What bash is offered for the last of the words; the tests below ask bash itself."""
    for name in ("train-1", "train-2"):
        Path("runs", name).mkdir(parents=True)
        Path("runs", name, "config.toml").touch()
    monkeypatch.setenv("_GPUCNN_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    result = CliRunner().invoke(main, prog_name="gpucnn")
    assert not result.stderr
    assert [line.partition(",")[2] for line in result.stdout.splitlines()] == offered


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        *((shell, {}) for shell in ("bash", "zsh", "fish")),
        *((shell, {"COMP_WORDS": "gpucnn tr"}) for shell in ("bash", "zsh", "fish")),
        ("bash", {"COMP_WORDS": "gpucnn tr", "COMP_CWORD": "x"}),
        ("zsh", {"COMP_CWORD": "1"}),
    ],
)
def test_completion_without_a_line_is_an_error_of_usage(
    monkeypatch: pytest.MonkeyPatch, shell: str, line: dict[str, str]
) -> None:
    monkeypatch.setenv("_GPUCNN_COMPLETE", f"{shell}_complete")
    for name in ("COMP_WORDS", "COMP_CWORD"):
        monkeypatch.delenv(name, raising=False)
    for name, value in line.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(main, prog_name="gpucnn")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "_GPUCNN_COMPLETE asks for completions" in result.stderr
    assert "fix: unset _GPUCNN_COMPLETE" in result.stderr


def test_help_tells_of_completion(run: Any) -> None:
    assert "_GPUCNN_COMPLETE=bash_source" in run("--help").out


def _commands(command: click.Command = main) -> Iterator[click.Command]:
    if not isinstance(command, click.Group):
        yield command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from _commands(found)


def test_every_value_that_has_names_or_files_is_completed() -> None:
    """Numbers have neither; `click.Choice` offers its choices by itself."""
    others = (click.types.IntParamType, click.types.FloatParamType, click.Choice)
    seen = 0
    for command in _commands():
        for param in command.params:
            if getattr(param, "is_flag", False) or param.name in FREE:
                continue
            if isinstance(param.type, others):
                continue
            seen += 1
            offered = param.shell_complete(click.Context(command), "")
            assert offered, f"{command.name} {param.opts[0]}"
    assert seen > 50


@pytest.fixture
def bash(tmp_path: Path) -> Any:
    """What bash would complete the last word of a line with, in a folder of some files."""
    shell = shutil.which("bash")
    if shell is None:
        pytest.skip("there is no bash")
    for name in ("runs/one", "dir x"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("runs/one/config.toml", "letters.npz", "my_net.py", "a b.csv"):
        (tmp_path / name).touch()
    program = tmp_path / "bin" / "gpucnn"
    program.parent.mkdir()
    code = "from gpucnn.cli.main import main; main(prog_name='gpucnn')"
    path = python_path(Path(__file__).resolve().parents[2])
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{path}" exec "{sys.executable}" -c "{code}"\n')
    program.chmod(0o755)
    script = BashWithFiles(main, {}, "gpucnn", "_GPUCNN_COMPLETE").source()
    # `compopt` needs a line that is being edited; the answers are what counts here.
    script += """
compopt() { :; }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_gpucnn_completion gpucnn
printf '%s\\n' "${COMPREPLY[@]}"
"""

    def complete(*words: str) -> set[str]:
        done = subprocess.run(
            [shell, "--norc", "-c", script, "bash", "gpucnn", *words],
            env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return set(filter(None, done.stdout.splitlines()))

    return complete


@pytest.mark.slow
def test_bash_offers_names_and_files_together(bash: Any) -> None:
    assert bash("train", "--model", "le") == {"lenet", "letters.npz"}
    assert bash("train", "--data", "dig") == {"digits"}
    assert bash("train", "--data", "di") == {"digits", "dir x"}
    assert bash("summary", "--model", "le") == {"lenet", "letters.npz"}
    everything = {"runs", "dir x", "letters.npz", "my_net.py", "a b.csv", "bin"}
    assert bash("train", "--model", "") == {"softmax", "mlp", "lenet", "cnn"} | everything


def test_bash_offers_runs_and_files(bash: Any) -> None:
    assert bash("train", "--resume", "r") == {"runs", "runs/one"}
    assert bash("predict", "runs/one", "a") == {"a b.csv"}
    assert bash("predict", "runs/one", "x", "--csv", "my") == {"my_net.py"}
    assert bash("train", "--config", "runs/one/") == {"runs/one/config.toml"}


@pytest.mark.slow
def test_bash_offers_what_is_no_file(bash: Any) -> None:
    assert bash("tr") == {"train"}
    assert bash("data", "fetch", "fa") == {"fashion-mnist"}
    assert bash("bench", "ops", "--suite", "q") == {"quick"}
    assert bash("train", "--name", "") == set()


def test_what_bash_sources_is_ours(run: Any) -> None:
    """`eval "$(_GPUCNN_COMPLETE=bash_source gpucnn)"`, as the help says."""
    code = "from gpucnn.cli.main import main; main(prog_name='gpucnn')"
    done = run_python(code, _GPUCNN_COMPLETE="bash_source")
    assert "compgen -f" in done.stdout
