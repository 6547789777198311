"""The picture of a profile: a bar for each part of a training step, and its roofline time."""

from __future__ import annotations

from gpucnn import plots
from gpucnn.bench.profile_table import heading
from gpucnn.bench.profiler import Profile

_FORWARD, _BACKWARD, _ROOFLINE = "#4477aa", "#ee9944", "#222222"  # also for the color-blind
_SLOW = 0.01  # seconds of a step from which on its parts are in milliseconds


def draw(profile: Profile) -> bytes:
    """Horizontal bars, forward and backward stacked, the first on top; a PNG of 8 inches.

    Each bar is labeled with its fraction of the whole step.
    """
    assert profile.step is not None  # only the simulator does not time
    parts, step = profile.parts(), profile.step.median
    scale, unit, digits = (1e3, "ms", 1) if step >= _SLOW else (1e6, "µs", 0)

    def text(seconds: float) -> str:
        return f"{scale * seconds:,.{digits}f} {unit}"

    picture = plots.Picture(8, 1.9 + 0.34 * len(parts))
    axes = picture.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    left = [0.0] * len(parts)
    for name, color, seconds in (
        ("forward", _FORWARD, [scale * part.seconds[0] for part in parts]),
        ("backward", _BACKWARD, [scale * part.seconds[1] for part in parts]),
    ):
        axes.barh(range(len(parts)), seconds, 0.7, left=left, color=color, label=name)
        left = seconds
    marks = [(scale * part.roofline, place) for place, part in enumerate(parts) if part.roofline]
    axes.vlines(
        [at for at, _ in marks],
        [place - 0.45 for _, place in marks],
        [place + 0.45 for _, place in marks],
        color=_ROOFLINE,
        linewidth=2,
        label="roofline time of both, by the measured ceilings of this machine",
    )
    ends = [max(sum(part.seconds), part.roofline) for part in parts]
    for place, (part, end) in enumerate(zip(parts, ends, strict=True)):
        taken = sum(part.seconds)
        axes.annotate(
            f"{text(taken)}, {taken / step:.0%}",
            (scale * end, place),
            (6, 0),
            textcoords="offset points",
            verticalalignment="center",
        )
    axes.set_yticks(range(len(parts)), [part.name for part in parts], parse_math=False)
    axes.set_ylim(len(parts) - 0.4, -0.6)
    axes.set_xlim(0, 1.2 * scale * max(ends))
    axes.set_xlabel(unit)
    roofline = text(sum(part.roofline for part in parts))
    title = f"{heading(profile)}\nwhole step {text(step)}, roofline time {roofline}"
    axes.set_title(title, loc="left", parse_math=False, fontsize="medium")
    picture.legend(loc="outside lower center", ncols=3, frameon=False)
    return picture.png()
