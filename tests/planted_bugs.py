"""Whether the tests would notice: plants bugs in the kernels, one at a time, and runs them.

python tests/planted_bugs.py             all of them
python tests/planted_bugs.py NAME ...    those whose name contains one of the words

A bug is caught when a test fails that passes without it. One that survives is a hole in the tests,
and the exit code is 1. The bugs are in bug_table.py. They are planted in copies of the source tree
and run on the simulator, so that it takes a C++ compiler and no GPU.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cached_property
from pathlib import Path

from bug_table import BUGS, Bug

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("gpucnn", "cli", "kernels", "tests", "pyproject.toml")
AT_ONCE = 2
SECONDS = 120  # for one run; a bug may also have no end

# Prints where the modules come from that a test would import; see `check_imports`.
WHERE = """
import sys
import gpucnn.backend.cuda, gpucnn.backend.simulator, gpucnn.cli.main, gpucnn.kernels
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("gpucnn")))
"""


class Invalid(Exception):
    """A bug, or a selection of tests, that says nothing about the tests."""


class Planter:
    """Runs tests in copies of the source tree, in a temporary folder.

    Args:
        folder: where the copies are; who gives it removes it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: set[subprocess.Popen[str]] = set()
        self.lock = threading.Lock()
        self.is_stopped = False

    @cached_property
    def clean(self) -> Path:
        """A copy of what the tests need, in which no bug is planted."""
        to = Path(tempfile.mkdtemp(dir=self.folder))
        for name in NEEDED:
            if (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                shutil.copy2(ROOT / name, to / name)
        return to

    def copy(self) -> Path:
        """A copy to plant a bug in, with the bytecode of all that ran in the clean one."""
        return shutil.copytree(self.clean, Path(tempfile.mkdtemp(dir=self.folder)) / "copy")

    def run(self, copy: Path, *arguments: str) -> tuple[int, str]:
        """The exit code and the output of Python in a copy.

        Raises:
            Invalid: it takes too long.
        """
        environment = {**os.environ, "TMPDIR": str(self.folder)}
        # The order of threads, the sanitizer and what is compiled are then the tests' own, and the
        # bytecode lies in the copy.
        for name in (
            "GPUCNN_SIM_FROM",
            "GPUCNN_SIM_ORDER",
            "GPUCNN_SIM_SANITIZE",
            "PYTEST_ADDOPTS",
            "PYTHONDONTWRITEBYTECODE",
            "PYTHONPYCACHEPREFIX",
        ):
            environment.pop(name, None)
        path = [str(copy), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(path)
        with self.lock:
            if self.is_stopped:
                raise Invalid("interrupted")
            process = subprocess.Popen(
                [sys.executable, *arguments], cwd=copy, env=environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                start_new_session=True,  # so that the compilers that it starts end with it
            )  # fmt: skip
            self.running.add(process)
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise Invalid(f"no end after {SECONDS} s") from None
        finally:
            with self.lock:
                self.running.discard(process)
        return process.returncode, output

    def test(self, copy: Path, *arguments: str) -> tuple[int, str]:
        """The exit code and the output of pytest."""
        options = ("-x", "-q", "-p", "no:cacheprovider", "-m", "", "--device", "sim", "--tb=short")
        return self.run(copy, "-m", "pytest", *options, *arguments)

    def stop(self) -> None:
        """Ends what is running, and lets nothing more start."""
        with self.lock:
            self.is_stopped = True
            for process in self.running:
                os.killpg(process.pid, signal.SIGINT)

    # ---- what is asked of the tests --------------------------------------------------------

    def check_imports(self) -> None:
        """An installed gpucnn, or the checkout, must not stand in for the copy.

        Raises:
            Invalid: it does.
        """
        status, output = self.run(self.clean, "-c", WHERE)
        files = [Path(file) for file in output.split()]
        if status != 0 or not files or not all(file.is_relative_to(self.clean) for file in files):
            raise Invalid(f"not the copy in {self.clean} is imported, but:\n{output}")

    def check_tests(self, file: str, selections: Sequence[str]) -> None:
        """The tests that are to fail with a bug pass without one, and none is skipped.

        Raises:
            Invalid: they do not.
        """
        chosen = " or ".join(f"({selection})" for selection in dict.fromkeys(selections))
        status, output = self.test(self.clean, f"tests/{file}", "-k", chosen)
        if status != 0 or "skipped" in output.splitlines()[-1]:
            raise Invalid(f"without a bug, {file} -k {shlex.quote(chosen)}:\n{output}")

    def catch(self, bug: Bug) -> str | None:
        """The test that fails with the bug; None if it survives.

        Raises:
            Invalid: it cannot be planted, does not compile, or pytest itself fails.
        """
        copy = self.copy()
        plant(bug, copy)
        status, output = self.test(copy, f"tests/{bug.tests}", "-k", bug.selection)
        shutil.rmtree(copy.parent)
        if status == 0:
            return None
        failed = [line for line in output.splitlines() if line.startswith("FAILED ")]
        if status != 1 or not failed:
            raise Invalid(f"pytest ended with {status}:\n{output}")
        if "does not compile it" in output:
            raise Invalid(f"it does not compile:\n{output}")
        return failed[0].removeprefix("FAILED ").partition(" - ")[0].rpartition("/")[2]


def plant(bug: Bug, root: Path) -> None:
    """Changes the file.

    Raises:
        Invalid: the text that is to be changed is not there, or not only once; or what comes out
            is no Python.
    """
    file = root / bug.file
    text = file.read_text()
    if text.count(bug.old) != 1 or bug.old == bug.new:
        raise Invalid(f"{bug.file} has its text {text.count(bug.old)} times, not once: {bug.old!r}")
    text = text.replace(bug.old, bug.new)
    if file.suffix == ".py":
        try:
            compile(text, bug.file, "exec")
        except SyntaxError as error:
            raise Invalid(f"it does not compile: {error}") from None
    file.write_text(text)


def selected(words: Sequence[str]) -> list[Bug]:
    """The bugs whose name contains one of the words; all without a word."""
    return [bug for bug in BUGS if not words or any(word in bug.name for word in words)]


def main(words: Sequence[str]) -> int:
    """Runs the bugs and prints a line each; returns the exit code."""
    bugs = selected(words)
    if not bugs:
        print(f"no bug is called {' or '.join(words)}", file=sys.stderr)
        return 2
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="planted_bugs.") as folder:
        planter, pool = Planter(Path(folder).resolve()), ThreadPoolExecutor(AT_ONCE)
        try:
            survived, invalid = _run(planter, pool, bugs)
        except Invalid as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            planter.stop()
            pool.shutdown(cancel_futures=True)
    caught = len(bugs) - survived - invalid
    print(
        f"{len(bugs)} bugs: {caught} caught, {survived} survived, {invalid} invalid, "
        f"in {time.monotonic() - started:.0f} s"
    )
    return 1 if survived or invalid else 0


def _run(planter: Planter, pool: ThreadPoolExecutor, bugs: Sequence[Bug]) -> tuple[int, int]:
    """How many survived, and how many are invalid."""
    planter.check_imports()
    selections: dict[str, list[str]] = {}
    for bug in bugs:
        selections.setdefault(bug.tests, []).append(bug.selection)
    for check in [pool.submit(planter.check_tests, *item) for item in selections.items()]:
        check.result()
    survived = invalid = 0
    futures = {pool.submit(planter.catch, bug): bug for bug in bugs}
    for future in as_completed(futures):
        try:
            test = future.result()
        except Invalid as error:
            invalid += 1
            outcome = f"invalid: {error}"
        else:
            survived += test is None
            outcome = "SURVIVED" if test is None else f"caught by {test}"
        print(f"{futures[future].name}: {outcome}", flush=True)
    return survived, invalid


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up as after Ctrl-C
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
