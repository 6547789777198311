"""The roofline: how fast each operation runs, beside what the machine's two ceilings let it.

Williams, Waterman and Patterson, "Roofline: an insightful visual performance model", 2009.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gpucnn import plots
from gpucnn.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS, _MARKERS = 10, ("osD^<>", "vPX*", "ph8")
_GREY = "#555555"
_NOTE: dict[str, Any] = {
    "xytext": (-7, 3), "textcoords": "offset points", "ha": "right", "color": _GREY, "fontsize": 8
}  # fmt: skip


class Point(NamedTuple):
    """One operation, timed.

    Attributes:
        name: of the operation; those of one name look alike.
        flop: that it computes.
        nbytes: that it must move.
        seconds: that it took.
        rival: whether it is the baseline's.
    """

    name: str
    flop: float
    nbytes: float
    seconds: float
    rival: bool = False

    @property
    def intensity(self) -> float:
        """Operations a byte."""
        return self.flop / self.nbytes


def draw(
    points: Sequence[Point],
    flop_per_second: float,
    bytes_per_second: float,
    title: str,
    rival: str = "PyTorch",
) -> bytes:
    """A PNG: operations a byte to the right, operations a second upwards, both logarithmic.

    Points of `rival` are hollow. On a CPU a point may stand above the sloping roof: what lies in
    its caches need not come from memory.

    Raises:
        UsageError: there is no point.
    """
    if not points:
        raise UsageError(
            "there is nothing to plot",
            cause="no row was timed whose operations and bytes are known",
            fix="use gpucnn bench ops or all",
        )
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    ridge = flop_per_second / bytes_per_second  # where the roofs meet
    left = min(*(p.intensity for p in points), ridge) / 2
    right = max(*(p.intensity for p in points), ridge) * 2
    _roof(axes, flop_per_second, bytes_per_second, (left, right))
    _scatter(axes, points, rival)
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(left, right),
        xlabel="operations a byte",
        ylabel="GFLOP/s",
    )
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return plots.png(figure)


def _roof(axes: Axes, flop: float, nbytes: float, reach: tuple[float, float]) -> None:
    left, right = reach
    ridge = flop / nbytes
    middle = math.sqrt(left * ridge)
    xs = (left, ridge, right)
    axes.plot(xs, [min(flop, nbytes * x) / 1e9 for x in xs], color="black", linewidth=1.4)
    # Both above the roof, where points are few.
    axes.annotate(f"{flop / 1e9:,.0f} GFLOP/s", (ridge, flop / 1e9), **_NOTE)
    axes.annotate(f"{nbytes / 1e9:,.0f} GB/s", (middle, nbytes * middle / 1e9), **_NOTE)


def _scatter(axes: Axes, points: Sequence[Point], rival: str) -> None:
    """A colour for each first word of a name, a marker for each name of a colour."""
    families: dict[str, list[str]] = {}
    for name in dict.fromkeys(point.name for point in points):
        families.setdefault(name.split()[0], []).append(name)
    for i, names in enumerate(families.values()):
        colour, markers = f"C{i % _COLOURS}", _MARKERS[i // _COLOURS % len(_MARKERS)]
        for j, name in enumerate(names):
            marker = markers[j % len(markers)]
            for hollow in (True, False):
                mine = [p for p in points if p.name == name and p.rival is hollow]
                axes.scatter(
                    [p.intensity for p in mine],
                    [p.flop / p.seconds / 1e9 for p in mine],
                    facecolors="none" if hollow else colour,
                    edgecolors=colour,
                    linewidths=0.9,
                    marker=marker,
                    s=22,
                    label=None if hollow else name,
                )
    if any(point.rival for point in points):
        axes.scatter([], [], facecolors="none", edgecolors=_GREY, s=22, label=f"hollow: {rival}")
