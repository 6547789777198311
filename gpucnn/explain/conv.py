"""The lesson of a convolution: one channel, one filter."""

from __future__ import annotations

from collections.abc import Iterator

from gpucnn import functions as F
from gpucnn.autograd import Tensor
from gpucnn.explain.inputs import Input, Numbers, gradient, written
from gpucnn.explain.lesson import READING, Index, Lesson, Term
from gpucnn.explain.windows import size_text, windows

INPUTS = {
    "x": Input("1 2 0; 0 1 3; 2 1 1", "the image", axes=2),
    "w": Input("1 -1; 2 0", "the filter", axes=2),
    "b": Input("0.5", "the bias"),
    "dy": Input("", "the gradient of y", axes=2),
    "stride": Input("1", "the stride", whole=True, least=1, most=6),
    "padding": Input("0", "the padding", whole=True, least=0, most=6),
}
_INTRODUCTION = (
    "An image is a grid of numbers, one a pixel. A filter is a smaller grid, whose numbers are the "
    "weights that a network learns. The filter is laid on a corner of the image: each weight is "
    "multiplied by the pixel under it, the products are added, and a bias is added to the sum. "
    "That is one pixel of the output. The filter then moves on, and the next pixel is computed "
    "with the same weights.",
    "Training needs the way back. The rest of the network tells how much the loss L would change "
    "if a pixel of the output changed: this is dL/dy, the gradient of y. The convolution passes it "
    "on to everything that it computed with: to the bias, the weights and the pixels.",
)


def lesson(numbers: Numbers) -> Lesson:
    """The convolution of x (H, W) with w (KH, KW) plus b, and its three gradients."""
    x, w, b = (Tensor(numbers[name].copy(), requires_grad=True) for name in ("x", "w", "b"))
    stride, padding = int(numbers["stride"]), int(numbers["padding"])
    (H, W), (KH, KW) = x.shape, w.shape
    meet = windows(x.shape, w.shape, stride, padding, "filter")
    OH, OW = max(meet)[0] + 1, max(meet)[1] + 1
    y = F.conv2d(
        x.reshape(1, 1, H, W),
        w.reshape(1, 1, KH, KW),
        b.reshape(1),
        stride=stride,
        padding=padding,
    ).reshape(OH, OW)
    dy = gradient(numbers, "dy", y.shape)
    y.backward(dy)

    def products(*names: str) -> Iterator[tuple[tuple[Index, Index, Index], Term]]:
        """The product of two arrays at each place where a weight meets a pixel."""
        for out, pairs in meet.items():
            for weight, pixel in pairs:
                at = {"dy": out, "w": weight, "x": pixel}
                yield (out, weight, pixel), found.product(*((name, at[name]) for name in names))

    found = Lesson(
        "conv",
        "A convolution, forward and backward",
        (*_INTRODUCTION, READING),
        written(INPUTS, numbers),
    )
    found.add("x", numbers["x"], f"the image, {H} x {W} pixels")
    found.add("w", numbers["w"], f"the filter, {KH} x {KW} weights")
    found.add("b", numbers["b"], "the bias, added to every output")
    found.step(
        "size of the output",
        "OH = (H + 2*P - KH) / S + 1",
        f"The filter fits on {OH} places from top to bottom: {size_text(H, KH, stride, padding)}, "
        f"rounded down. From left to right it fits on {OW}: {size_text(W, KW, stride, padding)}. "
        f"H is the height of the image, KH the height of the filter, and OH the height of the "
        f"output, in pixels. S is the stride, the pixels from one place to the next: {stride}. "
        f"P is the padding, the rows and columns of zeros around the image: {padding}."
        + (" A weight over the padding meets a zero, and is left out below." if padding else ""),
    )
    bias = found.product(("b", ()))
    sums: dict[Index, list[Term]] = {}
    for (out, _, _), term in products("x", "w"):
        sums.setdefault(out, []).append(term)
    found.step(
        "weighted sum of a window",
        "y[i,j] = sum over a, b of x[i*S - P + a, j*S - P + b] * w[a,b], plus b",
        "Each output pixel: the pixels under the filter times its weights, added, plus the bias.",
        name="y",
        array=y.numpy(),
        about=f"the output, {OH} x {OW} pixels",
        terms={out: [*sums.get(out, []), bias] for out in meet},
    )
    found.part = "backward"
    found.given_gradient(dy)
    found.step(
        "gradient of a sum: pass it on",
        "dL/db = sum over i, j of dy[i,j]",
        "The bias was added to every output. A little more bias adds as much to each, so their "
        "gradients add up.",
        name="db",
        array=b.grad,
        about="the gradient of b, dL/db",
        terms={(): [found.product(("dy", out)) for out in meet]},
        gradient_of="b",
    )
    by_weight: dict[Index, list[Term]] = {}
    by_pixel: dict[Index, list[Term]] = {}
    for (_, weight, _), term in products("dy", "x"):
        by_weight.setdefault(weight, []).append(term)
    for (_, _, pixel), term in products("dy", "w"):
        by_pixel.setdefault(pixel, []).append(term)
    found.step(
        "gradient of a product: times the other factor",
        "dL/dw[a,b] = sum over i, j of dy[i,j] * x[i*S - P + a, j*S - P + b]",
        "A weight met one pixel for each output. If it grows, that output grows by the pixel's "
        "value: each path gives the output's gradient times that pixel, and the paths add up. "
        "This is a convolution of the image with dy.",
        name="dw",
        array=w.grad,
        about="the gradient of w, dL/dw",
        terms=by_weight,
        gradient_of="w",
    )
    found.step(
        "gradient of a product: times the other factor",
        "dL/dx[r,c] = sum of dy[i,j] * w[a,b] over all i, j, a, b with r = i*S - P + a, "
        "c = j*S - P + b",
        "A pixel lay under the filter for one or more outputs, each time under another weight. "
        "Each of these paths gives the output's gradient times that weight, and the paths add up. "
        "With a stride of 1 this is a convolution of dy with the filter turned by 180 degrees.",
        name="dx",
        array=x.grad,
        about="the gradient of x, dL/dx",
        terms=by_pixel,
        gradient_of="x",
    )
    return found
