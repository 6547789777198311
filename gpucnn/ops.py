"""The primitives on plain arrays, forward and backward, without Tensors.

    y = gpucnn.ops.conv2d_forward(x, w, b, padding="same")
    grad_w = gpucnn.ops.conv2d_backward_weight(grad_y, x, w.shape, padding="same")

Each primitive is the method of the same name of the backend on which its arrays lie; its arguments
and rules are those of `gpucnn.backend.contract.Backend`. Unlike the methods, which run inside a
training step that the host must not wait for, these check class ids and raise for a wrong one. The
functions at the end are not primitives, but made of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from gpucnn.backend import Backend, of
from gpucnn.backend.contract import Array, check_class_ids, check_input, names_of_windows
from gpucnn.errors import DtypeError, ShapeError
from gpucnn.operands import as_floats
from gpucnn.shapes import PaddingArg, PairArg, conv2d_transpose_shape

__all__ = [
    "adam_update",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "bias_grad",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv2d_forward",
    "conv2d_relu_pool_backward",
    "conv2d_relu_pool_forward",
    "conv2d_transpose",
    "dropout_backward",
    "dropout_forward",
    "gather",
    "matmul",
    "max_pool2d_backward",
    "max_pool2d_forward",
    "relu_backward",
    "relu_forward",
    "rmsprop_update",
    "sgd_update",
    "softmax",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def _on_arrays(
    method: Callable[Concatenate[Backend, Arguments], Result],
) -> Callable[Arguments, Result]:
    """A method of the backends as a function that finds the backend by its arrays."""
    name = method.__name__
    signature = inspect.signature(method)
    signature = signature.replace(parameters=list(signature.parameters.values())[1:])  # no self
    names = tuple(signature.parameters)
    required = [key for key, p in signature.parameters.items() if str(p.annotation) == "Array"]
    arrays = [key for key, p in signature.parameters.items() if "Array" in str(p.annotation)]

    # A call that does not fit is refused by the method, and then explained by `names_of_windows`.
    @wraps(method)
    def function(*args: Any, **kwargs: Any) -> Any:
        given = dict(zip(names, args, strict=False), **kwargs)
        backend = of(*[given[key] for key in arrays if key in given])
        for key in required:
            if given.get(key, 0) is None:
                raise DtypeError(f"{name}: {key} is None", fix="pass an array")
        if "labels" in given:
            labels, scores = given["labels"], given[names[0]]  # logits or probabilities, (N, K)
            if labels.dtype.kind in "iu" and scores.ndim == 2:  # else the method refuses
                with backend.quiet_device():
                    check_class_ids(labels, scores.shape[1])
        return getattr(backend, name)(*args, **kwargs)

    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__module__ = __name__
    function.__qualname__ = name
    return names_of_windows(function)


conv2d_forward = _on_arrays(Backend.conv2d_forward)
conv2d_backward_input = _on_arrays(Backend.conv2d_backward_input)
conv2d_backward_weight = _on_arrays(Backend.conv2d_backward_weight)
bias_grad = _on_arrays(Backend.bias_grad)
conv2d_relu_pool_forward = _on_arrays(Backend.conv2d_relu_pool_forward)
conv2d_relu_pool_backward = _on_arrays(Backend.conv2d_relu_pool_backward)
max_pool2d_forward = _on_arrays(Backend.max_pool2d_forward)
max_pool2d_backward = _on_arrays(Backend.max_pool2d_backward)
avg_pool2d_forward = _on_arrays(Backend.avg_pool2d_forward)
avg_pool2d_backward = _on_arrays(Backend.avg_pool2d_backward)
matmul = _on_arrays(Backend.matmul)
relu_backward = _on_arrays(Backend.relu_backward)
softmax_cross_entropy_forward = _on_arrays(Backend.softmax_cross_entropy_forward)
softmax_cross_entropy_backward = _on_arrays(Backend.softmax_cross_entropy_backward)
batch_norm_forward = _on_arrays(Backend.batch_norm_forward)
batch_norm_backward = _on_arrays(Backend.batch_norm_backward)
dropout_forward = _on_arrays(Backend.dropout_forward)
dropout_backward = _on_arrays(Backend.dropout_backward)
gather = _on_arrays(Backend.gather)
sgd_update = _on_arrays(Backend.sgd_update)
rmsprop_update = _on_arrays(Backend.rmsprop_update)
adam_update = _on_arrays(Backend.adam_update)


# ---- made of these ------------------------------------------------------------------------------


@names_of_windows
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
        y: (N, F, OH, OW), OH = (H - 1)*stride - 2*padding + dilation*(KH - 1) + 1 + output_padding.

    Raises:
        ShapeError: the shapes and options do not fit together.
        DtypeError: the arrays are not all float32, or all float64.
    """
    backend = of(x, w, b)
    if x is None or w is None:
        raise DtypeError("conv2d_transpose: x or w is None", fix="pass an array")
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


@names_of_windows
def relu_forward(x: Array) -> Array:
    """max(x, 0) of an array of any shape; a NaN stays one. For `relu_backward`, pass the result."""
    backend = of(x)
    with backend.quiet_device():
        return backend.xp.maximum(x, 0)


@names_of_windows
def softmax(x: Array, axis: int = -1) -> Array:
    """exp(x) / sum(exp(x)) along an axis; stable for scores of any size.

    Raises:
        ShapeError: there is no such axis, or it has no elements.
    """
    backend = of(x)
    whole = hasattr(axis, "__index__")
    if not whole or axis not in range(-x.ndim, x.ndim) or not x.shape[axis]:
        raise ShapeError(
            f"softmax over axis {axis!r} of an array of shape {x.shape}",
            cause="there is no such axis, or it has no elements",
            fix="give the axis of the classes, axis=-1 for the last",
        )
    with backend.quiet_device():
        (x,) = as_floats([x])
        # The maximum cancels in the quotient; without it exp overflows at 89.
        e = backend.xp.exp(x - x.max(axis=axis, keepdims=True))
        return e / e.sum(axis=axis, keepdims=True)
