"""The picture of a profile: a bar for each part of a training step, and its roofline time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gpucnn.plots import png

_FORWARD, _BACKWARD, _ROOFLINE = "#4477aa", "#ee9944", "#222222"  # also for the color-blind
_SLOW = 0.01  # seconds of a step from which on its parts are in milliseconds


class Bar(NamedTuple):
    """A part: seconds forward and backward, and the roofline time of both together."""

    name: str
    forward: float
    backward: float
    roofline: float

    @property
    def seconds(self) -> float:
        return self.forward + self.backward


def draw(bars: Sequence[Bar], step: float, title: str) -> bytes:
    """Horizontal bars, forward and backward stacked, the first on top; a PNG of 8 inches.

    Args:
        step: seconds of the whole step; each bar is labeled with its fraction of it.
    """
    from matplotlib.figure import Figure

    scale, unit, digits = (1e3, "ms", 1) if step >= _SLOW else (1e6, "µs", 0)

    def text(seconds: float) -> str:
        return f"{scale * seconds:,.{digits}f} {unit}"

    figure = Figure(figsize=(8, 1.9 + 0.34 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(bars))
    forward = [scale * bar.forward for bar in bars]
    axes.barh(places, forward, 0.7, color=_FORWARD, label="forward")
    backward = [scale * bar.backward for bar in bars]
    axes.barh(places, backward, 0.7, left=forward, color=_BACKWARD, label="backward")
    marks = [(scale * bar.roofline, place) for place, bar in enumerate(bars) if bar.roofline]
    axes.vlines(
        [at for at, _ in marks],
        [place - 0.45 for _, place in marks],
        [place + 0.45 for _, place in marks],
        color=_ROOFLINE,
        linewidth=2,
        label="roofline time of both, by the measured ceilings of this machine",
    )
    for place, bar in enumerate(bars):
        axes.annotate(
            f"{text(bar.seconds)}, {bar.seconds / step:.0%}",
            (scale * max(bar.seconds, bar.roofline), place),
            (6, 0),
            textcoords="offset points",
            verticalalignment="center",
        )
    axes.set_yticks(places, [bar.name for bar in bars], parse_math=False)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, 1.2 * scale * max(max(bar.seconds, bar.roofline) for bar in bars))
    axes.set_xlabel(unit)
    axes.spines[["top", "right"]].set_visible(False)
    title += f"\nwhole step {text(step)}, roofline time {text(sum(bar.roofline for bar in bars))}"
    axes.set_title(title, loc="left", parse_math=False, fontsize="medium")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return png(figure)
