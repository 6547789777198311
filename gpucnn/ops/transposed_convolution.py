"""Transposed convolution."""

from __future__ import annotations

from gpucnn.backend.contract import Array, check_input
from gpucnn.errors import ShapeError
from gpucnn.ops.dispatch import backend_of, primitive
from gpucnn.shapes import PaddingArg, PairArg, conv2d_transpose_shape


@primitive
def conv2d_transpose(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: PairArg = 1,
    padding: PaddingArg = 0,
    output_padding: PairArg = 0,
    dilation: PairArg = 1,
    groups: int = 1,
) -> Array:
    """Transposed convolution, as PyTorch's conv_transpose2d: each input pixel adds w times itself.

        y[n,f,h,w] = b[f] + sum over the c, kh, kw, ih, iw with h = ih*s+kh*d-p, w = iw*s+kw*d-p
                            of x[n,c,ih,iw] * w[c,f-f0,kh,kw]

    where f0 is the first filter of c's group. It is `conv2d_backward_input` under another name: the
    gradient of a convolution with the weight w, of which x is the gradient by the output.

    Args:
        x: (N, C, H, W).
        w: (C, F/groups, KH, KW): the input channels come first.
        b: (F,) or None.
        stride: pixels of the output from one input pixel to the next; an int or (h, w).
        padding: pixels that are cut off the output's border, in any form that a convolution takes;
            "same" gives OH = H * stride, as in Keras.
        output_padding: pixels added to the output's size at the bottom and right; below the stride.
        dilation: pixels from one tap of the kernel to the next; an int or (h, w).
        groups: channels and filters are split into so many parts; a filter takes the channels of
            its own part only.

    Returns:
        y: (N, F, OH, OW), where
            OH = (H - 1) * stride - 2 * padding + dilation * (KH - 1) + 1 + output_padding.

    Raises:
        ShapeError: the shapes and options do not fit together.
        DtypeError: the arrays are not all float32, or all float64.
    """
    backend = backend_of("conv2d_transpose", b, x=x, w=w)
    check_input(x.dtype, w.dtype)
    y_shape = conv2d_transpose_shape(
        x.shape, w.shape, stride, padding, output_padding, dilation, groups
    )
    if b is not None and (b.shape != y_shape[1:2] or b.dtype != x.dtype):
        raise ShapeError(
            f"the bias is {b.dtype} of shape {b.shape}",
            cause=f"there are {y_shape[1]} output channels, computed in {x.dtype}",
            fix=f"give a bias of {x.dtype} and shape {y_shape[1:2]}",
        )
    y = backend.conv2d_backward_input(
        x, w, y_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    with backend.quiet_device():
        return y if b is None else y + b.reshape(1, -1, 1, 1)
