"""The group: help without its commands, and what becomes of errors."""

from __future__ import annotations

from typing import Any

import pytest
from processes import run_python

import gpucnn
from gpucnn.cli import main as group
from gpucnn.errors import DataError, GpucnnError

HEAVY = ("numpy", "rich", "safetensors", "requests", "gpucnn.training", "gpucnn.backend")


def test_help_loads_no_heavy_module() -> None:
    code = (
        "import sys\n"
        "from gpucnn.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as leave: assert leave.code == 0\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    done = run_python(code)
    assert not set(done.stderr.split()) & set(HEAVY)
    for name in group.COMMANDS:
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize("name", group.COMMANDS)
def test_every_command_has_help(run: Any, name: str) -> None:
    result = run(name, "--help")
    assert result.code == 0
    assert "Usage:" in result.out


def test_version(run: Any) -> None:
    assert run("--version").out == f"gpucnn {gpucnn.__version__}\n"


@pytest.mark.parametrize(
    "args",
    [
        ["trian"],
        ["train", "--colour", "red"],
        ["train", "--epochs", "many"],
        ["evaluate"],
        ["predict", "runs/train-1"],
    ],
)
def test_usage_errors(run: Any, args: list[str]) -> None:
    result = run(*args, "--json")
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert "--help" in result.err
    (event,) = result.events
    assert set(event) == {"event", "kind", "message", "cause", "fix"}
    assert (event["event"], event["kind"]) == ("error", "usage")


def _fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("gpucnn.cli.doctor.describe_environment", fail)


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (DataError("no images", cause="lost", fix="find them"), 4, "no images"),
        (KeyError("spam"), 1, "this is a bug"),
        (PermissionError(13, "Permission denied", "/x/y"), 1, "/x/y: Permission denied"),
        (MemoryError(), 1, "fewer images, or a smaller --batch-size where the command has one"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_every_error_is_a_message_and_a_code(
    run: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, says: str
) -> None:
    _fail_with(monkeypatch, error)
    result = run("doctor", "--json")
    assert result.code == code
    assert says in result.err
    assert "Traceback" not in result.err
    assert result.events[-1]["event"] == "error"
    assert result.events[-1]["message"]


def test_debug_shows_the_traceback(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _fail_with(monkeypatch, GpucnnError("oh"))
    assert "Traceback" not in run("doctor").err
    result = run("doctor", "--debug")
    assert "Traceback" in result.err
    assert result.err.endswith("error: oh\n")


def test_an_error_has_cause_and_fix_on_lines_of_their_own(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_with(monkeypatch, DataError("no images", cause="lost", fix="find them"))
    result = run("doctor")
    assert result.err == "error: no images\n  cause: lost\n  fix: find them\n"
    assert result.out == ""


@pytest.mark.filterwarnings("default")
def test_a_misspelt_variable_is_told(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUCNN_SIM_ORDRE", "reverse")
    result = run("data", "list")
    assert result.code == 0
    assert "warning: the environment variable GPUCNN_SIM_ORDRE is unknown" in result.err
    assert "  fix: did you mean GPUCNN_SIM_ORDER?" in result.err
    assert ".py" not in result.err
