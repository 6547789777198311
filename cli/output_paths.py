"""Checks of the files that a command will write, before the long part of its work."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from gpucnn import plots
from gpucnn.errors import StorageError, UsageError
from gpucnn.training.run import CONFIG
from gpucnn.training.sweep import RECORD
from gpucnn.writing import storage_errors

PAGE = (".html", ".htm")
#: The files in the directory of a run or a sweep that no other command may replace.
_OF_A_RUN = (
    CONFIG, RECORD, "environment.json", "metrics.jsonl", "metrics.csv", "outcome.json",
    "health.jsonl", "model.py", "curves.png", "confusion.png", "sweep.csv",
)  # fmt: skip
_FOLDERS = ("weights", "tensorboard")  # all files in these are of a run


def check_target(path: Path, option: str, *suffixes: str) -> None:
    """Raise an error if a file cannot be put at `path`, which `option` gave.

    Args:
        suffixes: of the files that the command writes; a file of another kind is not replaced.

    Raises:
        UsageError: it is "-", which means standard output in other programs; or it is a file of a
            run, or of another kind.
        StorageError: no file can be written there.
    """
    if str(path) == "-":
        raise UsageError(f"{option} - names no file", fix=f"give {option} the name of a file")
    if os.path.exists(path) and not os.path.isfile(path):
        raise StorageError(
            f"{path} cannot be written",
            cause="it is a folder, or a device",
            fix=f"give {option} the name of a file",
        )
    another = f"give {option} another name"
    if _is_of_a_run(path):
        raise UsageError(f"{path} is a file of a run", fix=another)
    if os.path.exists(path) and path.suffix.lower() not in suffixes:
        raise UsageError(
            f"{path} exists, and is no {suffixes[0]} file", fix=f"{another}, or delete that file"
        )
    with storage_errors(path, f"{option} FILE"), tempfile.TemporaryFile(dir=path.parent):
        pass  # files are renamed into place, so it is the folder that must be writable


def check_picture(path: Path, device: str) -> None:
    """`check_target` for the PNG of --plot, with times on `device`; Matplotlib must be installed.

    Raises:
        UsageError: it does not end in .png, or the device does not time.
        MissingExtraError: Matplotlib is not installed.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"--plot writes a PNG file, not {path}", fix="give it a name in .png")
    if device == "sim":
        raise UsageError(
            "there is nothing for --plot to draw",
            cause="the simulator does not time",
            fix="give --device cpu or cuda",
        )
    check_target(path, "--plot", ".png")
    plots.require("--plot")


def _is_of_a_run(path: Path) -> bool:
    """Whether a training, or a sweep, writes a file at a path in its folder."""
    for folder in path.absolute().parents:
        if any((folder / mark).is_file() for mark in (CONFIG, RECORD)):
            first, *rest = path.absolute().relative_to(folder).parts
            return first in (_FOLDERS if rest else _OF_A_RUN)
    return False
