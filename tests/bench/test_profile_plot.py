"""The picture of a profile: bars as long as the times, in a PNG."""

from __future__ import annotations

import io

import numpy as np
import pytest
from selection import slow_except

from gpucnn.bench import profile_plot
from gpucnn.bench.ceilings import Ceilings
from gpucnn.bench.profiler import Profile
from gpucnn.bench.record import BenchRow
from gpucnn.bench.stopwatch import Seconds
from gpucnn.training import TrainConfig

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")


def draw(step: float, *bars: tuple[str, float, float, float]) -> bytes:
    """The picture of parts: name, forward, backward and roofline time of both."""
    rows = []
    for name, forward, backward, roofline in bars:
        for case, seconds, floor in (("forward", forward, roofline), ("backward", backward, 0.0)):
            row = BenchRow("profile", name, case, seconds=Seconds(*[seconds] * 4), floor=floor)
            rows.append(row)
    ceilings, environment = Ceilings(1.0, 1.0), {"device": "$cpu_"}
    return profile_plot.draw(
        Profile(TrainConfig(), environment, rows, Seconds(*[step] * 4), ceilings)
    )


def pixels_of(png: bytes, color: str) -> np.ndarray:
    """Where the picture has this color."""
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return (picture == wanted).all(axis=2)


def lengths(png: bytes, color: str) -> list[int]:
    """Pixels of the color in a line of each bar, from top to bottom; not in the small key."""
    lines = pixels_of(png, color).sum(axis=1)
    bars = np.split(lines, np.flatnonzero(lines == 0))
    return [int(bar.max()) for bar in bars if len(bar) > 20]


def test_bars_are_as_long_as_the_times() -> None:
    png = draw(0.13, ("a", 0.01, 0.02, 0.0), ("b", 0.04, 0.03, 0.0), ("c", 0.02, 0.0, 0.0))
    forward, backward = (lengths(png, c) for c in (profile_plot._FORWARD, profile_plot._BACKWARD))
    a = forward[1] / 4
    assert a > 60
    assert forward == pytest.approx([a, 4 * a, 2 * a], abs=2)
    assert backward == pytest.approx([2 * a, 3 * a], abs=2)


@pytest.mark.parametrize("bar", slow_except([(0.15, 3), (0.13, 1), (0.12, 0), (0.1, 0)], (0.13, 1)))
def test_the_rest_has_a_bar(bar: tuple[float, int]) -> None:
    step, expected = bar
    png = draw(step, ("a", 0.01, 0.02, 0.0), ("b", 0.04, 0.05, 0.0))
    unit = lengths(png, profile_plot._FORWARD)[0]
    found = lengths(png, profile_plot._REST)
    assert found == pytest.approx([expected * unit] if expected else [], abs=4)


def test_the_roofline_time_is_marked() -> None:
    def mark(roofline: float) -> float:
        png = draw(0.3, ("a", 0.04, 0.06, roofline), ("b", 0.1, 0.1, 0.0))
        found = pixels_of(png, profile_plot._ROOFLINE)
        columns = np.flatnonzero(found[: len(found) // 2].sum(axis=0) > 40)
        assert 1 <= len(columns) <= 8
        return float(columns.mean())

    low, middle, high = map(mark, (0.04, 0.06, 0.08))
    assert middle - low == pytest.approx(high - middle, abs=2)
    assert middle - low > 40


@pytest.mark.parametrize("step", slow_except([2e-4, 5.0], 2e-4))
def test_odd_names_and_sizes(step: float) -> None:
    png = draw(step, *((f"{k} $a name^ of {'x' * k}", k * 1e-5, 0.0, 1.0) for k in range(30)))
    assert Image.open(io.BytesIO(png)).format == "PNG"
    assert Image.open(io.BytesIO(png)).width == 1280
