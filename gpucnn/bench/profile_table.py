"""A profile as text, at 80 columns."""

from __future__ import annotations

from gpucnn.bench.profiler import Profile, Row

_NAME, _BAR = 20, 12  # characters
# From so many seconds a step: units in a second, their name, digits behind the point.
_UNITS = ((10.0, (1.0, "s", 2)), (0.01, (1e3, "ms", 2)), (0.0, (1e6, "us", 1)))


def heading(profile: Profile) -> str:
    """What was profiled, in one line."""
    config, found = profile.config, profile.environment
    where = found.get("gpu", found["device"])
    if "threads" in found:
        where += f", {found['threads']} thread{'s' * (found['threads'] != 1)}"
    images = f"{config.batch_size:,} image{'s' * (config.batch_size != 1)}"
    return f"a training step of {config.model}: {images}, {config.optimizer}, on {where}"


def table(profile: Profile) -> str:
    """A line for each part, and what the numbers mean; the cost alone where nothing was timed."""
    return _times(profile) if profile.step else _costs(profile)


def _times(profile: Profile) -> str:
    assert profile.step is not None
    assert profile.ceilings is not None
    whole, parts = profile.step.median, profile.parts()
    scale, unit, digits = next(unit for least, unit in _UNITS if whole >= least)

    def number(seconds: float | None) -> str:
        return "" if seconds is None else f"{seconds * scale:.{digits}f}"

    def line(name: str, cells: list[float | None], total: float, bar: str = "") -> str:
        floors = sum(floor for floor in cells[1::2] if floor)
        shares = [_percent(floors / total) if floors else "", _percent(total / whole)]
        widths = (9, 8, 9, 8, 6, 6)
        shown = [*map(number, cells), *shares]
        text = "".join(cell.rjust(width) for cell, width in zip(shown, widths, strict=True))
        return f"{_clipped(name)}{text}  {bar}".rstrip()

    longest = max(sum(row.seconds for row in pair if row) for _, *pair in parts)
    head = f"{'layer (' + unit + ')':{_NAME}}  forward   floor backward   floor  roof  step"
    lines = [head, "-" * (_NAME + 46 + 2 + _BAR)]
    for name, forward, backward in parts:
        ends = [forward.seconds, forward.seconds + (backward.seconds if backward else 0.0)]
        marks = [round(_BAR * end / longest) for end in ends]
        cells = [forward.seconds, forward.floor]
        cells += [backward.seconds, backward.floor] if backward else [None, None]
        bar = "#" * marks[0] + "=" * (marks[1] - marks[0])
        lines.append(line(name, cells, ends[1], bar))
    lines.append(lines[1])
    assert profile.rest is not None
    lines.append(line("the rest", [profile.rest, None, None, None], profile.rest))
    floor = sum(row.floor or 0.0 for row in profile.rows)
    lines.append(line("whole step", [whole, floor, None, None], whole))
    ceilings = profile.ceilings
    return "\n".join(
        [
            *lines,
            "",
            f"{profile.config.batch_size / whole:,.0f} images/s; # is forward, = backward",
            "floor: the least that this machine could take, by what it was seen to do:",
            f"       {ceilings.flop_per_second / 1e9:,.0f} GFLOP/s in matrix products, "
            f"{ceilings.bytes_per_second / 1e9:,.1f} GB/s in a large copy",
            "roof:  floor / time; above 100% where the data is still in a cache, or fewer",
            "       multiplications are made than the definition of a convolution has",
            "step:  share of the whole step, which is one of the trainer without clocks in it",
        ]
    )


def _costs(profile: Profile) -> str:
    lines = [f"{'layer':{_NAME}}  forward MFLOP        MB  backward MFLOP        MB"]
    lines.append("-" * len(lines[0]))

    def cells(row: Row | None, width: int) -> str:
        if row is None:
            return " " * (width + 10)
        return f"{row.cost.flop / 1e6:{width},.2f}{row.cost.nbytes / 1e6:10,.2f}"

    for name, forward, backward in profile.parts():
        lines.append(f"{_clipped(name)}{cells(forward, 15)}{cells(backward, 16)}".rstrip())
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{round(100 * share)}%"  # rounded to an integer, which has no -0


def _clipped(name: str) -> str:
    return f"{name if len(name) <= _NAME else name[: _NAME - 2] + '..':{_NAME}}"
