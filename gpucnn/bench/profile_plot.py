"""The picture of a profile: a bar for each part of a training step, and its roofline time.

The last bar is the rest: the time of the step that is in no part.
"""

from __future__ import annotations

import numpy as np

from gpucnn import plots
from gpucnn.bench.profile_table import heading
from gpucnn.bench.profiler import Profile

# Also for the color-blind.
_FORWARD, _BACKWARD, _ROOFLINE, _REST = "#4477aa", "#ee9944", "#222222", "#999999"
_SLOW = 0.01  # seconds of a step from which on its parts are in milliseconds


def draw(profile: Profile) -> bytes:
    """Horizontal bars, forward and backward stacked, the first on top; a PNG of 8 inches.

    Each bar is labeled with its fraction of the whole step. The last one is what the step takes
    beyond the sum of its parts.
    """
    assert profile.step is not None  # only the simulator does not time
    assert profile.rest is not None
    scale, unit, digits = (1e3, "ms", 1) if profile.step.median >= _SLOW else (1e6, "µs", 0)
    parts, step, rest = profile.parts(), scale * profile.step.median, scale * profile.rest
    forward, backward = scale * np.array([part.seconds for part in parts]).T
    roofline = scale * np.array([part.roofline for part in parts])
    count, places = len(parts) + 1, np.arange(len(parts))

    picture = plots.Picture(8, 1.9 + 0.34 * count)
    axes = picture.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.barh(places, forward, 0.7, color=_FORWARD, label="forward")
    axes.barh(places, backward, 0.7, left=forward, color=_BACKWARD, label="backward")
    # It is below 0 where the clocks between the parts cost more time than is in none of them.
    axes.barh(len(parts), max(rest, 0), 0.7, color=_REST, label="the rest, in no part")
    at, where = roofline[roofline > 0], places[roofline > 0]
    label = "roofline time of both, by the measured ceilings of this machine"
    axes.vlines(at, where - 0.45, where + 0.45, color=_ROOFLINE, linewidth=2, label=label)
    times = [*(forward + backward), rest]
    ends = [*np.maximum(forward + backward, roofline), max(rest, 0)]
    for place, (time, end) in enumerate(zip(times, ends, strict=True)):
        axes.annotate(
            f"{time:,.{digits}f} {unit}, {time / step:.0%}",
            (end, place),
            (6, 0),
            textcoords="offset points",
            verticalalignment="center",
        )
    axes.set_yticks(range(count), [*(part.name for part in parts), "the rest"], parse_math=False)
    axes.set_ylim(count - 0.4, -0.6)
    axes.set_xlim(0, 1.2 * max(ends))
    axes.set_xlabel(unit)
    whole, least = (f"{time:,.{digits}f} {unit}" for time in (step, roofline.sum()))
    title = f"{heading(profile)}\nwhole step {whole}, roofline time {least}"
    axes.set_title(title, loc="left", parse_math=False, fontsize="medium")
    picture.legend(loc="outside lower center", ncols=2, frameon=False)
    return picture.png()
