"""The lesson of pooling: the maximum and the mean of each window of one image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpucnn import functions as F
from gpucnn.autograd import Tensor
from gpucnn.explain.inputs import Input, Numbers, gradient, written
from gpucnn.explain.introduction import READING, TRAINING
from gpucnn.explain.lesson import Index, Lesson, Term
from gpucnn.explain.windows import Windows, covers, places_text, windows

INPUTS = {
    "x": Input("1 3 2 0; 5 4 1 7; 0 2 6 3; 8 1 2 4", "the image", axes=2),
    "dy": Input("", "the gradient of the output", axes=2),
    "kernel": Input("2", "the size of the window", whole=True, least=1, most=6),
    "stride": Input("2", "the stride", whole=True, least=1, most=6),
}
_INTRODUCTION = (
    "Pooling makes an image smaller. A window moves over the image, and each place of the window "
    "gives one number of the output. With max pooling this is the largest pixel in the window, "
    "with average pooling the mean of its pixels. Pooling has no weights, so nothing in it is "
    "trained. It only hands gradients on to the layers before it.",
    *TRAINING,
    READING,
)


def lesson(numbers: Numbers) -> Lesson:
    """Max and average pooling of x (H, W), and the gradient of x for each."""
    kernel, stride = int(numbers["kernel"]), int(numbers["stride"])
    H, W = numbers["x"].shape
    meet = windows((H, W), (kernel, kernel), stride, 0, "window")
    whole = covers(meet, (H, W))
    images, outputs = {}, {}
    for name, pool in (("ymax", F.max_pool2d), ("yavg", F.avg_pool2d)):
        images[name] = Tensor(numbers["x"].copy(), requires_grad=True)
        y = pool(images[name].reshape(1, 1, H, W), kernel, stride=stride)
        outputs[name] = y.reshape(y.shape[2:])
    OH, OW = outputs["ymax"].shape
    dy = gradient(numbers, "dy", (OH, OW))
    for y in outputs.values():
        y.backward(dy)
    winners = _winners(numbers["x"], kernel, stride, meet)

    found = Lesson(
        "pool",
        "Max pooling and average pooling, forward and backward",
        _INTRODUCTION,
        written(INPUTS, numbers),
    )
    found.add("x", numbers["x"], f"the image, {H} x {W} pixels")
    found.step(
        "size of the output",
        "OH = (H - K) / S + 1, rounded down",
        "First count the places of the window. H is the height of the image and OH the height of "
        f"the output, in pixels. K is the height and the width of the window, here {kernel}. S is "
        f"the stride: the window moves by so many pixels, here {stride}. From top to bottom the "
        f"window has {places_text(H, kernel, stride, 0)}. From left to right it has "
        f"{places_text(W, kernel, stride, 0)}."
        + ("" if whole else " Some pixels lie under no place of the window: they do not count."),
    )
    values: dict[Index, list[Term]] = {
        out: [found.number("x", pixel) for _, pixel in pairs] for out, pairs in meet.items()
    }
    found.step(
        "maximum of a window",
        "ymax[i,j] = max over u, v of x[i*S + u, j*S + v]",
        "ymax[i,j] is the largest pixel of window i, j. The pixels of this window are "
        "x[i*S + u, j*S + v], with u and v from 0 to K - 1. The layer remembers which pixel was "
        f"the largest, because the way back needs it. {_named(winners)}"
        + _ties(numbers["x"], meet, winners),
        name="ymax",
        array=outputs["ymax"].numpy(),
        about="the output of max pooling",
        terms=values,
        opening="max(",
        joiner=", ",
        closing=")",
    )
    found.step(
        "mean of a window",
        "yavg[i,j] = sum over u, v of x[i*S + u, j*S + v], divided by K*K",
        f"Average pooling adds the pixels of a window and divides by their number, {kernel**2}.",
        name="yavg",
        array=outputs["yavg"].numpy(),
        about="the output of average pooling",
        terms={
            out: [found.product(("x", pixel)) for _, pixel in pairs] for out, pairs in meet.items()
        },
        opening="(",
        closing=f") / {kernel**2}",
    )
    found.part = "backward"
    found.given_gradient(dy, "the gradient of ymax, and the same of yavg", of="ymax")
    by_winner: dict[Index, list[Term]] = {}
    shares: dict[Index, list[Term]] = {}
    for out, pairs in meet.items():
        by_winner.setdefault(winners[out], []).append(found.product(("dy", out)))
        for _, pixel in pairs:
            shares.setdefault(pixel, []).append(found.quotient("dy", out, kernel**2))
    several = (
        " The windows overlap: a pixel adds up what it gets from each of its windows."
        if stride < kernel
        else ""
    )
    found.step(
        "gradient of a maximum: all to the winner",
        "dxmax[r,c] = sum of dy[i,j] over the windows that x[r,c] won",
        "If the largest pixel of a window grows by a little, the output grows by as much. If "
        "another pixel grows by a little, the output stays. So the winner gets the whole gradient "
        f"of its window, and the other pixels get 0.{several}",
        name="dxmax",
        array=images["ymax"].grad,
        about="the gradient of x in max pooling",
        terms=by_winner,
        gradient_of="x",
    )
    found.step(
        "gradient of a mean: an equal share to each",
        "dxavg[r,c] = sum of dy[i,j] / (K*K) over the windows that x[r,c] lies in",
        f"If any pixel of a window grows by a little, the mean grows by 1/{kernel**2} of that. So "
        f"each pixel gets 1/{kernel**2} of the gradient of its window.{several}"
        + ("" if whole else " A pixel that lay in no window gets 0."),
        name="dxavg",
        array=images["yavg"].grad,
        about="the gradient of x in average pooling",
        terms=shares,
        gradient_of="x",
    )
    return found


def _winners(x: NDArray[np.float64], kernel: int, stride: int, meet: Windows) -> dict[Index, Index]:
    """The pixel that is the maximum of each window: the one that gets the window's gradient."""
    winners: dict[Index, Index] = {}
    for out in meet:
        image = Tensor(x.copy(), requires_grad=True)
        y = F.max_pool2d(image.reshape(1, 1, *x.shape), kernel, stride=stride)
        y[0, 0, out[0], out[1]].backward()
        assert image.grad is not None
        winners[out] = divmod(int(image.grad.argmax()), x.shape[1])
    return winners


def _named(winners: dict[Index, Index]) -> str:
    found = ", ".join(f"x[{r},{c}]" for r, c in winners.values())
    return f"These pixels are, window by window: {found}."


def _ties(x: NDArray[np.float64], meet: Windows, winners: dict[Index, Index]) -> str:
    """A sentence on windows whose maximum stands in more than one pixel; "" if there is none."""
    tied = [
        f"ymax[{out[0]},{out[1]}]"
        for out, pairs in meet.items()
        if sum(x[pixel] == x[winners[out]] for _, pixel in pairs) > 1
    ]
    if not tied:
        return ""
    return (
        f" More than one pixel is the largest in the window of {', '.join(tied)}: the first one "
        "wins, row by row from the left."
    )
