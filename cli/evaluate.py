"""gpucnn evaluate"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import numpy as np

from gpucnn.cli.downloads import DownloadProgress
from gpucnn.cli.options import (
    SPLITS,
    data_options,
    device_option,
    reading_options,
    saved_options,
)
from gpucnn.cli.output import Console, loss_text, output_options
from gpucnn.data import Reading
from gpucnn.nn.summary import aligned
from gpucnn.quoting import quoted
from gpucnn.training import SavedModel
from gpucnn.training.report import LARGEST, Report

_LARGEST = 20  # classes of the largest matrix that is shown whole
_ERRORS = 10  # the number of errors shown of a larger matrix


@click.command()
@saved_options
@data_options
@click.option("--split", type=click.Choice(SPLITS), help="[test if there is such a part, else all]")
@reading_options
@device_option
@output_options
def command(
    load: Callable[[str], SavedModel],
    data: str | None,
    data_dir: str | None,
    split: str | None,
    reading: Reading,
    device: str,
    console: Console,
) -> None:
    """Evaluate RUN on labeled data: loss, accuracy, and precision and recall of each class.

    RUN is a run directory, or a .safetensors file of one. The data are read like the training data
    of RUN, and classes are matched by name.
    """
    saved = load(console.device(device))
    with DownloadProgress(console):
        dataset, split, text, notes = saved.dataset(data, split, data_dir, reading)
    console.data(text, notes)
    report = saved.report(dataset)
    _events(report, console)
    console.result(
        f"{split} accuracy {report.accuracy:.2%}, loss {loss_text(report.loss)} "
        f"({len(dataset):,} images, {saved.path})"
    )
    console.result(_scores(report))
    console.result(_confusion(report))


def _events(report: Report, console: Console) -> None:
    for score in report.scores:
        console.event({"event": "class", **score._asdict()})
    confusion: dict[str, Any] = {"event": "confusion", "labels": list(report.class_names)}
    if len(report.class_names) <= LARGEST:
        confusion["matrix"] = report.confusion.tolist()
    else:  # [class, answer, images] of each pair that occurs
        confusion["counts"] = np.column_stack([report.pairs, report.counts]).tolist()
    console.event(confusion)
    console.event({"event": "end", "loss": report.loss, "accuracy": report.accuracy})


def _scores(report: Report) -> str:
    """A line for each class."""
    rows: list[tuple[str, ...]] = [("class", "images", "precision", "recall", "F1")]
    for label, images, *scores in report.scores:
        rows.append((label, f"{images:,}", *("-" if s is None else f"{s:.2%}" for s in scores)))
    return _table(rows)


def _confusion(report: Report) -> str:
    """The matrix, or the most frequent errors of a large one."""
    used = np.unique(report.pairs).tolist()
    if len(used) > _LARGEST:
        rows: list[tuple[str, ...]] = [("class", "taken for", "images")]
        rows += [(true, taken, f"{n:,}") for true, taken, n in report.confused[:_ERRORS]]
        return "\n" + _table(rows)
    names = [report.class_names[k] for k in used]
    head = ("true \\ answered", *names)
    counts = dict(zip(map(tuple, report.pairs.tolist()), report.counts.tolist(), strict=True))
    lines = [(report.class_names[i], *(str(counts.get((i, j), 0)) for j in used)) for i in used]
    return "\n" + _table([head, *lines])


def _table(rows: list[tuple[str, ...]]) -> str:
    return "\n".join(aligned([tuple(map(quoted, row)) for row in rows]))
