"""Real processes: killed, interrupted, limited. What they leave is resumed to the same bits."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import run_python
from safetensors.numpy import load_file

from gpucnn.training.checkpoint import load_weights

Spawn = Callable[..., "subprocess.Popen[str]"]

TRAIN = [
    "train", "--data", "digits", "--model", "mlp", "--epochs", 3, "--limit-batches", 8,
    "--validation", 100, "--checkpoint-every", 3, "--shift", 1, "--quiet",
]  # fmt: skip


def _finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def _contents(run: Path) -> dict[str, Any]:
    state = run / "weights" / "state-24.safetensors"  # the previous one is beside it
    return {
        "last": (run / "weights" / "last.safetensors").read_bytes(),
        "best": (run / "weights" / "best.safetensors").read_bytes(),
        "state": {name: array.tobytes() for name, array in load_file(state).items()},
    }


@pytest.fixture
def whole(spawn: Spawn, tmp_path: Path) -> dict[str, Any]:
    """What an uninterrupted run leaves."""
    code, _, err = _finish(spawn(*TRAIN, "--name", "whole"))
    assert code == 0, err
    return _contents(tmp_path / "runs" / "whole")


@pytest.mark.slow
def test_sigkill_at_any_moment(spawn: Spawn, tmp_path: Path, whole: dict[str, Any]) -> None:
    draw = random.Random(1)
    run = tmp_path / "runs" / "killed"
    process = spawn(*TRAIN, "--json", "--name", "killed")
    steps = []
    for _ in range(6):
        assert process.stdout is not None
        assert '"start"' in process.stdout.readline()
        time.sleep(draw.uniform(0.0, 0.1))
        process.kill()
        process.communicate()
        steps.append(load_weights(run / "weights" / "last.safetensors")[1]["step"])
        process = spawn("train", "--resume", run, "--json")
    assert _finish(process)[0] == 0
    assert steps == sorted(steps)
    assert steps[0] < 24, "it was never killed at work"
    assert _contents(run) == whole


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals(
    spawn: Spawn, tmp_path: Path, whole: dict[str, Any], number: signal.Signals
) -> None:
    process = spawn(*TRAIN, "--json", "--name", "stopped")
    assert process.stdout is not None
    assert '"start"' in process.stdout.readline()
    process.send_signal(number)
    code, out, err = _finish(process)
    assert code == 130
    assert "Traceback" not in err
    assert "fix: go on with: gpucnn train --resume runs/stopped" in err
    assert '"kind": "interrupted"' in out.splitlines()[-1]
    assert _finish(spawn("train", "--resume", "runs/stopped", "--quiet"))[0] == 0
    assert _contents(tmp_path / "runs" / "stopped") == whole


@pytest.mark.slow
def test_a_file_size_limit_keeps_the_checkpoint(spawn: Spawn, tmp_path: Path) -> None:
    """The state of Adam is larger than the limit: the very first checkpoint cannot be written."""
    limit = 3 << 20  # between the weights of mlp (2.7 MB) and its optimizer's state (5.4 MB)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    code, _, err = _finish(spawn(*TRAIN, "--name", "full", preexec_fn=limited))
    assert code == 1
    assert "cause: the file is larger than the system allows" in err
    assert "Traceback" not in err
    run = tmp_path / "runs" / "full"
    assert not list(run.rglob("*.tmp"))
    assert _finish(spawn("train", "--resume", run, "--quiet"))[0] == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(spawn: Spawn, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir(mode=0o555)
    code, _, err = _finish(spawn(*TRAIN))
    assert code == 1
    assert "cause: permission denied" in err


@pytest.mark.slow
def test_a_reader_that_goes_away(spawn: Spawn) -> None:
    process = spawn(*TRAIN, "--json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        err = process.stderr.read()
    process.wait(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_terminal_gets_a_bar(spawn: Spawn) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = spawn(*TRAIN[:-1], "--log-interval", 1, stderr=theirs)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # Linux: the other end was closed
        while piece := os.read(ours, 4096):
            seen += piece
    os.close(ours)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.startswith("finished")
    for part in (b"images/s", b"ETA", b"epoch 3/3", b"\x1b["):
        assert part in seen


def _close_stderr() -> None:
    os.close(2)


@pytest.mark.slow
def test_stderr_may_be_closed(spawn: Spawn, tmp_path: Path) -> None:
    code, out, _ = _finish(spawn(*TRAIN[:-1], preexec_fn=_close_stderr, stderr=None))
    assert code == 0
    assert out.startswith("finished")
    assert _finish(spawn("train", "--lr", "-1", "--debug", preexec_fn=_close_stderr))[0] == 2


@pytest.mark.slow
def test_a_stdout_that_is_full_stops_the_training(
    spawn: Spawn, tmp_path: Path, whole: dict[str, Any]
) -> None:
    with Path("/dev/full").open("w") as full:
        code, _, err = _finish(spawn(*TRAIN, "--json", "--name", "stopped", stdout=full))
    assert code == 1
    assert err == (
        "error: standard output cannot be written\n  cause: No space left on device\n"
        "  fix: go on with: gpucnn train --resume runs/stopped\n"
    )
    assert _finish(spawn("train", "--resume", "runs/stopped", "--quiet"))[0] == 0
    assert _contents(tmp_path / "runs" / "stopped") == whole


@pytest.mark.parametrize("args", [["--help"], ["doctor"], ["train", "--print-config"]])
def test_a_result_that_cannot_be_written(spawn: Spawn, args: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        code, _, err = _finish(spawn(*args, stdout=full))
    assert code == 1
    assert "No space left on device" in err
    assert "Traceback" not in err
    assert "Exception ignored" not in err


def test_an_error_keeps_its_code_when_nobody_listens(spawn: Spawn) -> None:
    with Path("/dev/full").open("w") as full:
        code, _, err = _finish(spawn("train", "--epochs", 0, "--json", stdout=full))
        assert code == 2
        assert "Exception ignored" not in err
        code, out, _ = _finish(spawn("train", "--epochs", 0, "--json", stderr=full))
        assert code == 2
        assert '"kind": "usage"' in out


_AT_IMPORT = """
class Finder:
    def find_spec(self, name, *_):
        if name == "click":
            os.kill(os.getpid(), number)
sys.meta_path.insert(0, Finder())
"""
_AT_EXIT = "import atexit; atexit.register(os.kill, os.getpid(), number)"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("moment", "expected"), [(_AT_IMPORT, 130), (_AT_EXIT, 0)])
def test_signals_in_the_first_and_last_moment(
    number: signal.Signals, moment: str, expected: int
) -> None:
    code = (
        f"import os, sys; number = {int(number)}; sys.argv = ['gpucnn', '--version']\n{moment}\n"
        "from gpucnn.cli.main import main\nmain()"
    )
    done = run_python(code)
    assert done.returncode == expected
    assert done.stderr == ""


def test_importing_the_commands_leaves_signals_alone() -> None:
    code = (
        "import signal; numbers = signal.SIGINT, signal.SIGTERM\n"
        "before = [signal.getsignal(n) for n in numbers]\n"
        "from gpucnn.cli.main import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: assert [signal.getsignal(n) for n in numbers] == before"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
