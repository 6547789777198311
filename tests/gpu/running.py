"""Running one part of `prove.py`: a process with a time limit, which leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_GRACE = 10.0  # seconds that a process has to save its results after it was interrupted
_EVERY = 20.0  # seconds between two calls of `tick`
_TAIL = 8  # lines
_TAIL_BYTES = 1 << 14


def run(
    command: Sequence[str], log: Path, limit: float, tick: Callable[[], object]
) -> tuple[int | None, bool]:
    """Run a process for at most `limit` seconds.

    Shortly before the limit the process is interrupted (SIGINT), so that it can save its results.
    At the limit it is killed, and at its end all processes that it started are killed.

    Args:
        command: program and arguments.
        log: the file for all that is printed.
        tick: called every 20 seconds.

    Returns:
        The exit code (None: it could not be killed), and whether the time was up.

    Raises:
        OSError: the process cannot be started, or the log cannot be written.
    """
    end = time.monotonic() + limit
    with log.open("wb") as file:
        # A process group, so that its processes can be killed together. It stays in the session:
        # what kills the session kills them too.
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL,
            stdout=file, stderr=subprocess.STDOUT, process_group=0,
        )  # fmt: skip
    try:
        late = not _wait(process, end - min(_GRACE, limit / 4), tick)
        if late:
            process.send_signal(signal.SIGINT)
            _wait(process, end, tick)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)  # a process that waits for the driver may not end
    return process.returncode, late


def environment() -> dict[str, str]:
    """This process's, with the library and the tests before what PYTHONPATH has already."""
    paths = [ROOT, ROOT / "tests", os.environ.get("PYTHONPATH")]
    path = os.pathsep.join(str(path) for path in paths if path)
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def tail(log: Path) -> list[str]:
    """The last lines of a log, without empty ones and without colors; [] if there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    lines = (re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in text.splitlines())
    return [line for line in lines if line][-_TAIL:]


def _wait(process: subprocess.Popen[bytes], until: float, tick: Callable[[], object]) -> bool:
    """Whether the process ended before `until`."""
    while (left := until - time.monotonic()) > 0:
        try:
            process.wait(timeout=min(left, _EVERY))
            return True
        except subprocess.TimeoutExpired:
            tick()
    return process.poll() is not None
