"""The pictures in the directory of a run: curves.png and confusion.png."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpucnn import plots
from gpucnn.errors import UsageError
from gpucnn.training import Run
from gpucnn.training.report import LARGEST, Report
from gpucnn.writing import write_atomic

CURVES, CONFUSION = "curves.png", "confusion.png"


def save_pictures(
    run: Run,
    records: Sequence[Mapping[str, Any]],
    report: Report | None = None,
    part: str = "test set",
) -> list[Path]:
    """Write the learning curves into the directory of a run, and the confusion matrix of a report.

    Without a report, an older confusion.png is deleted: it would be that of other weights. So it is
    with a report on more than 1,000 classes, whose matrix is not drawn.

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
    if report is not None and len(report.class_names) <= LARGEST:
        files[run.path / CONFUSION] = show_report(report, part)
    else:
        (run.path / CONFUSION).unlink(missing_ok=True)
    for path, picture in files.items():
        write_atomic(path, picture.png())
    return list(files)


def show_report(report: Report, part: str) -> plots.Picture:
    """The confusion matrix of a report on a part of the data, with its accuracy as the title.

    Raises:
        UsageError: it has more than 1,000 classes.
    """
    if (K := len(report.class_names)) > LARGEST:
        raise UsageError(
            f"the confusion matrix of {K:,} classes is not drawn",
            cause=f"it has more than {LARGEST:,}",
            fix="gpucnn evaluate prints the pairs of classes that are confused most",
        )
    title = f"{part}: {report.accuracy:.2%} of {report.counts.sum():,} images right"
    return plots.show_confusion(report.confusion, report.class_names, title)
