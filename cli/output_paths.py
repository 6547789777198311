"""Checks of the files that a command will write, before the long part of its work."""

from __future__ import annotations

import tempfile
from pathlib import Path

from gpucnn import plots
from gpucnn.errors import StorageError, UsageError
from gpucnn.training.files import storage_errors


def check_target(path: Path, option: str) -> None:
    """Raise an error if a file cannot be put at `path`, which `option` gave.

    Raises:
        UsageError: it is "-", which means standard output in other programs.
        StorageError: no file can be written there.
    """
    if str(path) == "-":
        raise UsageError(f"{option} - names no file", fix=f"give {option} the name of a file")
    if path.exists() and not path.is_file():
        raise StorageError(
            f"{path} cannot be written",
            cause="it is a folder, or a device",
            fix=f"give {option} the name of a file",
        )
    with storage_errors(path, f"{option} FILE"), tempfile.TemporaryFile(dir=path.parent):
        pass  # files are renamed into place, so it is the folder that must be writable


def check_picture(path: Path, device: str, option: str = "--plot") -> None:
    """`check_target` for a PNG of times on `device`; Matplotlib must be installed.

    Raises:
        UsageError: it does not end in .png, or the device does not time.
        MissingExtraError: Matplotlib is not installed.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"{option} writes a PNG file, not {path}", fix="give it a name in .png")
    if device == "sim":
        raise UsageError(
            f"there is nothing for {option} to draw",
            cause="the simulator does not time",
            fix="give --device cpu or cuda",
        )
    check_target(path, option)
    plots.require(option)
