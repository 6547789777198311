"""The roofline: the speed of each operation beside the two ceilings of the machine.

Williams, Waterman and Patterson, "Roofline: an insightful visual performance model", 2009.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gpucnn import plots
from gpucnn.bench.record import BenchRow, Record
from gpucnn.bench.report import heading
from gpucnn.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from gpucnn.plots import Picture

#: Family -> the beginnings of its operations' names. The longest beginning counts.
_FAMILIES = {
    "convolution, forward": ("conv2d",),
    "convolution, gradient of the input": ("conv2d backward_input",),
    "convolution, gradient of the weight": ("conv2d backward_weight",),
    "convolution with pooling": ("conv2d pool",),
    "dense": ("matmul",),
    "pooling": ("max pool", "avg pool"),
    "normalization": ("batch norm",),
    "activation, bias, dropout": ("relu", "bias", "dropout"),
    "loss": ("cross-entropy",),
    "gather, optimizers": ("gather", "sgd", "rmsprop", "adam"),
}
_COLORS = ("#4477aa", "#ee7733", "#228833", "#aa3377", "#ccaa22", "#44aacc", "#888888")
_GRAY, _LINE = "#555555", "#bbbbbb"
_WIDTH, _HEIGHT = 5.6, 3.5  # inches of a panel
_SIZES = 5  # batch sizes in the legend


class _Point(NamedTuple):
    row: BenchRow
    intensity: float  # operations a byte
    speed: float  # billions of operations a second
    baselines: list[float]  # the speed of each


def draw(record: Record) -> bytes:
    """A PNG with a panel a family: operations a byte to the right, operations a second upward.

    Both are logarithmic. The size of a point is that of the batch. Points of the baseline are
    hollow, and a line ties each to ours of the same shape. The fastest operation, and the one
    furthest below the roof, have their shapes as labels. On a CPU a point may be above the sloping
    roof: data in its caches need not come from memory.

    Raises:
        UsageError: there is no point.
    """
    points = list(_points(record))
    if not points:
        raise UsageError(
            "there is nothing to plot",
            cause="no row was timed whose operations and bytes are known",
            fix="use gpucnn bench ops or all",
        )
    assert record.ceilings is not None  # only the simulator does not time
    ceilings = record.ceilings["flop_per_second"] / 1e9, record.ceilings["bytes_per_second"] / 1e9
    families: dict[str, list[_Point]] = {}
    for point in points:
        families.setdefault(_family(point.row.name), []).append(point)
    columns = min(2, len(families))
    lines = math.ceil(len(families) / columns)
    picture = plots.Picture(max(columns * _WIDTH, 8), lines * _HEIGHT + 1.1)
    grid = picture.subplots(lines, columns, squeeze=False)
    for axes in grid.flat[len(families) :]:
        axes.set_axis_off()
    for axes, (family, members) in zip(grid.flat, families.items(), strict=False):
        _draw_panel(axes, family, members, ceilings)
    for axes in grid[:, 0]:
        axes.set_ylabel("GFLOP/s")
    for place in range(max(0, len(families) - columns), len(families)):
        grid.flat[place].set_xlabel("operations a byte")
    picture.suptitle(heading(record), fontsize=10, parse_math=False)
    _add_legend(picture, points)
    return picture.png()


def _points(record: Record) -> Iterator[_Point]:
    for row in record.rows:
        if row.seconds is not None and row.flop and row.nbytes:
            theirs = [each.seconds for each in row.baselines.values() if each.seconds is not None]
            speed, *others = (row.flop / s.median / 1e9 for s in (row.seconds, *theirs))
            yield _Point(row, row.flop / row.nbytes, speed, others)


def _family(name: str) -> str:
    """The family of an operation; one that is not in the table has a panel of its own."""
    fitting = [
        (len(start), family)
        for family, starts in _FAMILIES.items()
        for start in starts
        if name.startswith(start)
    ]
    return max(fitting)[1] if fitting else name


def _batch(row: BenchRow) -> int | None:
    """The images of a call; None for an operation that has none, as an optimizer."""
    sizes = re.fullmatch(r"N(\d+) .*|(\d+)(?:x\d+)*?x?(\d+)(?: .*)?", row.case)
    if sizes is None or row.name in _FAMILIES["gather, optimizers"][1:]:
        return None
    # The product of a gradient of weights sums over the batch: it comes last in 784x512x128.
    return int(sizes[1] or (sizes[3] if row.name == "matmul a^T" else sizes[2]))


def _area(batch: int | None) -> float:
    """The area of a point, in square points: its width grows with the logarithm of the batch."""
    return 22.0 if batch is None else (2.0 + 0.85 * math.log2(batch)) ** 2


def _draw_panel(
    axes: Axes, family: str, points: Sequence[_Point], ceilings: tuple[float, float]
) -> None:
    names = list(dict.fromkeys(point.row.name for point in points))
    colors = {name: _COLORS[place % len(_COLORS)] for place, name in enumerate(names)}
    speeds = [speed for point in points for speed in (point.speed, *point.baselines)]
    left, right = (f(p.intensity for p in points) for f in (min, max))
    left, right = left / 1.8, right * 1.8
    _draw_roof(axes, left, right, ceilings)
    ties = [(p.intensity, p.speed, speed) for p in points for speed in p.baselines]
    if ties:
        axes.vlines(*zip(*ties, strict=True), color=_LINE, linewidth=0.7, zorder=1)
    for name, color in colors.items():
        ours = [p for p in points if p.row.name == name]
        theirs = [p._replace(speed=speed) for p in ours for speed in p.baselines]
        for drawn, face in ((ours, color), (theirs, "none")):
            axes.scatter(
                [p.intensity for p in drawn],
                [p.speed for p in drawn],
                [_area(_batch(p.row)) for p in drawn],
                facecolors=face,
                edgecolors=color,
                linewidths=0.9,
                label=name if drawn is ours else None,
            )
    _label_extremes(axes, points, ceilings, math.sqrt(left * right))
    axes.set(xscale="log", yscale="log", xlim=(left, right))
    axes.set_ylim(min(speeds) / 2.2, max(*speeds, _roof(right, ceilings)) * 2.2)
    axes.set_title(family, loc="left", fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=7)
    for axis in (axes.xaxis, axes.yaxis):
        _label_decades(axis)
    legend = axes.legend(fontsize=7, loc="lower right", framealpha=0.7)
    for mark in legend.legend_handles:
        mark.set_sizes([22])  # type: ignore[union-attr]


def _label_decades(axis: Axis) -> None:
    """Ticks at 1, 2 and 5 of each power of ten, as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=9))
    axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _roof(intensity: float, ceilings: tuple[float, float]) -> float:
    """The highest speed at an intensity, in billions of operations a second."""
    return min(ceilings[0], ceilings[1] * intensity)


