"""The primitives on plain arrays, forward and backward, without Tensors.

    y = gpucnn.ops.conv2d_forward(x, w, b, padding="same")
    grad_w = gpucnn.ops.conv2d_backward_weight(grad_y, x, w.shape, padding="same")

Each function is the method of the same name of the backend on which its arrays lie; its arguments
and rules are those of `gpucnn.backend.base.Backend`. Unlike the methods, which run inside a
training step that the host must not wait for, these check class ids and raise for a wrong one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from gpucnn.backend import Backend, of
from gpucnn.errors import DataError, DtypeError


def _on_arrays(name: str) -> Callable[..., Any]:
    method = getattr(Backend, name)
    signature = inspect.signature(method)
    signature = signature.replace(parameters=list(signature.parameters.values())[1:])  # no self
    required = [key for key, p in signature.parameters.items() if str(p.annotation) == "Array"]
    arrays = {key for key, p in signature.parameters.items() if "Array" in str(p.annotation)}

    @wraps(method)
    def function(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        backend = of(*(value for key, value in given.items() if key in arrays))
        for key in required:
            if given[key] is None:
                raise DtypeError(f"{name}: {key} is None", fix="pass an array")
        if "labels" in given:
            scores = next(iter(given.values()))  # logits or probabilities, (N, K)
            with backend.computing():
                _check_class_ids(given["labels"], scores)
        return getattr(backend, name)(*args, **kwargs)

    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__module__ = __name__
    function.__qualname__ = name
    return function


def _check_class_ids(labels: Any, scores: Any) -> None:
    if labels.dtype.kind not in "iu" or scores.ndim != 2:
        return  # which the method refuses
    classes = scores.shape[1]
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        raise DataError(
            f"label {int(labels[wrong][0])} is out of range",
            cause=f"the logits have {classes} classes: 0 to {classes - 1}",
            fix="check the labels, or give the last layer more units",
        )


conv2d_forward = _on_arrays("conv2d_forward")
conv2d_backward_input = _on_arrays("conv2d_backward_input")
conv2d_backward_weight = _on_arrays("conv2d_backward_weight")
bias_grad = _on_arrays("bias_grad")
conv2d_block_forward = _on_arrays("conv2d_block_forward")
conv2d_block_backward = _on_arrays("conv2d_block_backward")
max_pool2d_forward = _on_arrays("max_pool2d_forward")
max_pool2d_backward = _on_arrays("max_pool2d_backward")
avg_pool2d_forward = _on_arrays("avg_pool2d_forward")
avg_pool2d_backward = _on_arrays("avg_pool2d_backward")
matmul = _on_arrays("matmul")
relu_backward = _on_arrays("relu_backward")
softmax_cross_entropy_forward = _on_arrays("softmax_cross_entropy_forward")
softmax_cross_entropy_backward = _on_arrays("softmax_cross_entropy_backward")
batch_norm_forward = _on_arrays("batch_norm_forward")
batch_norm_backward = _on_arrays("batch_norm_backward")
dropout_forward = _on_arrays("dropout_forward")
dropout_backward = _on_arrays("dropout_backward")
gather = _on_arrays("gather")
sgd_update = _on_arrays("sgd_update")
rmsprop_update = _on_arrays("rmsprop_update")
adam_update = _on_arrays("adam_update")
