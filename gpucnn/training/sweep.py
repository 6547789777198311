"""A sweep: the runs of all combinations of some options, one after the other, in one folder.

runs/sweep-1/
    sweep.json            for each run its settings, its state and its results
    sweep.csv             the same as a table
    1-lr=0.001-seed=0/    the directory of each run
"""

from __future__ import annotations

import itertools
import json
import math
import os
import shlex
import statistics
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from gpucnn import files
from gpucnn.backend import Backend
from gpucnn.errors import DataError, UsageError, cause_of
from gpucnn.quoting import quoted
from gpucnn.training.code import Code
from gpucnn.training.config import TrainConfig
from gpucnn.training.csv_log import table
from gpucnn.training.grid import Settings, folder_name
from gpucnn.training.history import History
from gpucnn.training.run import CONFIG, Run
from gpucnn.training.sweep_rows import Row, read_rows, results_of
from gpucnn.writing import remove_folder, storage_errors, write_atomic

RECORD = "sweep.json"
_LONGEST = 2_500_000  # bytes of it
_METRICS = ("val_accuracy", "test_accuracy", "accuracy")


class Sweep:
    """The folder of a sweep; make one with `create`, `open` or `newest`.

    Attributes:
        path: the folder.
        rows: the runs, in the order in which they are trained.
    """

    def __init__(self, path: Path, rows: Sequence[Row]) -> None:
        self.path, self.rows = path, list(rows)

    @classmethod
    def create(
        cls,
        runs_dir: str,
        name: str | None,
        runs: Sequence[tuple[Settings, TrainConfig, Code | None]],
        backends: Sequence[Backend],
    ) -> Sweep:
        """Make the folder `runs_dir/name`, or the first free `runs_dir/sweep-N`, and all its runs.

        Args:
            runs: of each its settings, its options, and the code of the user's own model.
            backends: the device of each.

        Raises:
            UsageError: `name` is taken.
            StorageError: the folder cannot be written.
        """
        path = _claim(Path(runs_dir), name)
        try:
            rows = []
            for number, ((values, config, code), backend) in enumerate(
                zip(runs, backends, strict=True), 1
            ):
                folder = folder_name(number, len(runs), values)
                Run.create(replace(config, runs_dir=str(path), name=folder), backend, code)
                rows.append(Row(folder, values, None, results_of([], None, None)))
            sweep = cls(path, rows)
            sweep.write()
        except BaseException:
            remove_folder(path)
            raise
        return sweep

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Sweep:
        """The sweep in a folder.

        Raises:
            DataError: there is none, or its record is damaged.
        """
        file = Path(path) / RECORD
        try:
            return cls(Path(path), read_rows(json.loads(files.read(file, _LONGEST))))
        except OSError as error:
            raise DataError(
                f"there is no sweep in {path}",
                cause=cause_of(error),
                fix="give the folder of a sweep, as runs/sweep-1",
            ) from error
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{file} is damaged",
                cause=quoted(error),
                fix=f"resume the runs in {path} one by one: gpucnn train --resume RUN",
            ) from error

    @classmethod
    def newest(cls, runs_dir: str) -> Sweep | Run:
        """The run or the sweep that was started last of those in `runs_dir`.

        Raises:
            DataError: there is none, or the record of the sweep is damaged.
        """
        sweeps = {
            file.parent: max(
                (config.stat().st_mtime_ns for config in file.parent.glob(f"*/{CONFIG}")), default=0
            )
            for file in Path(runs_dir).glob(f"[!.]*/{RECORD}")
        }
        newest = max(sweeps, key=lambda path: sweeps[path], default=None)
        try:
            run = Run.newest(runs_dir)
        except DataError:
            if newest is None:
                raise
            return cls.open(newest)
        started = (run.path / CONFIG).stat().st_mtime_ns
        return run if newest is None or started > sweeps[newest] else cls.open(newest)

    @property
    def resume_command(self) -> str:
        """The command that goes on with the sweep."""
        trust = " --trust-code" if any(self.run(row).has_code for row in self.rows) else ""
        return f"gpucnn train --resume {shlex.quote(str(self.path))}{trust}"

    def lock(self) -> AbstractContextManager[None]:
        """Reserve the folder for this process, as `Run.lock` does a run; raises the same."""
        return Run(self.path).lock()

    def run(self, row: Row) -> Run:
        """The run of a row."""
        return Run(self.path / row.run)

    def finish(self, row: Row, history: History) -> None:
        """Record the result of a training.

        Raises:
            StorageError: it cannot be written.
        """
        row.state = history.outcome
        row.results = results_of(history.records, history.test, history.seconds)
        self.write()

    def fail(self, row: Row, state: str, message: str) -> None:
        """Record the error that ended a training.

        Raises:
            StorageError: it cannot be written.
        """
        row.state, row.message = state, message
        row.results = results_of([], None, None) | {"epochs": len(self.run(row).records())}
        self.write()

    def write(self) -> None:
        """Write sweep.json and sweep.csv."""
        rows = [row.as_dict() for row in self.rows]
        text = json.dumps({"format": 1, "runs": rows}, indent=2, allow_nan=False)
        write_atomic(self.path / RECORD, f"{text}\n".encode())
        flat = [{"run": row.pop("run"), **row.pop("settings"), **row} for row in rows]
        write_atomic(self.path / "sweep.csv", table(flat).encode())


def metric_of(rows: Sequence[Row]) -> str:
    """The accuracy to compare runs by: that of the validation, else of the test, else of training.

    It is the first that all runs have that did not fail.
    """
    done = [row for row in rows if row.state is not None and not row.has_failed]
    for metric in _METRICS:
        if all(row.results[metric] is not None for row in done):
            return metric
    return _METRICS[-1]


@dataclass(frozen=True)
class Spread:
    """A metric of the runs that differ in their seed alone.

    Attributes:
        settings: their other settings.
        runs: how many of them have a result.
        failed: how many of them ended by an error.
        mean, std, lowest, highest: of the metric; `std` is the sample standard deviation, with
            n - 1. None where there are too few runs.
    """

    settings: Settings
    runs: int
    failed: int
    mean: float | None
    std: float | None
    lowest: float | None
    highest: float | None


def spreads(rows: Sequence[Row], metric: str) -> list[Spread]:
    """The spread over the seeds for each combination of the other settings, in their order."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        others = {key: value for key, value in row.settings.items() if key != "seed"}
        groups.setdefault(json.dumps(others), []).append(row)
    found = []
    for key, group in groups.items():
        values = [row.results[metric] for row in group if row.results[metric] is not None]
        found.append(
            Spread(
                json.loads(key),
                len(values),
                sum(row.has_failed for row in group),
                math.fsum(values) / len(values) if values else None,
                statistics.stdev(values) if len(values) > 1 else None,
                min(values, default=None),
                max(values, default=None),
            )
        )
    return found


def _claim(runs_dir: Path, name: str | None) -> Path:
    """Make the folder of a new sweep."""
    with storage_errors(runs_dir):
        runs_dir.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            path = runs_dir / (name or f"sweep-{number}")
            try:
                path.mkdir()
                break
            except FileExistsError:
                if name is not None:
                    raise UsageError(f"{path} exists already", fix="give another --name") from None
    return path