def _draw_roof(axes: Axes, left: float, right: float, ceilings: tuple[float, float]) -> None:
    ridge = ceilings[0] / ceilings[1]  # where the two ceilings meet
    xs = [left, *([ridge] if left < ridge < right else []), right]
    axes.plot(xs, [_roof(x, ceilings) for x in xs], color="black", linewidth=1.2, zorder=1)
    note: dict[str, Any] = {"textcoords": "offset points", "fontsize": 7, "color": _GRAY}
    if ridge < right:
        at = (max(left, ridge), ceilings[0])
        axes.annotate(f"{ceilings[0]:,.0f} GFLOP/s", at, (4, 3), **note)
    if left < ridge:
        at = (left, _roof(left, ceilings))
        axes.annotate(f"{ceilings[1]:,.0f} GB/s", at, (4, 12), **note)


def _label_extremes(
    axes: Axes, points: Sequence[_Point], ceilings: tuple[float, float], middle: float
) -> None:
    """The shapes of our fastest point, and of the one furthest below the roof."""
    fastest = max(points, key=lambda point: point.speed)
    lowest = min(points, key=lambda point: point.speed / _roof(point.intensity, ceilings))
    labeled = [(fastest, 9)] if lowest is fastest else [(fastest, 9), (lowest, -12)]
    for point, up in labeled:
        beyond = point.intensity > middle
        axes.annotate(
            point.row.case,
            (point.intensity, point.speed),
            (-6 if beyond else 6, up),
            textcoords="offset points",
            ha="right" if beyond else "left",
            fontsize=7,
            parse_math=False,
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.5},
        )


def _add_legend(picture: Picture, points: Sequence[_Point]) -> None:
    """The sizes of some batches, and the meaning of hollow points and labels."""
    batches = sorted({batch for point in points if (batch := _batch(point.row)) is not None})
    if len(batches) > _SIZES:
        batches = [batches[round(k * (len(batches) - 1) / (_SIZES - 1))] for k in range(_SIZES)]
    axes = picture.axes[0]
    marks = [axes.scatter([], [], _area(batch), color=_GRAY) for batch in batches]
    labels = [f"batch {batch:,}" for batch in batches]
    if any(point.baselines for point in points):
        marks.append(axes.scatter([], [], 22, facecolors="none", edgecolors=_GRAY))
        labels.append("hollow: PyTorch, at the same shape")
    picture.legend(
        marks, labels, loc="outside lower center", ncols=6, fontsize=8, frameon=False,
        title="labels: the fastest shape, and the one furthest below the roof", title_fontsize=8,
    )  # fmt: skip
