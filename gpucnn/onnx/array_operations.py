"""Operations of ONNX that are functions here: arithmetic, reductions and changes of shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from gpucnn import nn
from gpucnn.onnx.building import Builder, Known, Result, Unsupported, array, numbers, result
from gpucnn.onnx.sizes import BATCH, ONE, Batch, broadcast, reshaped, text
from gpucnn.quoting import quoted

Operation = Callable[..., Known]

# ---- arithmetic -------------------------------------------------------------------------------


def elementwise(function: str) -> Operation:
    return lambda b, x: b.function(function, [x], result(x).shape)


def binary(function: str) -> Operation:
    """A function of two operands; the operation may have more, one after the other."""

    def add(b: Builder, *inputs: Known) -> Known:
        first, *others = inputs
        for other in others:
            first = b.function(function, [first, other], broadcast(first.shape, other.shape))
        return first

    return add


def power(b: Builder, x: Known, exponent: Known) -> Known:
    found = array(exponent, "its exponent")
    if found.size != 1:
        raise Unsupported("its exponent is not one number")
    return b.function("power", [x], result(x).shape, exponent=found.reshape(-1)[0].item())


def reduction(function: str) -> Operation:
    def add(b: Builder, x: Known, axes: Known | None = None) -> Known:
        source = result(x)
        count = len(source.shape)
        given = b.setting("axes", axes)
        if not given and b.option("noop_with_empty_axes", 0):
            return x
        chosen = sorted(axis % count for axis in given or range(count))
        keep = bool(b.option("keepdims", 1))
        if function == "mean" and chosen == [2, 3] and count == 4 and not keep:
            return b.layer(nn.GlobalAvgPool2d(), source, source.shape[:2])
        sizes = [1 if k in chosen else size for k, size in enumerate(source.shape)]
        shape = tuple(size for k, size in enumerate(sizes) if keep or k not in chosen)
        return b.function(function, [source], shape, axis=chosen, keepdims=keep)

    return add


# ---- shapes -----------------------------------------------------------------------------------


def flatten(b: Builder, x: Known) -> Known:
    source = result(x)
    first = source.shape[0]
    if b.option("axis", 1) not in (1, 1 - len(source.shape)) or not isinstance(first, Batch):
        raise Unsupported("it also flattens the axis of the batch, or keeps another one")
    return reshape_to(b, source, (first, -1))


def reshape(b: Builder, x: Known, shape: Known) -> Known:
    source = result(x)
    sizes: list[Any] = numbers(shape, "its shape", may_hold_batch=True)
    for axis, size in enumerate(sizes):
        if size == 0 and not b.option("allowzero", 0) and axis < len(source.shape):
            sizes[axis] = source.shape[axis]
        elif size == BATCH:
            sizes[axis] = ONE
    # A file for a batch of one says so: (1, 400) stands for (N, 400).
    if sizes and sizes[0] == 1 == source.shape[0:1].count(ONE) and ONE not in sizes[1:]:
        sizes[0] = ONE
    return reshape_to(b, source, sizes)


def reshape_to(b: Builder, source: Result, sizes: Sequence[Any]) -> Known:
    shape = reshaped(source.shape, sizes)
    if len(shape) == 2 and shape[0] == source.shape[0] == ONE:
        return b.layer(nn.Flatten(), source, shape)
    open_axes = [k for k, size in enumerate(shape) if isinstance(size, Batch)]
    if len(open_axes) != 1:
        raise Unsupported("the batch must be one of its axes")
    wanted = [-1 if isinstance(size, Batch) else size for size in shape]
    (axis,) = open_axes
    if source.shape[axis : axis + 1] == (shape[axis],):
        wanted[axis] = 0  # an empty batch leaves -1 undefined
    return b.function("reshape", [source], shape, sizes=wanted)


def squeeze(b: Builder, x: Known, axes: Known | None = None) -> Known:
    source, given = result(x), b.setting("axes", axes)
    if given is None:
        given = [k for k, n in enumerate(source.shape) if n == 1]
    gone = {axis % len(source.shape) for axis in given}
    return reshape_to(b, source, [n for k, n in enumerate(source.shape) if k not in gone])


def unsqueeze(b: Builder, x: Known, axes: Known | None = None) -> Known:
    source, given = result(x), b.setting("axes", axes)
    count = len(source.shape) + len(given)
    sizes: list[Any] = list(source.shape)
    for axis in sorted({axis % count for axis in given}):
        sizes.insert(axis, 1)
    return reshape_to(b, source, sizes)


def transpose(b: Builder, x: Known) -> Known:
    source = result(x)
    axes = b.option("perm", list(range(len(source.shape)))[::-1])
    if sorted(axes) != list(range(len(source.shape))):
        raise Unsupported(f"its perm is {quoted(axes)}")
    return b.function("transpose", [source], tuple(source.shape[k] for k in axes), axes=axes)


def concat(b: Builder, *inputs: Known) -> Known:
    shapes = [each.shape for each in inputs]
    axis = b.option("axis", 1) % len(shapes[0])
    others = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
    sizes = [shape[axis] for shape in shapes]
    if len(others) > 1 or any(isinstance(size, Batch) for size in sizes):
        raise Unsupported(f"it joins {quoted(', '.join(map(text, shapes)))} along axis {axis}")
    whole = sum(size for size in sizes if not isinstance(size, Batch))
    shape = (*shapes[0][:axis], whole, *shapes[0][axis + 1 :])
    return b.function("concat", inputs, shape, axis=axis)


def cut(b: Builder, x: Known, *given: Known | None) -> Known:
    source = result(x)
    cuts: list[list[int | None]] = [[None] * 3 for _ in source.shape]
    sizes: list[Any] = list(source.shape)
    for place, part in ranges(b, *given).items():
        axis = place % len(sizes)
        if isinstance(sizes[axis], Batch):
            if (part.start, part.step) == (0, 1) and part.stop >= 2**31 - 1:
                continue
            raise Unsupported("it cuts the batch")
        cuts[axis] = [part.start, part.stop, part.step]
        sizes[axis] = len(range(sizes[axis])[part])
    return b.function("slices", [source], tuple(sizes), ends=cuts)


def ranges(b: Builder, *given: Known | None) -> dict[int, slice]:
    """What Slice takes of each axis that it names."""
    names = ("starts", "ends", "axes", "steps")
    starts, ends, axes, steps = (b.setting(*each) for each in zip_longest(names, given))
    parts = zip(starts, ends, steps or [1] * len(starts), strict=True)
    return dict(zip(axes or range(len(starts)), (slice(*part) for part in parts), strict=True))


def gather(b: Builder, x: Known, where: Known) -> Known:
    source, index = result(x), array(where, "its indices")
    axis = b.option("axis", 0) % len(source.shape)
    if isinstance(source.shape[axis], Batch) or index.ndim > 1:
        raise Unsupported("it takes single images, or by a table of indices")
    if index.size and not -source.shape[axis] <= index.min() <= index.max() < source.shape[axis]:
        raise Unsupported(f"its indices are outside of {text(source.shape)}")
    shape = (*source.shape[:axis], *index.shape, *source.shape[axis + 1 :])
    return b.function("take", [source], shape, axis=axis, where=numbers(index, "its indices"))


def cast(b: Builder, x: Known) -> Known:
    if b.option("to") != 1:
        raise Unsupported("it converts to another type than float32")
    # What is computed from float32 is float32.
    return b.function("float32", [x], result(x).shape) if b.takes_bytes else x


def shape_of(b: Builder, x: Known) -> Known:
    sizes = [_size(size) for size in x.shape]
    return np.array(sizes[b.option("start", 0) : b.option("end")], np.int64)


def _size(size: Any) -> int:
    if isinstance(size, Batch) and size != ONE:
        raise Unsupported("a size is a multiple of the batch size")
    return BATCH if isinstance(size, Batch) else int(size)
