"""The picture of a search for a learning rate."""

from __future__ import annotations

import numpy as np
import pytest
from selection import slow_except

from gpucnn.plots import show_learning_rates

pytest.importorskip("matplotlib")

RATES = np.geomspace(1e-6, 10, 8)
LOSSES = np.array([2.3, 2.4, 2.2, 1.0, 0.8, 1.5, 9.0, 1e9])


def test_it_shows_the_losses_and_the_marks() -> None:
    picture = show_learning_rates(RATES, LOSSES, LOSSES * 0.9, lowest=RATES[4], suggestion=1e-3)
    (axes,) = picture.axes
    batch, smoothed, dot, line = axes.lines
    np.testing.assert_array_equal(batch.get_ydata(), LOSSES)
    np.testing.assert_array_equal(smoothed.get_ydata(), LOSSES * 0.9)
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (RATES[4], pytest.approx(0.72))
    assert set(line.get_xdata()) == {1e-3}
    assert (axes.get_xscale(), axes.get_xlabel(), axes.get_ylabel()) == (
        "log", "learning rate", "loss",
    )  # fmt: skip
    low, high = axes.get_ylim()
    assert low < 0.72
    assert 2.3 < high < 4  # the loss that diverged is cut off
    texts = [text.get_text() for text in picture.legends[0].get_texts()]
    assert texts == ["loss of the batch", "smoothed", "lowest, at 0.01", "suggestion: 0.001"]
    assert picture.png().startswith(b"\x89PNG")


NOTHING = [[2.3], [2.3, 9.0], [0.0, 0.0], [1e-9, 1e9]]


@pytest.mark.parametrize("losses", slow_except(NOTHING, [2.3], [0.0, 0.0]))
def test_a_search_that_found_nothing(losses: list[float]) -> None:
    values = np.array(losses)
    picture = show_learning_rates(RATES[: len(values)], values, values)
    assert len(picture.axes[0].lines) == 2
    assert picture.png()
