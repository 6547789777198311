"""A profile as a table."""

from __future__ import annotations

from collections.abc import Callable

from gpucnn.bench.profiler import Profile, ProfileRow
from gpucnn.bench.tables import Table, percent, time

_BAR = 12  # characters of the longest bar


def heading(profile: Profile) -> str:
    """The model, the batch and the device, in one line."""
    config, found = profile.config, profile.environment
    where = found.get("gpu", found["device"])
    if "threads" in found:
        where += f", {found['threads']} thread{'s' * (found['threads'] != 1)}"
    images = f"{config.batch_size:,} image{'s' * (config.batch_size != 1)}"
    return f"a training step of {config.model}: {images}, {config.optimizer}, on {where}"


def table(profile: Profile) -> Table:
    """A line for each part, and what the columns mean; the costs where nothing was timed."""
    return _times(profile) if profile.step else _costs(profile)


def _times(profile: Profile) -> Table:
    assert profile.step is not None
    assert profile.rest is not None
    assert profile.ceilings is not None
    whole, parts, ceilings = profile.step.median, profile.parts(), profile.ceilings
    longest = max(sum(row.seconds for row in part[1:] if row) for part in parts)
    lines = []
    for name, *rows in parts:
        cells = [text for row in rows for text in _cells(row, lambda r: (r.seconds, r.floor), time)]
        forward, backward = (row.seconds if row else 0.0 for row in rows)
        roofline = sum(row.floor or 0.0 for row in rows if row)
        ends = [round(_BAR * end / longest) for end in (forward, forward + backward)]
        bar = "#" * ends[0] + "=" * (ends[1] - ends[0])
        lines.append([name, *cells, *_fractions(roofline, forward + backward, whole), bar])
    rest, roofline = profile.rest, sum(row.floor or 0.0 for row in profile.rows)
    lines.append(["the rest", time(rest), "", "", "", *_fractions(0.0, rest, whole), ""])
    whole_cells = [time(whole), time(roofline), "", "", *_fractions(roofline, whole, whole)]
    lines.append(["whole step", *whole_cells, ""])
    header = ["forward", "roofline", "backward", "roofline", "roof", "step", ""]
    return Table("layer", header, lines, [
        f"{profile.config.batch_size / whole:,.0f} images/s; # is forward, = backward",
        "roofline: the least time that this machine's measured ceilings allow, "
        f"{ceilings.flop_per_second / 1e9:,.0f} GFLOP/s in matrix products and "
        f"{ceilings.bytes_per_second / 1e9:,.1f} GB/s in a large copy",
        "roof: roofline / time; above 100% where the data is still in a cache, or where fewer "
        "multiplications are made than the definition of a convolution has",
        "step: fraction of the whole step, which is the trainer's own, without clocks in it",
    ])  # fmt: skip


def _fractions(roofline: float, seconds: float, whole: float) -> list[str]:
    """Of the roofline, where the part has costs, and of the whole step."""
    return [percent(roofline / seconds) if roofline else "", percent(seconds / whole)]


def _costs(profile: Profile) -> Table:
    lines = [
        [name, *(cell for row in rows for cell in _cells(row, lambda r: r.cost, _millions))]
        for name, *rows in profile.parts()
    ]
    return Table("layer", ["forward MFLOP", "MB", "backward MFLOP", "MB"], lines)


def _cells(
    row: ProfileRow | None,
    pair: Callable[[ProfileRow], tuple[float | None, float | None]],
    text: Callable[[float | None], str],
) -> list[str]:
    """Two cells of a row; they are empty where a part has no such row."""
    return ["", ""] if row is None else [text(value) for value in pair(row)]


def _millions(value: float | None) -> str:
    return f"{(value or 0) / 1e6:,.2f}"
