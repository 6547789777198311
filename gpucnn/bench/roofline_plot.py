"""The roofline: the speed of each operation beside the two ceilings of the machine.

Williams, Waterman and Patterson, "Roofline: an insightful visual performance model", 2009.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gpucnn import plots
from gpucnn.bench.record import Record
from gpucnn.bench.report import heading
from gpucnn.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS, _MARKERS = 10, ("osD^<>", "vPX*", "ph8")
_GRAY = "#555555"
_NOTE: dict[str, Any] = {
    "xytext": (-7, 3), "textcoords": "offset points", "ha": "right", "color": _GRAY, "fontsize": 8
}  # fmt: skip


class _Point(NamedTuple):
    name: str  # of the operation; points of one name look alike
    intensity: float  # operations a byte
    speed: float  # billions of operations a second
    hollow: bool  # the baseline's


def draw(record: Record) -> bytes:
    """A PNG: operations a byte to the right, operations a second upward, both logarithmic.

    Points of the baseline are hollow. On a CPU a point may be above the sloping roof: data in its
    caches need not come from memory.

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
    flop_per_second = record.ceilings["flop_per_second"]
    bytes_per_second = record.ceilings["bytes_per_second"]
    picture = plots.Picture(9, 5)
    axes = picture.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    ridge = flop_per_second / bytes_per_second  # where the two ceilings meet
    left = min(*(p.intensity for p in points), ridge) / 2
    right = max(*(p.intensity for p in points), ridge) * 2
    xs = (left, ridge, right)
    roof = [min(flop_per_second, bytes_per_second * x) / 1e9 for x in xs]
    axes.plot(xs, roof, color="black", linewidth=1.4)
    # Both notes are above the roof, where points are few.
    axes.annotate(f"{flop_per_second / 1e9:,.0f} GFLOP/s", (ridge, roof[1]), **_NOTE)
    slope = math.sqrt(left * ridge)  # the middle of the sloping part
    axes.annotate(
        f"{bytes_per_second / 1e9:,.0f} GB/s", (slope, bytes_per_second * slope / 1e9), **_NOTE
    )
    _scatter(axes, points)
    axes.set(xscale="log", yscale="log", xlim=(left, right))
    axes.set(xlabel="operations a byte", ylabel="GFLOP/s")
    axes.set_title(heading(record), loc="left", fontsize=10)
    axes.grid(color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    picture.legend(loc="outside right upper", fontsize=8, frameon=False)
    return picture.png()


def _points(record: Record) -> Iterator[_Point]:
    for row in record.rows:
        if row.seconds is not None and row.flop and row.nbytes:
            baselines = [result.seconds for result in row.baselines.values()]
            for seconds in (row.seconds, *baselines):
                if seconds is not None:
                    speed = row.flop / seconds.median / 1e9
                    hollow = seconds is not row.seconds
                    yield _Point(row.name, row.flop / row.nbytes, speed, hollow)


def _scatter(axes: Axes, points: Sequence[_Point]) -> None:
    """A color for each first word of a name, a marker for each name of a color."""
    families: dict[str, list[str]] = {}
    for name in dict.fromkeys(point.name for point in points):
        families.setdefault(name.split()[0], []).append(name)
    for i, names in enumerate(families.values()):
        color, markers = f"C{i % _COLORS}", _MARKERS[i // _COLORS % len(_MARKERS)]
        for j, name in enumerate(names):
            for hollow in (True, False):
                drawn = [p for p in points if p.name == name and p.hollow is hollow]
                axes.scatter(
                    [p.intensity for p in drawn],
                    [p.speed for p in drawn],
                    facecolors="none" if hollow else color,
                    edgecolors=color,
                    linewidths=0.9,
                    marker=markers[j % len(markers)],
                    s=22,
                    label=None if hollow else name,
                )
    if any(point.hollow for point in points):
        axes.scatter([], [], facecolors="none", edgecolors=_GRAY, s=22, label="hollow: PyTorch")
