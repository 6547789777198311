"""The picture of a profile: a bar for each part of a training step, and its floor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gpucnn.plots import png

_FORWARD, _BACKWARD, _FLOOR = "#4477aa", "#ee9944", "#222222"  # told apart by the colour-blind too
_SLOW = 0.01  # seconds of a step from which milliseconds read better than microseconds


class Bar(NamedTuple):
    """A part: seconds forward and backward, and the least that both could take together."""

    name: str
    forward: float
    backward: float
    floor: float


def draw(bars: Sequence[Bar], step: float, title: str) -> bytes:
    """Horizontal bars, forward and backward stacked, the first on top; a PNG of 8 inches.

    Args:
        step: seconds of the whole step, of which the bars' shares are said.
    """
    from matplotlib.figure import Figure

    scale, unit, digits = (1e3, "ms", 1) if step >= _SLOW else (1e6, "µs", 0)

    def said(seconds: float) -> str:
        return f"{scale * seconds:,.{digits}f} {unit}"

    figure = Figure(figsize=(8, 1.9 + 0.34 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    forward = [scale * bar.forward for bar in bars]
    places = range(len(bars))
    axes.barh(places, forward, 0.7, color=_FORWARD, label="forward")
    backward = [scale * bar.backward for bar in bars]
    axes.barh(places, backward, 0.7, left=forward, color=_BACKWARD, label="backward")
    floors = [(scale * bar.floor, place) for place, bar in enumerate(bars) if bar.floor]
    axes.vlines(
        [floor for floor, _ in floors],
        [place - 0.45 for _, place in floors],
        [place + 0.45 for _, place in floors],
        color=_FLOOR,
        linewidth=2,
        label="floor of both, by the measured peaks of this machine",
    )
    for place, bar in enumerate(bars):
        total = bar.forward + bar.backward
        axes.annotate(
            f"{said(total)}, {total / step:.0%}",
            (scale * max(total, bar.floor), place),
            (6, 0),
            textcoords="offset points",
            verticalalignment="center",
        )
    axes.set_yticks(places, [bar.name for bar in bars], parse_math=False)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    longest = max(max(bar.forward + bar.backward, bar.floor) for bar in bars)
    axes.set_xlim(0, 1.2 * scale * longest)
    axes.set_xlabel(unit)
    axes.spines[["top", "right"]].set_visible(False)
    floor = sum(bar.floor for bar in bars)
    axes.set_title(
        f"{title}\nwhole step {said(step)}, floor {said(floor)}",
        loc="left",
        parse_math=False,
        fontsize="medium",
    )
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return png(figure)
