"""The loss by the learning rate, as the search for a learning rate found it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpucnn.plots.extra import require

if TYPE_CHECKING:
    from gpucnn.plots.picture import Picture

_LOSS, _SMOOTHED, _MARK = "#9a9a9a", "#0072b2", "#d55e00"  # also for the color-blind


def show_learning_rates(
    rates: NDArray[np.float64],
    losses: NDArray[np.float64],
    smoothed: NDArray[np.float64],
    *,
    lowest: float | None = None,
    suggestion: float | None = None,
) -> Picture:
    """A picture of the loss over the learning rate, with marks at two of the rates.

    Losses far above the first one are cut off: there the training has diverged.

    Args:
        rates, losses, smoothed, lowest, suggestion: those of `gpucnn.training.LearningRates`.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    require("show_learning_rates")
    from gpucnn.plots.picture import Picture

    picture = Picture(7, 4)
    axes = picture.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.plot(rates, losses, color=_LOSS, linewidth=0.8, label="loss of the batch")
    axes.plot(rates, smoothed, color=_SMOOTHED, linewidth=2, label="smoothed")
    if lowest is not None:
        y = smoothed[int(np.abs(rates - lowest).argmin())]
        axes.plot([lowest], [y], "o", color=_SMOOTHED, label=f"lowest, at {lowest:.2g}")
    if suggestion is not None:
        axes.axvline(suggestion, color=_MARK, linestyle="--", label=f"suggestion: {suggestion:.2g}")
    first = float(smoothed[0])
    span = max(first - float(smoothed.min()), 0.1 * first) or 1.0
    bottom = min(float(losses.min()), float(smoothed.min()))
    axes.set_ylim(bottom - 0.05 * span, first + 0.5 * span)
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
    axes.grid(color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    picture.legend(loc="outside right upper", fontsize=8, frameon=False)
    return picture
