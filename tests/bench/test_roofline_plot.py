"""The roofline as a picture."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from gpucnn import plots
from gpucnn.bench import roofline_plot
from gpucnn.bench.cases import operations
from gpucnn.bench.convolutions import SUITES
from gpucnn.bench.record import BaselineResult, BenchRow, Record
from gpucnn.bench.roofline_plot import draw
from gpucnn.bench.stopwatch import Seconds
from gpucnn.errors import UsageError

pytest.importorskip("matplotlib")
from matplotlib.collections import LineCollection, PathCollection


def row(name: str, flop: float, nbytes: float, *medians: float, case: str = "") -> BenchRow:
    """A row with our time, and with PyTorch's if it is given."""
    ours, *theirs = (Seconds(*[median] * 4) for median in medians)
    made = BenchRow("ops", name, case, None, flop, nbytes, seconds=ours)
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


def panel(picture: plots.Picture, title: str) -> Any:
    """The axes of a family."""
    (found,) = [axes for axes in picture.axes if axes.get_title(loc="left") == title]
    return found


def points(axes: Any) -> list[tuple[float, float]]:
    """Where the points of a panel stand."""
    marks = [each for each in axes.collections if isinstance(each, PathCollection)]
    return sorted(tuple(map(float, at)) for mark in marks for at in mark.get_offsets())


def test_it_is_a_png_of_some_size():
    png = draw(record(ROWS))
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert (width, height) == (1792, 736)  # two panels side by side


def test_a_panel_has_the_points_of_its_family(figure):
    drawn = figure(ROWS)
    expected = [(100, 50), (100, 100), (200, 2e9 / 0.03 / 1e9)]
    for found, right in zip(points(panel(drawn, "convolution, forward")), expected, strict=True):
        assert found == pytest.approx(right)
    assert points(panel(drawn, "gather, optimizers")) == [(0.1, pytest.approx(1))]


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("conv2d forward", "convolution, forward"),
        ("conv2d bias relu", "convolution, forward"),
        ("conv2d backward_input", "convolution, gradient of the input"),
        ("conv2d pool backward", "convolution with pooling"),
        ("avg pool forward", "pooling"),
        ("matmul a^T", "dense"),
        ("something new", "something new"),
    ],
)
def test_families(figure, name, family):
    (axes,) = figure([row(name, 1e9, 1e7, 1.0)]).axes
    assert axes.get_title(loc="left") == family


def test_all_operations_of_the_bench_have_a_family():
    named = {operation.name for name in SUITES for operation in operations(name)}
    assert len(named) > 20
    assert {roofline_plot._family(name) for name in named} == set(roofline_plot._FAMILIES)


def test_the_roof_has_its_ridge_where_both_ceilings_meet(figure):
    axes = panel(figure([row("matmul", 1e6, 1e6, 1), row("matmul", 1e9, 1e7, 1)]), "dense")
    (roof,) = axes.lines
    xs, ys = (list(map(float, values)) for values in roof.get_data())
    assert xs[1] == 5.0  # 400 GFLOP/s over 80 GB/s
    assert ys == pytest.approx([80 * xs[0], 400, 400])
    texts = {text.get_text() for text in axes.texts}
    assert {"400 GFLOP/s", "80 GB/s"} <= texts


def test_ours_and_the_baseline_of_a_shape_are_tied(figure):
    axes = panel(figure(ROWS), "convolution, forward")
    (ties,) = [each for each in axes.collections if isinstance(each, LineCollection)]
    (line,) = ties.get_segments()
    assert line.tolist() == [[100, 50], [100, 100]]


@pytest.mark.parametrize(
    ("name", "case", "batch"),
    [
        ("conv2d forward", "N1024 28x28 1->32 3x3 p0 s1", 1024),
        ("max pool forward", "128x64x24x24 2x2 s2", 128),
        ("cross-entropy forward", "1024x10", 1024),
        ("matmul", "128x512x784", 128),
        ("matmul b^T", "128x784x512", 128),
        ("matmul a^T", "784x512x128", 128),
        ("adam", "25,557,032", None),
        ("gather", "64x1x28x28", 64),
    ],
)
def test_the_batch_of_a_case(name, case, batch):
    assert roofline_plot._batch(BenchRow("ops", name, case)) == batch


def test_a_larger_batch_is_a_larger_point(figure):
    rows = [row("matmul", 1e9, 1e7, 1 / k, case=f"{2**k}x8x8") for k in range(1, 9)]
    picture = figure(rows)
    (marks,) = [each for each in picture.axes[0].collections if len(each.get_offsets())]
    areas = list(marks.get_sizes())
    assert areas == sorted(areas)
    assert areas[-1] > 5 * areas[0]
    (legend,) = picture.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["batch 2", "batch 8", "batch 32", "batch 64", "batch 256"]
    assert legend.get_title().get_text().startswith("labels: the fastest shape")


def test_extremes_have_their_shapes(figure):
    rows = [
        row("matmul", 1e9, 1e7, 0.01, case="fastest"),
        row("matmul", 1e9, 1e7, 0.02, case="between"),
        row("matmul", 1e9, 1e7, 1.00, case="slowest"),
        row("matmul", 1e6, 1e6, 0.001, case="slow, at its roof"),
    ]
    texts = {text.get_text() for text in panel(figure(rows), "dense").texts}
    assert texts & {each.case for each in rows} == {"fastest", "slowest"}


def test_names_are_told_apart(figure):
    """One entry a name in the legend of the panel, one color each, hollow for the baseline."""
    picture = figure(ROWS)
    axes = panel(picture, "convolution, forward")
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["conv2d forward", "conv2d bias relu"]
    filled = {
        tuple(marks.get_facecolors()[0])
        for marks in axes.collections
        if len(marks.get_offsets()) and len(marks.get_facecolors())
    }
    assert len(filled) == 2
    (legend,) = picture.legends
    assert "hollow: PyTorch, at the same shape" in [t.get_text() for t in legend.get_texts()]
    (legend,) = figure(ROWS[1:]).legends
    assert not [t for t in legend.get_texts() if "hollow" in t.get_text()]


def test_nothing_to_plot():
    with pytest.raises(UsageError, match="nothing to plot"):
        draw(record(ROWS[3:]))
