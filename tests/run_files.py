"""The files of a run: whether they can be read, and whether they are those of another."""

from __future__ import annotations

import contextlib
import csv
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from gpucnn.training import Run, checkpoint

TIMES = {"seconds", "images_per_second", "date"}  # what differs from one training to the next


class Damaged(Exception):
    """A training did not leave the files that it should have."""


@contextlib.contextmanager
def nested(folder: Path) -> Iterator[None]:
    """A folder that is nested more deeply than functions can call each other, which is lowered."""
    usual, most = sys.getrecursionlimit(), len(inspect.stack(0)) + 150
    deeper = [Path(f"{folder}{'/d' * level}") for level in range(most)]
    deeper[0].parent.mkdir(parents=True, exist_ok=True)
    for path in deeper:
        path.mkdir()
    sys.setrecursionlimit(most)
    try:
        yield
    finally:  # pytest could not delete it
        sys.setrecursionlimit(usual)
        for path in reversed(deeper):
            with contextlib.suppress(FileNotFoundError):
                path.rmdir()


def left(folder: Path) -> list[Path]:
    """The files and folders below a folder that are of a write that did not end."""
    return [
        path
        for path in folder.rglob("*")
        if path.suffix == ".tmp" or path.name.startswith((".new-", ".download-"))
    ]


def check_readable(path: Path) -> None:
    """Read each file of a run that there is.

    Raises:
        Damaged: one of them is damaged.
    """
    if not path.exists():
        return
    run = Run.open(path)
    try:
        run.config()
        run.environment()
        for name in (checkpoint.LAST, checkpoint.PREVIOUS):
            if (run.weights / name).exists():
                checkpoint.read(run.weights, name)
        if run.best.exists():
            checkpoint.load_weights(run.best)
        for line in run.metrics.read_text().splitlines() if run.metrics.exists() else ():
            json.loads(line)
        if run.outcome_file.exists():
            json.loads(run.outcome_file.read_text())
    except Exception as error:
        raise Damaged(f"a file cannot be read: {type(error).__name__}: {error}") from error


def contents(run: Path) -> dict[str, Any]:
    """The files of a run by name: what is in them, without times.

    The previous checkpoint is left out, which may be of another step; so are pictures, and what
    the next start deletes.
    """
    weights = run / "weights"
    state = f"state-{checkpoint.read(weights).description['step']}.safetensors"
    found: dict[str, Any] = {}
    for path in (path for path in run.rglob("*") if path.is_file()):
        name = str(path.relative_to(run))
        if path.name == state:
            found[name] = {key: array.tobytes() for key, array in load_file(path).items()}
        elif path.suffix == ".jsonl" or path.name == "outcome.json":
            found[name] = [_timeless(json.loads(line)) for line in path.read_text().splitlines()]
        elif path.suffix == ".csv":
            found[name] = [_timeless(row) for row in csv.DictReader(path.open())]
        elif path.name.startswith(("state-", checkpoint.PREVIOUS)) or path.suffix in (
            ".png",
            ".tmp",
        ):
            continue
        else:
            found[name] = path.read_bytes()
    return found


def _timeless(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in TIMES}
