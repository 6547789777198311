"""The learning curves of one or several trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gpucnn.errors import UsageError
from gpucnn.plots.extra import require
from gpucnn.plots.names import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gpucnn.plots.picture import Picture

Records = Sequence[Mapping[str, Any]]

_TRAIN, _VALIDATION, _TEST = "#4477aa", "#ee7733", "#228833"  # also for the color-blind
_COLORS = ("#4477aa", "#ee7733", "#228833", "#aa3377", "#66bbdd", "#bbaa22", "#888888")
_GRID = "#e5e5e5"
_MARKED = 30  # epochs of a curve up to which each has a dot
_LEGEND = 12  # runs with a name in the legend
_LARGEST = float(np.finfo(np.float32).max)
_LEAST = float(np.finfo(np.float32).tiny)


def show_curves(records: Any, title: str | None = None) -> Picture:
    """A picture of loss, accuracy and learning rate by epoch.

    One training has a curve for the training images and one for the validation set, and a star for
    the test. Several trainings have a color each; their validation curves are solid, and their
    training curves dashed.

    Args:
        records: of one training, as `gpucnn.training.History` or `Run.records` have them, or a
            `History`; or a mapping from the name of each training to these.
        title: above the picture.

    Raises:
        UsageError: there is no epoch, or they are no records.
        MissingExtraError: Matplotlib is not installed.
    """
    require("show_curves")
    several = isinstance(records, Mapping)
    runs = {
        str(name): _records(each) for name, each in (records if several else {"": records}).items()
    }
    if not any(runs.values()):
        raise UsageError(
            "show_curves: there is no epoch to draw",
            cause="a training has a record after its first epoch",
            fix="train for one epoch or more",
        )
    from gpucnn.plots.picture import Picture

    picture = Picture(11.5, 3.9)
    for axes, key, label in zip(
        picture.subplots(1, 3),
        ("loss", "accuracy", "learning_rate"),
        ("loss", "accuracy", "learning rate"),
        strict=True,
    ):
        if several:
            _draw_several(axes, runs, key)
        else:
            _draw_one(axes, runs[""], key)
        _finish(axes, key, label)
    handles, labels = picture.axes[0].get_legend_handles_labels()
    columns = min(len(labels), 4)
    picture.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
    if title is not None:
        picture.suptitle(title, parse_math=False, fontsize="medium")
    return picture


def _records(found: Any) -> Records:
    records = getattr(found, "records", found)
    if isinstance(records, (list, tuple)) and all(
        isinstance(record, Mapping)
        and isinstance(record.get("epoch"), int)
        and _is_drawable(record["epoch"])
        for record in records
    ):
        return records
    raise UsageError(
        f"show_curves: a {type(found).__name__} is no list of records",
        cause="the record of an epoch is a dictionary with epoch, loss and accuracy",
        fix="give what fit returns, or Run.open(path).records()",
    )


def _draw_one(axes: Axes, records: Records, key: str) -> None:
    if key == "learning_rate":
        _curve(axes, records, key, "learning rate", color=_TRAIN)
        return
    _curve(axes, records, key, "training", color=_TRAIN)
    _curve(axes, records, f"val_{key}", "validation", color=_VALIDATION)
    tested = _points(records[-1:], f"test_{key}")
    if tested:
        axes.plot(*zip(*tested, strict=True), "*", color=_TEST, markersize=11, label="test")


def _draw_several(axes: Axes, runs: Mapping[str, Records], key: str) -> None:
    for place, (name, records) in enumerate(runs.items()):
        color = _COLORS[place % len(_COLORS)]
        label = short(name, 28) if place < _LEGEND else "_"
        if key == "learning_rate":
            _curve(axes, records, key, label, color=color)
            continue
        validated = bool(_points(records, f"val_{key}"))
        _curve(axes, records, f"val_{key}", label, color=color)
        style = {"linestyle": "--", "alpha": 0.8}
        _curve(axes, records, key, "_" if validated else label, color=color, **style)
        if tested := _points(records[-1:], f"test_{key}"):
            axes.plot(*zip(*tested, strict=True), "*", color=color, markersize=11)


def _curve(axes: Axes, records: Records, key: str, label: str, **style: Any) -> None:
    points = _points(records, key)
    if points:
        marker = "o" if len(points) <= _MARKED else None
        axes.plot(*zip(*points, strict=True), marker=marker, markersize=3.5, label=label, **style)


def _points(records: Records, key: str) -> list[tuple[int, float]]:
    """(epoch, value) of the records whose value can be drawn."""
    return [
        (record["epoch"], float(record[key])) for record in records if _is_drawable(record.get(key))
    ]


def _is_drawable(value: Any) -> bool:
    """Whether it is a finite number of float32; Matplotlib computes differences of them."""
    return isinstance(value, (int, float)) and abs(value) <= _LARGEST


def _finish(axes: Axes, key: str, label: str) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    peaks = [float(np.max(np.asarray(line.get_ydata(), float))) for line in axes.lines]
    values = np.concatenate([[], *(np.asarray(line.get_ydata(), float) for line in axes.lines)])
    if key == "accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    elif key == "loss" and values.size and 0 < 30 * values.min() < values.max():
        axes.set_yscale("log")
    elif key == "learning_rate" and 0 < 10 * min(peaks, default=0) < max(peaks, default=0):
        axes.set_yscale("log")
        axes.set_ylim(bottom=max(min(peaks) / 1000, _LEAST))  # a schedule may end near 0
    elif values.size and values.min() >= 0:
        axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.set_title(label, fontsize="medium")
    axes.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
