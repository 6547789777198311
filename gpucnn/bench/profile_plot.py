"""The picture of a profile: a bar for each part of a training step, and its roofline time.

The last bar is the rest: the time of the step that is in no part.
"""

from __future__ import annotations

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
    parts, step, rest = profile.parts(), profile.step.median, profile.rest
    scale, unit, digits = (1e3, "ms", 1) if step >= _SLOW else (1e6, "µs", 0)

    def text(seconds: float) -> str:
        return f"{scale * seconds:,.{digits}f} {unit}"

    count = len(parts) + 1
    picture = plots.Picture(8, 1.9 + 0.34 * count)
    axes = picture.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    left = [0.0] * len(parts)
    for name, color, seconds in (
        ("forward", _FORWARD, [scale * part.seconds[0] for part in parts]),
        ("backward", _BACKWARD, [scale * part.seconds[1] for part in parts]),
    ):
        axes.barh(range(len(parts)), seconds, 0.7, left=left, color=color, label=name)
        left = seconds
    # It is below 0 where the clocks between the parts cost more time than is in none of them.
    axes.barh(len(parts), scale * max(rest, 0), 0.7, color=_REST, label="the rest, in no part")
    marks = [(scale * part.roofline, place) for place, part in enumerate(parts) if part.roofline]
    axes.vlines(
        [at for at, _ in marks],
        [place - 0.45 for _, place in marks],
        [place + 0.45 for _, place in marks],
        color=_ROOFLINE,
        linewidth=2,
        label="roofline time of both, by the measured ceilings of this machine",
    )
    times = [*(sum(part.seconds) for part in parts), rest]
    ends = [*(max(sum(part.seconds), part.roofline) for part in parts), max(rest, 0)]
    for place, (taken, end) in enumerate(zip(times, ends, strict=True)):
        axes.annotate(
            f"{text(taken)}, {taken / step:.0%}",
            (scale * end, place),
            (6, 0),
            textcoords="offset points",
            verticalalignment="center",
        )
    names = [*(part.name for part in parts), "the rest"]
    axes.set_yticks(range(count), names, parse_math=False)
    axes.set_ylim(count - 0.4, -0.6)
    axes.set_xlim(0, 1.2 * scale * max(ends))
    axes.set_xlabel(unit)
    roofline = text(sum(part.roofline for part in parts))
    title = f"{heading(profile)}\nwhole step {text(step)}, roofline time {roofline}"
    axes.set_title(title, loc="left", parse_math=False, fontsize="medium")
    picture.legend(loc="outside lower center", ncols=2, frameon=False)
    return picture.png()
