"""Whether a killed training loses anything: kills trainings at random instants, and resumes them.

python tests/kills.py                        20 kills
python tests/kills.py --kills 200 --seed 1   others, and more of them

A training is killed with SIGKILL, often several times: while it makes its run, trains, saves or
resumes. Before some of the kills it is stopped and continued (SIGSTOP, SIGCONT), and some are
interrupted (SIGTERM). After each of these its files must be readable. In the end it is resumed, and
must leave what a training without kills leaves, times apart. The exit code is 1 if one does not.
"""

from __future__ import annotations

import os

# Threads do not survive the fork, so this process starts none. The compiled backend writes the same
# files, and takes longer to start.
os.environ |= {"OPENBLAS_NUM_THREADS": "1", "GPUCNN_NUMBA": "0"}

import argparse
import importlib
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from run_files import Damaged, check_readable, contents, left

from gpucnn.cli import outcome
from gpucnn.cli.main import main as command

TRAIN = ("gpucnn.cli.train", "gpucnn.backend.cpu.backend")  # that a training imports
CODE = """
from gpucnn.nn import BatchNorm2d, Conv2d, Dense, Dropout, Flatten, ReLU, Sequential

def build(image_shape, classes):
    conv = Conv2d(4, 3, stride=2)
    return Sequential([conv, BatchNorm2d(), ReLU(), Flatten(), Dropout(0.3), Dense(classes)])
"""
OPTIONS = (
    "--data", "digits", "--epochs", "3", "--limit-batches", "6", "--batch-size", "32",
    "--validation", "40", "--checkpoint-every", "2", "--shift", "1", "--optimizer", "adam",
    "--device", "cpu", "--threads", "1", "--log", "csv",
)  # fmt: skip


@dataclass
class Killer:
    """Runs trainings in a folder, each in a forked process, and kills them."""

    folder: Path
    random: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0  # that a whole training takes

    def __post_init__(self) -> None:
        for name in TRAIN:
            importlib.import_module(name)  # once, and not in each process
        # They would take most of the time, are not read again, and are written as all files are.
        outcome.save_pictures = lambda *_: None
        self.code = self.folder / "net.py"
        self.code.write_text(CODE)
        self.runs = self.folder / "runs"

    def whole(self) -> dict[str, Any]:
        """The contents of a run that nobody kills."""
        begun = time.monotonic()
        self.finish(self.start("whole"), "whole")
        self.seconds = time.monotonic() - begun
        return contents(self.runs / "whole")

    def start(self, name: str) -> int:
        """Train, or resume if there is a run; returns the process."""
        run = self.runs / name
        there = (run / "config.toml").exists()
        self.counts["resumed"] += there
        new = ["--name", name, "--runs-dir", str(self.runs), "--model", f"{self.code}:build"]
        given = ["--resume", str(run), "--trust-code"] if there else [*OPTIONS, *new]
        process = os.fork()
        if process == 0:
            self._train(["train", *given], self.folder / f"{name}.log")
        return process

    def _train(self, arguments: Sequence[str], log: Path) -> None:
        """The forked process: a command that writes its output to `log`. Never returns."""
        code = 70
        try:
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(output, 1)
            os.dup2(output, 2)
            command(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 70
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def finish(self, process: int, name: str) -> None:
        """Wait for the end of a training.

        Raises:
            Damaged: it failed.
        """
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if code != 0:
            raise Damaged(f"exit code {code}:\n{(self.folder / f'{name}.log').read_text()[-2000:]}")

    def kill(self, name: str, most: int) -> int:
        """Train, and kill it again and again, at most `most` times; returns the number of kills."""
        run, kills = self.runs / name, 0
        while kills < most and (kills == 0 or self.random.random() < 0.6):
            process = self.start(name)
            time.sleep(self.random.uniform(0, self.seconds))
            if self.random.random() < 0.25:
                os.kill(process, signal.SIGSTOP)
                check_readable(run)
                os.kill(process, signal.SIGCONT)
                self.counts["stopped and continued"] += 1
                time.sleep(self.random.uniform(0, self.seconds / 10))
            is_term = self.random.random() < 0.2
            os.kill(process, signal.SIGTERM if is_term else signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            if is_term:
                self.counts["interrupted"] += 1
                if code not in (0, 130, -signal.SIGTERM):  # at its end, while it trains, at first
                    raise Damaged(f"exit code {code} after SIGTERM")
            elif code == -signal.SIGKILL:  # it had not ended before
                kills += 1
                self._count(run)
            check_readable(run)
            if code == 0:  # it ended before the signal
                break
        return kills

    def _count(self, run: Path) -> None:
        """Note what a killed training was doing."""
        if any(self.runs.glob(".new-*")):
            self.counts["killed while it made the run"] += 1
        elif list(run.rglob("*.tmp")):
            self.counts["killed while it wrote a file"] += 1
        elif not run.exists():
            self.counts["killed before it made the run"] += 1

    def check(self, name: str, expected: dict[str, Any]) -> None:
        """Resume a training to its end, and compare what it leaves.

        Raises:
            Damaged: it is something else.
        """
        self.finish(self.start(name), name)
        found = contents(self.runs / name)
        if different := [key for key in expected | found if found.get(key) != expected.get(key)]:
            raise Damaged(f"other contents: {', '.join(different)}")
        check_readable(self.runs / name)
        if paths := left(self.runs):
            raise Damaged(f"files that are left: {', '.join(map(str, paths))}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill trainings, and print a line for each that lost something; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    begun, kills, trainings, lost = time.monotonic(), 0, 0, 0
    with tempfile.TemporaryDirectory(prefix="kills.") as folder:
        killer = Killer(Path(folder), random.Random(given.seed))
        expected = killer.whole()
        while kills < given.kills:
            name = f"killed-{trainings}"
            trainings += 1
            try:
                kills += killer.kill(name, given.kills - kills)
                killer.check(name, expected)
            except Damaged as error:
                lost += 1
                print(f"{name}: {error}", flush=True)
    for what, count in sorted(killer.counts.items()):
        print(f"{what}: {count}")
    print(
        f"{kills} kills of {trainings} trainings: {trainings - lost} resumed to the same bits,"
        f" {lost} did not, in {time.monotonic() - begun:.0f} s"
    )
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
