"""A profile as a table."""

from __future__ import annotations

from collections.abc import Callable

from gpucnn.bench.profiler import Profile, ProfilePart
from gpucnn.bench.record import BenchRow
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
    longest = max(sum(part.seconds) for part in parts)
    lines = []
    for part in parts:
        seconds = sum(part.seconds)
        ends = [round(_BAR * end / longest) for end in (part.seconds[0], seconds)]
        bar = "#" * ends[0] + "=" * (ends[1] - ends[0])
        cells = _cells(part, lambda row: [time(row.seconds), time(row.floor)])
        lines.append([part.name, *cells, *_fractions(part.roofline, seconds, whole), bar])
    rest, roofline = profile.rest, sum(part.roofline for part in parts)
    fractions = _fractions(roofline, whole, whole)
    lines += [
        ["the rest", time(rest), "", "", "", *_fractions(0.0, rest, whole), ""],
        ["whole step", time(whole), time(roofline), "", "", *fractions, ""],
    ]
    header = ["forward", "roofline", "backward", "roofline", "roof", "step", ""]
    health = (
        f"not in the step: train's health checks, {100 * (profile.health or 0):.1f}% of its time"
        " (--no-health leaves them out)"
    )
    waits = "the rest: also the time in which the GPU waits for the host, which no layer has"
    return Table("layer", header, lines, [
        f"{profile.config.batch_size / whole:,.0f} images/s; # is forward, = backward",
        "roofline: the least time that this machine's measured ceilings allow, "
        f"{ceilings.flop_per_second / 1e9:,.0f} GFLOP/s in matrix products and "
        f"{ceilings.bytes_per_second / 1e9:,.1f} GB/s in a large copy",
        "roof: roofline / time; above 100% where the data is still in a cache, or where fewer "
        "multiplications are made than the definition of a convolution has",
        "step: fraction of the whole step, which is the trainer's own, without clocks in it",
        *[health] * (profile.health is not None),
        *[waits] * ("gpu" in profile.environment),
    ])  # fmt: skip


def _costs(profile: Profile) -> Table:
    header = ["forward MFLOP", "MB", "backward MFLOP", "MB"]
    lines = [
        [part.name, *_cells(part, lambda row: [_millions(row.flop), _millions(row.nbytes)])]
        for part in profile.parts()
    ]
    return Table("layer", header, lines)


def _cells(part: ProfilePart, pair: Callable[[BenchRow], list[str]]) -> list[str]:
    """Two cells forward and two backward, which are empty for a part without a gradient."""
    return pair(part.forward) + (pair(part.backward) if part.backward else ["", ""])


def _fractions(roofline: float, seconds: float, whole: float) -> list[str]:
    """The fraction of the roofline, if the part has costs, and that of the whole step."""
    return [percent(roofline / seconds) if roofline else "", percent(seconds / whole)]


def _millions(value: float | None) -> str:
    return f"{(value or 0) / 1e6:,.2f}"
