"""The runs in a directory, each in a line."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpucnn.data import NAMES
from gpucnn.errors import DataError, GpucnnError, cause_of
from gpucnn.training import Run
from gpucnn.training.code import Code
from gpucnn.training.damage import find_damage
from gpucnn.training.history import best_epoch
from gpucnn.training.run import CONFIG
from gpucnn.training.sweep import RECORD


@dataclass(frozen=True)
class RunSummary:
    """A run in a line. Values that are not known are None.

    Attributes:
        name: of its directory.
        path: of its directory.
        model: one of gpucnn's, or file and function of a model of one's own: "my_net.py:build".
        data: the name of the data set, or of the file or folder.
        epochs: that are done.
        planned: epochs that its options ask for.
        val_accuracy: the highest of its epochs.
        test_accuracy: of the last weights.
        seconds: of the training.
        date: of its start, in local time; None also if its file has a time that no calendar has.
        state: "finished", "interrupted", "diverged" or "running"; "waiting" for a run of a sweep
            that has not begun; "damaged" if a file of it is, as one that was cut short; "broken"
            for a directory whose options cannot be read.
        reason: why a finished training ended: as in `History`.
        problem: why it is broken, which file is damaged, or where it diverged.
        overfits: whether its test is on the training images, as with `overfit_batches`.
    """

    name: str
    path: str
    model: str | None = None
    data: str | None = None
    epochs: int | None = None
    planned: int | None = None
    val_accuracy: float | None = None
    test_accuracy: float | None = None
    seconds: float | None = None
    date: datetime.datetime | None = None
    state: str = "broken"
    reason: str | None = None
    problem: str | None = None
    overfits: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The attributes as JSON values."""
        return {**vars(self), "date": self.date and self.date.isoformat(timespec="seconds")}


def summaries(folder: str | os.PathLike[str] = "runs") -> list[RunSummary]:
    """The runs in a directory, the oldest first; broken ones are last.

    A directory is a run if it has a config.toml, a metrics.jsonl or a folder weights.

    Raises:
        DataError: there is no such directory, or it cannot be read.
    """
    place = Path(folder)
    try:
        found = [path for path in place.iterdir() if path.name[0] != "." and _looks_like_run(path)]
    except OSError as error:
        raise DataError(
            f"{place} cannot be listed",
            cause=cause_of(error),
            fix="give the directory of the runs, which gpucnn train --runs-dir makes [runs]",
        ) from error
    rows = [summarize(Run(path)) for path in sorted(found, key=natural)]
    return sorted(rows, key=lambda row: row.date.timestamp() if row.date else float("inf"))


def summarize(run: Run) -> RunSummary:
    """A run in a line; a broken one is no error."""
    name, path = run.path.name, str(run.path)
    try:
        config = Run.open(path).config()
        date = _local((run.path / CONFIG).stat().st_mtime)
        records, outcome = run.records(), run.outcome()
        best = best_epoch(records)
        code = Code.parse(config.model)
        state, problem = _state(run, outcome, len(records) >= config.epochs)
        return RunSummary(
            name,
            path,
            model=f"{Path(code.file).name}:{code.function}" if code else config.model,
            data=config.data if config.data in NAMES else Path(config.data).name,
            epochs=len(records),
            planned=config.epochs,
            val_accuracy=None if best is None else records[best - 1]["val_accuracy"],
            test_accuracy=records[-1].get("test_accuracy") if records else None,
            seconds=outcome.get("seconds") or sum(record["seconds"] for record in records),
            date=date,
            state=state,
            reason=outcome.get("reason"),
            problem=problem,
            overfits=config.overfit_batches is not None,
        )
    except GpucnnError as error:
        return RunSummary(name, path, problem=error.reason)
    except OSError as error:
        return RunSummary(name, path, problem=cause_of(error))


def _local(seconds: float) -> datetime.datetime | None:
    """The local time of a file; None for one before the year 1 or after the year 9999."""
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.datetime.fromtimestamp(seconds).astimezone()
    return None


def shown_records(run: Run) -> list[dict[str, Any]]:
    """The records of a run, without a test if that is on the training images."""
    records = run.records()
    try:
        if run.config().overfit_batches is None:
            return records
    except GpucnnError:  # no options can be read
        return records
    return [
        {key: value for key, value in record.items() if not key.startswith("test_")}
        for record in records
    ]


def _state(run: Run, outcome: dict[str, Any], complete: bool) -> tuple[str, str | None]:
    """The state of a run, and what is wrong with it."""
    if run.is_in_use():
        return "running", None
    if damage := find_damage(run):
        return "damaged", damage
    if outcome:
        is_diverged = outcome["reason"] == "diverged"
        return "diverged" if is_diverged else "finished", outcome.get("message")
    if not run.has_checkpoint() and os.path.isfile(run.path.parent / RECORD):
        return "waiting", None
    # A run of an older version says nothing of its end.
    return "finished" if complete else "interrupted", None


def _looks_like_run(path: Path) -> bool:
    return os.path.isdir(path) and any(
        os.path.exists(path / part) for part in (CONFIG, "metrics.jsonl", "weights")
    )


def natural(path: Path) -> list[tuple[int, str]]:
    """A key that sorts train-2 before train-10."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [
        (int(part), "") if part.isdecimal() and len(part) < 19 else (-1, part) for part in parts
    ]
