"""The pictures in the directory of a run: curves.png and confusion.png."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpucnn import plots
from gpucnn.training import Run
from gpucnn.training.files import write_atomic
from gpucnn.training.report import Report

CURVES, CONFUSION = "curves.png", "confusion.png"


def save_pictures(
    run: Run,
    records: Sequence[Mapping[str, Any]],
    report: Report | None = None,
    part: str = "test set",
) -> list[Path]:
    """Write the learning curves into the directory of a run, and the confusion matrix of a report.

    Without a report, an older confusion.png is deleted: it would be that of other weights.

    Args:
        records: of the epochs, at least one.
        report: on the `part` of the data.

    Returns:
        The files.

    Raises:
        MissingExtraError: Matplotlib is not installed, or cannot be imported.
        StorageError: a file cannot be written.
    """
    plots.require("drawing")
    files = {run.path / CURVES: plots.show_curves(records, run.path.name)}
    if report is not None:
        files[run.path / CONFUSION] = show_report(report, part)
    else:
        (run.path / CONFUSION).unlink(missing_ok=True)
    for path, picture in files.items():
        write_atomic(path, picture.png())
    return list(files)


def show_report(report: Report, part: str) -> plots.Picture:
    """The confusion matrix of a report on a part of the data, with its accuracy as the title."""
    title = f"{part}: {report.accuracy:.2%} of {report.confusion.sum():,} images right"
    return plots.show_confusion(report.confusion, report.class_names, title)
