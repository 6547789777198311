"""The roofline as a picture."""

from __future__ import annotations

import struct

import pytest

from gpucnn import plots
from gpucnn.bench.record import BaselineResult, BenchRow, Record
from gpucnn.bench.roofline_plot import draw
from gpucnn.bench.stopwatch import Seconds
from gpucnn.errors import UsageError


def row(name: str, flop: float, nbytes: float, *medians: float) -> BenchRow:
    """A row with our time, and with PyTorch's if it is given."""
    ours, *theirs = (Seconds(*[median] * 4) for median in medians)
    made = BenchRow("ops", name, "", None, flop, nbytes, seconds=ours)
    if theirs:
        made.baselines["torch"] = BaselineResult(seconds=theirs[0])
    return made


ROWS = [
    row("conv2d forward", 1e9, 1e7, 0.02, 0.01),
    row("conv2d bias relu", 2e9, 1e7, 0.03),
    row("adam", 1e6, 1e7, 0.001),
    BenchRow("train", "import", "gpucnn", seconds=Seconds(*[1.0] * 4)),  # no point: no operations
    BenchRow("ops", "dropout", "", None, 1e6, 1e7, skipped="memory"),  # nor without a time
]


def record(rows: list[BenchRow]) -> Record:
    ceilings = {"flop_per_second": 4e11, "bytes_per_second": 8e10}
    return Record({"device": "cpu", "cpu": "Z80"}, None, "", {}, ceilings, rows)


@pytest.fixture
def figure(monkeypatch):
    """Draws, and gives what was drawn on."""

    def drawn(rows):
        kept = []
        monkeypatch.setattr(plots.Picture, "png", lambda picture: kept.append(picture) or b"")
        draw(record(rows))
        return kept[0]

    return drawn


def test_it_is_a_png_of_some_size():
    png = draw(record(ROWS))
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", png[16:24]) == (1440, 800)


def test_points_stand_where_they_belong(figure):
    axes = figure(ROWS).axes[0]
    stand = [tuple(map(float, at)) for marks in axes.collections for at in marks.get_offsets()]
    expected = [(100, 50), (100, 100), (200, 2e9 / 0.03 / 1e9), (0.1, 1)]
    assert len(stand) == len(expected)
    for found, right in zip(sorted(stand), sorted(expected), strict=True):
        assert found == pytest.approx(right)


def test_the_roof_has_its_ridge_where_both_ceilings_meet(figure):
    axes = figure(ROWS).axes[0]
    (roof,) = axes.lines
    xs, ys = (list(map(float, values)) for values in roof.get_data())
    assert xs[1] == 5.0  # 400 GFLOP/s over 80 GB/s
    assert ys == pytest.approx([80 * xs[0], 400, 400])
    assert {text.get_text() for text in axes.texts} == {"400 GFLOP/s", "80 GB/s"}
    assert axes.get_title(loc="left").startswith("cpu: Z80, ceilings 400 GFLOP/s")


def test_names_are_told_apart(figure):
    """One entry a name, one color a family, hollow for the baseline."""
    drawn = figure([*ROWS, *(row(f"family{i} x", 1e6, 1e6, 1.0) for i in range(25))])
    (legend,) = drawn.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels[:3] == ["conv2d forward", "conv2d bias relu", "adam"]
    assert labels[-1] == "hollow: PyTorch"
    looks = set()
    for marks in drawn.axes[0].collections:
        if len(marks.get_offsets()) and len(marks.get_facecolors()):
            looks.add((tuple(marks.get_facecolors()[0]), marks.get_paths()[0].vertices.tobytes()))
    assert len(looks) == len(labels) - 1


def test_nothing_to_plot():
    with pytest.raises(UsageError, match="nothing to plot"):
        draw(record(ROWS[3:]))
