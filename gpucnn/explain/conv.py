"""The lesson of a convolution: one channel, one filter."""

from __future__ import annotations

from collections.abc import Iterator

from gpucnn import functions as F
from gpucnn.autograd import Tensor
from gpucnn.explain.inputs import Input, Numbers, gradient, written
from gpucnn.explain.introduction import READING, TRAINING
from gpucnn.explain.lesson import Index, Lesson, Term
from gpucnn.explain.windows import covers, places_text, windows

INPUTS = {
    "x": Input("1 2 0; 0 1 3; 2 1 1", "the image", axes=2),
    "w": Input("1 -1; 2 0", "the filter", axes=2),
    "b": Input("0.5", "the bias"),
    "dy": Input("", "the gradient of y", axes=2),
    "stride": Input("1", "the stride", whole=True, least=1, most=6),
    "padding": Input("0", "the padding", whole=True, least=0, most=6),
}
_INTRODUCTION = (
    "An image is a grid of numbers, one for each pixel. A filter is a smaller grid; its numbers "
    "are called weights. A convolution lays the filter on a corner of the image, multiplies each "
    "weight by the pixel under it, and adds the products. A further number, the bias, is added to "
    "the sum. This gives one pixel of the output. Then the filter moves on, and the same weights "
    "give the next pixel. So a filter finds the same pattern everywhere in the image.",
    *TRAINING,
    READING,
)
_TURNED = (
    " This is a convolution, too: the filter, turned by 180 degrees, moves over dy, and beyond the "
    "edges of dy lie zeros."
)


def lesson(numbers: Numbers) -> Lesson:
    """The convolution of x (H, W) with w (KH, KW) plus b, and its three gradients."""
    x, w, b = (Tensor(numbers[name].copy(), requires_grad=True) for name in ("x", "w", "b"))
    stride, padding = int(numbers["stride"]), int(numbers["padding"])
    (H, W), (KH, KW) = x.shape, w.shape
    meet = windows(x.shape, w.shape, stride, padding, "filter")
    whole = covers(meet, x.shape)
    y = F.conv2d(
        x.reshape(1, 1, H, W),
        w.reshape(1, 1, KH, KW),
        b.reshape(1),
        stride=stride,
        padding=padding,
    )
    y = y.reshape(y.shape[2:])
    OH, OW = y.shape
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
        _INTRODUCTION,
        written(INPUTS, numbers),
    )
    found.add("x", numbers["x"], f"the image, {H} x {W} pixels")
    found.add("w", numbers["w"], f"the filter, {KH} x {KW} weights")
    found.add("b", numbers["b"], "the bias, added to every output")
    found.step(
        "size of the output",
        "OH = (H + 2*P - KH) / S + 1, rounded down",
        "First count the places of the filter. H is the height of the image, KH the height of the "
        "filter and OH the height of the output, in pixels. S is the stride: the filter moves by "
        f"so many pixels, here {stride}. P is the padding: so many rows or columns of zeros are "
        f"put at each edge of the image, here {padding}. From top to bottom the filter has "
        f"{places_text(H, KH, stride, padding)}. From left to right it has "
        f"{places_text(W, KW, stride, padding)}."
        + (" A weight over the padding meets a zero, and is left out below." if padding else "")
        + ("" if whole else " Some pixels lie under no place of the filter: they do not count."),
    )
    bias = found.product(("b", ()))
    sums: dict[Index, list[Term]] = {}
    for (out, _, _), term in products("x", "w"):
        sums.setdefault(out, []).append(term)
    found.step(
        "weighted sum of a window",
        "y[i,j] = sum over u, v of x[i*S - P + u, j*S - P + v] * w[u,v], plus b",
        "y[i,j] is the output pixel in row i, column j, and w[u,v] the weight in row u, column v. "
        "To compute y[i,j], multiply each weight w[u,v] by the pixel under it, which is "
        "x[i*S - P + u, j*S - P + v]. Add the products, and add the bias. In each product the "
        "pixel stands before its weight.",
        name="y",
        array=y.numpy(),
        about=f"the output, {OH} x {OW} pixels",
        terms={out: [*sums.get(out, []), bias] for out in meet},
    )
    found.part = "backward"
    found.given_gradient(dy)
    found.step(
        "gradient of a sum: pass it on",
        "db = sum over i, j of dy[i,j]",
        "The bias was added to every output pixel. If it grows by a little, each output pixel "
        "grows by as much. So the gradients of all output pixels are added.",
        name="db",
        array=b.grad,
        about="the gradient of b, dL/db",
        terms=found.sums("ij->", "dy"),
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
        "dw[u,v] = sum over i, j of dy[i,j] * x[i*S - P + u, j*S - P + v]",
        "The weight w[u,v] met one pixel for each output pixel. If the weight grows by a little, "
        "the output pixel grows by that little times the pixel it met. So each output pixel "
        "gives its gradient times the pixel, and all of them are added."
        + (" This is again a convolution: dy is laid on the image." if stride == 1 else ""),
        name="dw",
        array=w.grad,
        about="the gradient of w, dL/dw",
        terms=by_weight,
        gradient_of="w",
    )
    found.step(
        "gradient of a product: times the other factor",
        "dx[r,c] = sum of dy[i,j] * w[u,v], r = i*S - P + u, c = j*S - P + v",
        "The pixel x[r,c] lay under the filter for one or more output pixels, each time under "
        "another weight. If the pixel grows by a little, such an output pixel grows by that little "
        "times the weight. So each gives its gradient times the weight, and all of them are added."
        + ("" if whole else " A pixel that lay under no place of the filter gets 0.")
        + (_TURNED if stride == 1 else "")
        + " If another layer stands before this one, dx is what it receives as its dy.",
        name="dx",
        array=x.grad,
        about="the gradient of x, dL/dx",
        terms=by_pixel,
        gradient_of="x",
    )
    return found
