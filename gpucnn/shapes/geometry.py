"""All sizes of a convolution, a transposed convolution or a pooling, checked.

Names used throughout the project: N images, C channels, H x W pixels, F filters, KH x KW kernel,
OH x OW output pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from gpucnn.errors import ShapeError
from gpucnn.shapes.layout import TRANSPOSE_X, transposition
from gpucnn.shapes.sizes import (
    Padding,
    PaddingArg,
    Pair,
    PairArg,
    check_count,
    conv_output_size,
    is_int,
    is_same,
    pair,
    resolve_padding,
)


class Conv2dGeometry(NamedTuple):
    """All sizes of one convolution, checked. Sizes in pixels, channels and images."""

    N: int
    C: int
    H: int
    W: int
    F: int
    KH: int
    KW: int
    OH: int
    OW: int
    groups: int
    stride: Pair
    padding: Padding
    dilation: Pair

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        return self.N, self.C, self.H, self.W

    @property
    def w_shape(self) -> tuple[int, int, int, int]:
        return self.F, self.C // self.groups, self.KH, self.KW

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        return self.N, self.F, self.OH, self.OW


class Pool2dGeometry(NamedTuple):
    """All sizes of one pooling, checked. Sizes in pixels, channels and images."""

    N: int
    C: int
    H: int
    W: int
    KH: int
    KW: int
    OH: int
    OW: int
    stride: Pair
    padding: Padding

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        return self.N, self.C, self.H, self.W

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        return self.N, self.C, self.OH, self.OW


def conv2d_geometry(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    stride: PairArg = 1,
    padding: PaddingArg = 0,
    dilation: PairArg = 1,
    groups: int = 1,
) -> Conv2dGeometry:
    """Sizes of a convolution of x (N, C, H, W) with w (F, C/groups, KH, KW).

    Raises:
        ShapeError: the shapes, stride, padding, dilation or groups do not fit together; the error
            names both shapes and what to change.
    """
    return _conv2d_geometry(
        _shape(x_shape),
        _shape(w_shape),
        _key(stride),
        _key(padding),
        _key(dilation),
        _key(groups),
    )


def conv2d_transpose_shape(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    stride: PairArg = 1,
    padding: PaddingArg = 0,
    output_padding: PairArg = 0,
    dilation: PairArg = 1,
    groups: int = 1,
) -> tuple[int, int, int, int]:
    """Shape of a transposed convolution, as in PyTorch: (N, F, OH, OW) with

        OH = (H - 1)*stride - padding + dilation*(KH - 1) + 1 + output_padding

    pixels. A convolution with the same options turns an image of this size into one of H x W. With
    a stride it does so for several sizes: `output_padding`, below the stride, says which is meant.

    Args:
        x_shape: (N, C, H, W).
        w_shape: (C, F/groups, KH, KW).
        padding: as in a convolution; "same" gives OH = H * stride, as in Keras.

    Raises:
        ShapeError: the shapes and options do not fit together.
    """
    x_shape, w_shape = _shape(x_shape), _shape(w_shape)
    both = f"input {x_shape} and weight {w_shape}"
    _check_axes("transposed convolution", x_shape, w_shape, "(C, F/groups, KH, KW)")
    _check_not_empty("transposed convolution", (*x_shape[1:], *w_shape), both)
    check_count("groups", groups)
    N, C, H, W = x_shape
    if w_shape[0] != C:
        raise ShapeError(
            f"transposed convolution of {both}",
            cause=f"the weight takes {w_shape[0]} channels, the input has {C}",
            fix=transposition(x_shape, w_shape, lambda x, w: x[1] == w[0])
            or f"give a weight of shape {(C, *w_shape[1:])}",
        )
    if C % groups:
        raise ShapeError(
            f"transposed convolution of {both} in {groups} groups",
            cause=f"groups must divide the {C} input channels",
            fix=f"choose groups from {_common_divisors(C, C)}",
        )
    steps, taps = pair(stride, "stride"), pair(dilation, "dilation")
    extra = pair(output_padding, "output_padding", 0)
    if extra[0] >= steps[0] or extra[1] >= steps[1]:
        raise ShapeError(
            f"output_padding is {output_padding!r}",
            cause=f"it must be smaller than the stride, {steps}",
            fix="give output_padding=0",
        )
    if is_same(padding):
        if any(extra):
            raise ShapeError(
                f'output_padding is {output_padding!r}, with padding="same"',
                cause="that says the output size already: input size times stride",
                fix="leave output_padding out",
            )
        OH, OW = H * steps[0], W * steps[1]
    else:
        kernel = pair(w_shape[2:], "kernel size")
        pads = resolve_padding(padding, (H, W), kernel)
        OH, OW = (
            (n - 1) * s - sum(p) + d * (k - 1) + 1 + e
            for n, s, p, d, k, e in zip((H, W), steps, pads, taps, kernel, extra, strict=True)
        )
    if min(OH, OW) < 1:
        raise ShapeError(
            f"transposed convolution of {both}",
            cause=f"the output would have {OH}x{OW} pixels",
            fix="use less padding, or a larger kernel",
        )
    return N, w_shape[1] * groups, OH, OW


def pool2d_geometry(
    x_shape: Sequence[int],
    kernel: PairArg,
    stride: PairArg | None = None,
    padding: PaddingArg = 0,
) -> Pool2dGeometry:
    """Sizes of a pooling of x (N, C, H, W) by a window `kernel`; stride defaults to the kernel.

    Padding must be smaller than the kernel, so that no window lies in the padding alone.
    """
    return _pool2d_geometry(_shape(x_shape), _key(kernel), _key(stride), _key(padding))


@lru_cache(maxsize=4096)
def _conv2d_geometry(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
) -> Conv2dGeometry:
    both = f"input {x_shape} and weight {w_shape}"
    _check_axes("convolution", x_shape, w_shape, "(F, C/groups, KH, KW)")
    N, C, H, W = x_shape
    F, C_group, KH, KW = w_shape
    _check_not_empty("convolution", (C, H, W, F), both)
    check_count("groups", groups)

    def fits(x: tuple[int, ...], w: tuple[int, ...]) -> bool:
        return x[1] == w[1] * groups and w[0] % groups == 0 and w[2] <= x[2] and w[3] <= x[3]

    if C % groups or F % groups:
        raise ShapeError(
            f"convolution of {both} in {groups} groups",
            cause=f"groups must divide the {C} input channels and the {F} filters",
            fix=transposition(x_shape, w_shape, fits)
            or f"choose groups from {_common_divisors(C, F)}",
        )
    if C_group != C // groups:
        raise ShapeError(
            f"convolution of {both} in {groups} groups",
            cause=f"the weight takes {C_group} channels a group, the input has {C // groups}",
            fix=transposition(x_shape, w_shape, fits)
            or f"give a weight of shape {(F, C // groups, KH, KW)}, "
            f"or an input with {C_group * groups} channels",
        )
    stride, dilation = pair(stride, "stride"), pair(dilation, "dilation")
    kernel = pair((KH, KW), "kernel size")
    pads = resolve_padding(padding, (H, W), kernel, stride, dilation)
    OH = conv_output_size(H, KH, stride[0], pads[0], dilation[0])
    OW = conv_output_size(W, KW, stride[1], pads[1], dilation[1])
    _check_output(both, (H, W), kernel, (OH, OW), pads, dilation)
    return Conv2dGeometry(N, C, H, W, F, KH, KW, OH, OW, groups, stride, pads, dilation)


@lru_cache(maxsize=4096)
def _pool2d_geometry(
    x_shape: tuple[int, ...], kernel: Any, stride: Any, padding: Any
) -> Pool2dGeometry:
    if len(x_shape) != 4:
        raise ShapeError(
            f"pooling of input {x_shape} with kernel {kernel}",
            cause="the input must have four axes: (N, C, H, W)",
            fix="reshape, for example gray images (N, H, W) to (N, 1, H, W)",
        )
    N, C, H, W = x_shape
    _check_not_empty("pooling", (C, H, W), f"input {x_shape}")
    KH, KW = pair(kernel, "kernel size")
    stride = (KH, KW) if stride is None else pair(stride, "stride")
    pads = resolve_padding(padding, (H, W), (KH, KW), stride)
    both = f"input {x_shape} and kernel {(KH, KW)}"
    if max(pads[0]) >= KH or max(pads[1]) >= KW:
        raise ShapeError(
            f"pooling of {both} with padding {pads}",
            cause="padding must be smaller than the kernel, or a window would hold no pixel",
            fix=f"give a padding of at most {(KH - 1, KW - 1)}",
        )
    OH = conv_output_size(H, KH, stride[0], pads[0])
    OW = conv_output_size(W, KW, stride[1], pads[1])
    may_be_channels_last = W in (1, 3, 4) and KH <= C and KW <= H
    _check_output(both, (H, W), (KH, KW), (OH, OW), pads, (1, 1), may_be_channels_last)
    return Pool2dGeometry(N, C, H, W, KH, KW, OH, OW, stride, pads)


_PLAIN = {int}


def _shape(value: Any) -> tuple[int, ...]:
    if type(value) is tuple and _PLAIN.issuperset(map(type, value)):  # as array.shape is
        return value
    if isinstance(value, (tuple, list)) and all(map(is_int, value)):
        return tuple(map(int, value))
    raise ShapeError(
        f"a shape is {value!r}", cause="it must be a tuple of integers", fix="pass array.shape"
    )


class _Wrong(NamedTuple):
    """An argument of a type that is not accepted, kept from equalling one that is (1.0 == 1)."""

    text: str

    def __repr__(self) -> str:
        return self.text


def _key(argument: Any) -> Any:
    """An argument as the key of the cache; every step looks up its geometries."""
    if type(argument) is int or argument is None:
        return argument
    if type(argument) is tuple and _PLAIN.issuperset(map(type, argument)):
        return argument
    if isinstance(argument, (tuple, list)):
        return tuple(_key(a) for a in argument)
    if is_int(argument):
        return int(argument)
    return argument if isinstance(argument, str) else _Wrong(repr(argument))


def _check_axes(
    operation: str, x_shape: tuple[int, ...], w_shape: tuple[int, ...], w_axes: str
) -> None:
    if len(x_shape) != 4 or len(w_shape) != 4:
        raise ShapeError(
            f"{operation} of input {x_shape} and weight {w_shape}",
            cause=f"both must have four axes: (N, C, H, W) and {w_axes}",
            fix="reshape, for example gray images (N, H, W) to (N, 1, H, W)",
        )


def _check_not_empty(operation: str, sizes: tuple[int, ...], both: str) -> None:
    if min(sizes) < 1:
        raise ShapeError(
            f"{operation} of {both}",
            cause="only the batch may be empty: channels, filters and pixels must be at least 1",
            fix="check the shapes",
        )


def _check_output(
    both: str,
    size: Pair,
    kernel: Pair,
    output: Pair,
    pads: Padding,
    dilation: Pair,
    may_be_channels_last: bool = False,
) -> None:
    if min(output) >= 1:
        return
    extent = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    padded = tuple(s + sum(p) for s, p in zip(size, pads, strict=True))
    raise ShapeError(
        f"the kernel does not fit: {both}",
        cause=f"it covers {extent[0]}x{extent[1]} pixels, the padded input has "
        f"{padded[0]}x{padded[1]}",
        fix=f"{TRANSPOSE_X}; else " * may_be_channels_last
        + "use a smaller kernel or dilation, more padding, or fewer poolings before this layer",
    )


def _common_divisors(a: int, b: int) -> list[int]:
    return [d for d in range(1, min(a, b) + 1) if a % d == 0 and b % d == 0]
